// Package browser keeps a server's own pages and web pages of other origins apart.
package browser

import (
	"net/http"
	"net/url"

	"conferenced/service/clientaddr"
)

// PagePolicy is the Content-Security-Policy of a server's own pages. It restricts them to
// files and calls of their origin, and images in data URLs.
const PagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; " +
	"img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// FromForeignPage reports whether a browser sends the request for a page of an origin
// that is not trusted. Reads count too, except when the user follows a link.
func FromForeignPage(r *http.Request, trusted *http.CrossOriginProtection) bool {
	checked := *r
	isRead := r.Method == http.MethodGet || r.Method == http.MethodHead
	if isRead && r.Header.Get("Sec-Fetch-Mode") != "navigate" {
		checked.Method = http.MethodPost // Check accepts every read.
	}
	return trusted.Check(&checked) != nil
}

// IsLoopbackHost reports whether a Host header is localhost or a loopback address, with
// or without a port. A server on a loopback address must refuse other hosts: a browser
// treats a page whose name resolves to that address as being of the server's origin.
func IsLoopbackHost(host string) bool {
	return clientaddr.IsLoopback((&url.URL{Host: host}).Hostname())
}
