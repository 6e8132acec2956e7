package wire_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"conferenced/service/twilio/wire"
)

// answered is of about the size of Twilio's.
var answered = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Sun, 01 Mar 2026 15:00:00 GMT\r\n" +
	"Twilio-Request-Id: RQ00000000000000000000000000000000\r\nTwilio-Request-Duration: 0.042\r\nX-Api-Domain: api.twilio.com\r\n" +
	"Strict-Transport-Security: max-age=31536000\r\nContent-Length: 700\r\n\r\n" + strings.Repeat("x", 700)

var asked = &wire.Request{
	Path: []byte("/2010-04-01/Accounts/AC00000000000000000000000000000000/Conferences/CF00000000000000000000000000000000/Participants/a.json"),
	Header: []byte("User-Agent: conferenced\r\nAccept: application/json\r\nAuthorization: Basic " + strings.Repeat("x", 92) +
		"\r\nContent-Type: application/x-www-form-urlencoded\r\n"),
	Body: []byte("Muted=true"),
}

// BenchmarkExchange compares this package with net/http. The host's share is the
// same in both, and small: it looks for the end of a request only.
func BenchmarkExchange(b *testing.B) {
	for _, scheme := range []string{"http", "https"} {
		host := answerBlindly
		if scheme == "https" {
			host = promptly(host)
		}
		base := parse(b, scheme+"://"+listen(b, host))
		b.Run(scheme+"/wire", func(b *testing.B) {
			pool := newPool(b, wire.Config{MaxIdle: 512})
			b.ReportAllocs()
			for b.Loop() {
				byWire(b, pool, base)
			}
		})
		b.Run(scheme+"/net_http", func(b *testing.B) {
			transport := &http.Transport{
				MaxIdleConnsPerHost: 512, DisableCompression: true, ReadBufferSize: 2 << 10, WriteBufferSize: 2 << 10,
				TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			}
			defer transport.CloseIdleConnections()
			b.ReportAllocs()
			for b.Loop() {
				byTransport(b, transport, base)
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
		if n += more; bytes.HasSuffix(room[:n], asked.Body) {
			p.write(answered)
			n = 0
		}
	}
}

func byWire(b *testing.B, pool *wire.Pool, base *url.URL) {
	conn := get(b, pool, base)
	defer conn.Close()
	if err := conn.Send(b.Context(), asked); err != nil {
		b.Fatal(err)
	}
	if a, err := conn.Receive(); err != nil || len(a.Body) != 700 {
		b.Fatal(err)
	}
}

func byTransport(b *testing.B, transport *http.Transport, base *url.URL) {
	target := *base
	target.Path = string(asked.Path)
	request := http.Request{
		Method: http.MethodPost, URL: &target, ContentLength: int64(len(asked.Body)), Body: io.NopCloser(bytes.NewReader(asked.Body)),
		Header: http.Header{
			"User-Agent": {"conferenced"}, "Accept": {"application/json"}, "Authorization": {"Basic " + strings.Repeat("x", 92)},
			"Content-Type": {"application/x-www-form-urlencoded"},
		},
	}
	resp, err := transport.RoundTrip(request.WithContext(b.Context()))
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || len(body) != 700 {
		b.Fatal(err)
	}
}
