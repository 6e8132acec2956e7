package sandbox

import (
	"net"
	"net/http"

	"conferenced/service/browser"
)

// withoutForeignPages refuses requests that browsers send for pages of other origins.
func withoutForeignPages(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if browser.FromForeignPage(r, protection) {
			http.Error(w, "the request comes from a web page of another origin", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// withLoopbackHost refuses requests that arrive on a loopback address and have the name
// of another host.
func withLoopbackHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
		if ok && local.IP.IsLoopback() && !browser.IsLoopbackHost(r.Host) {
			http.Error(w, "the Host must be localhost or a loopback address", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
