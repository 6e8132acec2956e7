package clientaddr

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	proxies, err := ParseProxies([]string{"10.0.0.0/8", "192.0.2.7", "fd00::/8", "::ffff:172.16.0.0/108", "::ffff:192.168.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, remote string
		forwarded    []string
		want         string
	}{
		{"no proxy", "203.0.113.5:1234", nil, "203.0.113.5"},
		{"an untrusted client forges the header", "203.0.113.5:1234", []string{"198.51.100.1"}, "203.0.113.5"},
		{"one proxy", "10.1.2.3:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"a proxy given as an address", "192.0.2.7:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"a network of IPv4 written as IPv6", "172.16.2.3:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"an address of IPv4 written as IPv6", "192.168.0.1:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"two proxies", "10.1.2.3:1", []string{"198.51.100.1, 10.9.9.9"}, "198.51.100.1"},
		{"two headers", "10.1.2.3:1", []string{"198.51.100.1", "10.9.9.9"}, "198.51.100.1"},
		{"the client forges what is before its own address", "10.1.2.3:1", []string{"127.0.0.1, 198.51.100.1"}, "198.51.100.1"},
		{"the proxy adds a port", "10.1.2.3:1", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		{"IPv6", "[fd00::1]:1", []string{"[2001:db8::1]:443"}, "2001:db8::1"},
		{"IPv6 in brackets without a port", "[fd00::1]:1", []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"IPv4 mapped into IPv6", "[::ffff:10.1.2.3]:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"an invalid address ends the chain", "10.1.2.3:1", []string{"198.51.100.1, unknown"}, "10.1.2.3"},
		{"the proxy adds nothing", "10.1.2.3:1", nil, "10.1.2.3"},
		{"only proxies", "10.1.2.3:1", []string{"10.0.0.1, 10.0.0.2"}, "10.0.0.1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			remote, err := net.ResolveTCPAddr("tcp", test.remote)
			if err != nil {
				t.Fatal(err)
			}
			if got := Host(Resolve(remote, test.forwarded, proxies)); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestNoAddress(t *testing.T) {
	if got := Host(Resolve(nil, nil, nil)); got != "" {
		t.Errorf("got %q", got)
	}
	proxies := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
	if got := Host(Resolve(&net.UnixAddr{Name: "/run/x", Net: "unix"}, []string{"1.2.3.4"}, proxies)); got != "/run/x" {
		t.Errorf("got %q", got)
	}
}

func TestParseProxies(t *testing.T) {
	for _, text := range []string{"proxy.example", "", "10.0.0.0/33", "10.0.0.0/", "fe80::1%eth0", "fe80::1%eth0/64"} {
		_, err := ParseProxies([]string{"10.0.0.0/8", text})
		if err == nil || !strings.Contains(err.Error(), strconv.Quote(text)) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
