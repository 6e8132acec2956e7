package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// canonicalOrigin returns a configured origin as browsers send it: in lower case,
// without the scheme's default port, and with an international host in its xn-- form.
// It returns an error for an origin that no browser sends. The error has the right form if
// there is one. It contains no password, path or query, because these can be secret.
func canonicalOrigin(origin string) (string, error) {
	if strings.Contains(origin, "@") {
		return "", errors.New("a CORS origin must not have a user name: want https://host or https://host:port")
	}
	u, err := url.Parse(origin)
	if err != nil {
		return "", notLikeOrigin(origin)
	}
	name, dotted := strings.CutSuffix(u.Hostname(), ".")
	host, hostOK := canonicalHost(name)
	port, portOK := canonicalPort(u)
	if u.Scheme != "http" && u.Scheme != "https" || !hostOK || !portOK {
		return "", notLikeOrigin(origin)
	}
	canonical := u.Scheme + "://" + host + port
	switch {
	case u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", fmt.Errorf("a CORS origin must end after its host and port: %q", canonical)
	case dotted:
		return "", fmt.Errorf("CORS origin %q must not end in a dot: %q", origin, canonical)
	}
	return canonical, nil
}

func notLikeOrigin(origin string) error {
	return fmt.Errorf("CORS origin %q is not like https://host or https://host:port", origin)
}

var (
	// toASCII maps host names as the URL Standard of browsers does, which allows
	// underscores and leaves the lengths to DNS.
	toASCII = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(false))

	hostName = regexp.MustCompile(`^[a-z0-9._-]+$`)
	// ipv4Like matches names that browsers take for an address of IPv4.
	ipv4Like = regexp.MustCompile(`(^|\.)([0-9]+|0x[0-9a-f]*)$`)
)

// canonicalHost returns a host as it is in an origin, and whether it can be in one.
// Addresses must be in their usual form.
func canonicalHost(name string) (string, bool) {
	if addr, err := netip.ParseAddr(name); err == nil {
		if addr.Is6() {
			return "[" + addr.String() + "]", addr.Zone() == "" && !addr.Is4In6()
		}
		return addr.String(), true
	}
	host, err := toASCII.ToASCII(name)
	return host, err == nil && hostName.MatchString(host) && !ipv4Like.MatchString(host)
}

// canonicalPort returns the port of an origin after a colon, or nothing if it is the
// scheme's default, and whether it is a port.
func canonicalPort(u *url.URL) (string, bool) {
	if u.Port() == "" {
		return "", true
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if u.Scheme == "http" && port == 80 || u.Scheme == "https" && port == 443 {
		return "", true
	}
	return fmt.Sprintf(":%d", port), err == nil
}
