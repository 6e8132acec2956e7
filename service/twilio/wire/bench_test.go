package wire

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// usual is a response similar to Twilio's.
var usual = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Sun, 01 Mar 2026 15:00:00 GMT\r\n" +
	"Twilio-Request-Id: RQ00000000000000000000000000000000\r\nTwilio-Request-Duration: 0.042\r\nX-Api-Domain: api.twilio.com\r\n" +
	"Strict-Transport-Security: max-age=31536000\r\nContent-Length: 700\r\n\r\n" + strings.Repeat("x", 700)

var update = &Request{
	Method: "POST",
	Path:   "/2010-04-01/Accounts/AC00000000000000000000000000000000/Conferences/CF00000000000000000000000000000000/Participants/a.json",
	Header: []byte("User-Agent: conferenced\r\nAccept: application/json\r\nAuthorization: Basic " + strings.Repeat("x", 92) +
		"\r\nContent-Type: application/x-www-form-urlencoded\r\n"),
	Body: []byte("Muted=true"),
}

// BenchmarkRoundTrip compares this package with net/http. The host's cost is the same
// in both, and small: it only searches for the end of a request.
func BenchmarkRoundTrip(b *testing.B) {
	for _, scheme := range []string{"http", "https"} {
		host := answerBlindly
		if scheme == "https" {
			host = secured(host)
		}
		base := parse(b, scheme+"://"+listen(b, host))
		b.Run(scheme+"/wire", func(b *testing.B) {
			transport := newTransport(b)
			b.ReportAllocs()
			for b.Loop() {
				byWire(b, transport, base)
			}
		})
		b.Run(scheme+"/net_http", func(b *testing.B) {
			transport := &http.Transport{DisableCompression: true, TLSClientConfig: &tls.Config{RootCAs: roots}}
			defer transport.CloseIdleConnections()
			b.ReportAllocs()
			for b.Loop() {
				byNetHTTP(b, transport, base)
			}
		})
	}
}

func answerBlindly(p peer) {
	room := make([]byte, 4<<10)
	n := 0
	for {
		more, err := p.requests.Read(room[n:])
		if err != nil {
			return
		}
		if n += more; bytes.HasSuffix(room[:n], update.Body) {
			p.write(usual)
			n = 0
		}
	}
}

func byWire(b *testing.B, transport *Transport, base *url.URL) {
	r, err := transport.RoundTrip(b.Context(), base, update, nil)
	if err != nil || len(r.Body) != 700 {
		b.Fatal(r, err)
	}
	r.Close(true)
}

func byNetHTTP(b *testing.B, transport *http.Transport, base *url.URL) {
	request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, base.String()+update.Path, bytes.NewReader(update.Body))
	if err != nil {
		b.Fatal(err)
	}
	request.Header = http.Header{
		"User-Agent": {"conferenced"}, "Accept": {"application/json"}, "Authorization": {"Basic " + strings.Repeat("x", 92)},
		"Content-Type": {"application/x-www-form-urlencoded"},
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || len(body) != 700 {
		b.Fatal(err)
	}
}
