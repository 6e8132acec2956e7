package sandbox

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// withOwnPages refuses reads, too, that browsers send for pages of other origins. A link
// that a user follows is not such a read.
func withOwnPages(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		checked := *r
		if r.Header.Get("Sec-Fetch-Mode") != "navigate" {
			checked.Method = http.MethodPost // Check accepts every read.
		}
		if protection.Check(&checked) != nil {
			http.Error(w, "the request comes from a web page of another origin", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// withLoopbackHost refuses requests that arrive on a loopback address with another
// host's name: web pages whose name resolves to a loopback address send those, and
// for a browser they are of the same origin.
func withLoopbackHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
		if ok && local.IP.IsLoopback() && !isLoopbackHost(r.Host) {
			http.Error(w, "the Host must be localhost or a loopback address", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isLoopbackHost(host string) bool {
	name := (&url.URL{Host: host}).Hostname()
	addr, err := netip.ParseAddr(name)
	return strings.EqualFold(name, "localhost") || err == nil && addr.IsLoopback()
}
