package gateway_test

import (
	"net/http"
	"testing"

	"conferenced/service/gateway"
)

// TestCORSOriginsAsBrowsersSendThem checks that a configured origin allows the origin
// that a browser sends for it.
func TestCORSOriginsAsBrowsersSendThem(t *testing.T) {
	for configured, sent := range map[string]string{
		"https://app.example":           "https://app.example",
		"HTTPS://App.Example":           "https://app.example",
		"https://app.example:443":       "https://app.example",
		"https://app.example:0443":      "https://app.example",
		"https://app.example:":          "https://app.example",
		"http://app.example:80":         "http://app.example",
		"http://app.example:443":        "http://app.example:443",
		"https://app.example:08443":     "https://app.example:8443",
		"https://bücher.example":        "https://xn--bcher-kva.example",
		"https://BÜCHER.example:443":    "https://xn--bcher-kva.example",
		"https://xn--bcher-kva.example": "https://xn--bcher-kva.example",
		"https://例え。jp":                 "https://xn--r8jz45g.jp",
		"https://faß.example":           "https://xn--fa-hia.example",
		"https://a_b.example":           "https://a_b.example",
		"http://localhost:3000":         "http://localhost:3000",
		"http://127.0.0.1:3000":         "http://127.0.0.1:3000",
		"http://[::1]:3000":             "http://[::1]:3000",
		"http://[0:0:0:0:0:0:0:1]:80":   "http://[::1]",
		"http://[2001:DB8::0:1]":        "http://[2001:db8::1]",
	} {
		server := serve(t, newService(), gateway.Config{CORSOrigins: []string{configured}})
		got := send(t, server, http.MethodPost, participants+callSID, "{}", "Origin", sent, "Sec-Fetch-Site", "cross-site")
		if allowed := accessControl(got)["Access-Control-Allow-Origin"]; got.code != http.StatusOK || allowed != sent {
			t.Errorf("%s: HTTP status %d, Access-Control-Allow-Origin %q, want %q", configured, got.code, allowed, sent)
		}
	}
}

// TestCORSOriginsThatNoBrowserSends checks that an error shows the right form where
// there is one, and no password.
func TestCORSOriginsThatNoBrowserSends(t *testing.T) {
	const general = " is not like https://host or https://host:port"
	for origin, want := range map[string]string{
		"https://app.example/":                `a CORS origin must end after its host and port: "https://app.example"`,
		"HTTPS://App.example:443/app?a=b#c":   `a CORS origin must end after its host and port: "https://app.example"`,
		"https://app.example?":                `a CORS origin must end after its host and port: "https://app.example"`,
		"https://bücher.example:8443/":        `a CORS origin must end after its host and port: "https://xn--bcher-kva.example:8443"`,
		"https://app.example.":                `CORS origin "https://app.example." must not end in a dot: "https://app.example"`,
		"https://me:hidden@app.example":       "a CORS origin must not have a user name: want https://host or https://host:port",
		"https://me:hid den@app.example":      "a CORS origin must not have a user name: want https://host or https://host:port",
		"app.example":                         `CORS origin "app.example"` + general,
		"//app.example":                       `CORS origin "//app.example"` + general,
		"app.example:443":                     `CORS origin "app.example:443"` + general,
		"ftp://app.example":                   `CORS origin "ftp://app.example"` + general,
		"https://:443":                        `CORS origin "https://:443"` + general,
		"https://app.example:65536":           `CORS origin "https://app.example:65536"` + general,
		"https://app.example:port":            `CORS origin "https://app.example:port"` + general,
		"https://*.example":                   `CORS origin "https://*.example"` + general,
		"https://app example":                 `CORS origin "https://app example"` + general,
		"https://a|b":                         `CORS origin "https://a|b"` + general,
		"https://xn--zz--":                    `CORS origin "https://xn--zz--"` + general,
		"http://127.1":                        `CORS origin "http://127.1"` + general,
		"http://0x7f000001":                   `CORS origin "http://0x7f000001"` + general,
		"http://127.0.0.01":                   `CORS origin "http://127.0.0.01"` + general,
		"http://[fe80::1%25eth0]":             `CORS origin "http://[fe80::1%25eth0]"` + general,
		"http://[::ffff:192.0.2.1]":           `CORS origin "http://[::ffff:192.0.2.1]"` + general,
		"null":                                `CORS origin "null"` + general,
		"":                                    `CORS origin ""` + general,
		"https://a.example,https://b.example": `CORS origin "https://a.example,https://b.example"` + general,
	} {
		_, err := gateway.New(newService(), pass, gateway.Config{CORSOrigins: []string{origin}})
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", origin, err, want)
		}
	}
}
