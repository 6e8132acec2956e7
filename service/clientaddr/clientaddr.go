// Package clientaddr finds the address of a client behind trusted proxies, and recognizes
// loopback hosts.
package clientaddr

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// ParseProxies parses networks such as 10.0.0.0/8, and single addresses.
func ParseProxies(texts []string) ([]netip.Prefix, error) {
	proxies := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		proxy, err := parseProxy(text)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network", text)
		}
		proxies = append(proxies, proxy)
	}
	return proxies, nil
}

// parseProxy parses a network, or an address without a zone. Those of IPv4 may be written
// as IPv6.
func parseProxy(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		addr, err := netip.ParseAddr(text)
		if addr.Zone() != "" {
			err = errors.New("clientaddr: an address with a zone")
		}
		return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), err
	}
	proxy, err := netip.ParsePrefix(text)
	if addr := proxy.Addr(); addr.Is4In6() && proxy.Bits() >= 96 {
		proxy = netip.PrefixFrom(addr.Unmap(), proxy.Bits()-96)
	}
	return proxy.Masked(), err
}

// Resolve returns the client's address. That is the peer's, unless the peer is a trusted
// proxy: then it is the last address of X-Forwarded-For that is not a trusted proxy,
// with port 0, since the header has no port. The addresses before it may be forged.
func Resolve(remote net.Addr, forwardedFor []string, proxies []netip.Prefix) net.Addr {
	if remote == nil || len(proxies) == 0 {
		return remote
	}
	client, ok := hostOf(remote.String())
	if !ok {
		return remote
	}
	peer := client
	hops := strings.Split(strings.Join(forwardedFor, ","), ",")
	for i := len(hops) - 1; i >= 0 && trusted(client, proxies); i-- {
		hop, ok := hostOf(strings.TrimSpace(hops[i]))
		if !ok {
			break
		}
		client = hop
	}
	if client == peer {
		return remote
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(client, 0))
}

// Host returns the address without its port; nil: "".
func Host(addr net.Addr) string {
	if addr == nil {
		return ""
	}
	if tcp, ok := addr.(*net.TCPAddr); ok && len(tcp.IP) > 0 {
		return tcp.AddrPort().Addr().Unmap().String()
	}
	if host, ok := hostOf(addr.String()); ok {
		return host.String()
	}
	return addr.String()
}

// IsLoopback reports whether a host without a port is localhost or a loopback address.
func IsLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}

// hostOf parses an address with or without a port.
func hostOf(text string) (netip.Addr, bool) {
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return withPort.Addr().Unmap(), true
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return addr.Unmap(), err == nil
}

func trusted(addr netip.Addr, proxies []netip.Prefix) bool {
	for _, proxy := range proxies {
		if proxy.Contains(addr) {
			return true
		}
	}
	return false
}
