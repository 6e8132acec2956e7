package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"conferenced/service/gateway"
	"conferenced/service/outcome"
	"conferenced/service/outcome/outcometest"
)

const uiOrigin = "https://ui.example.com"

// accessControl are the CORS headers of an answer.
func accessControl(got reply) map[string]string {
	headers := map[string]string{}
	for name := range got.header {
		if strings.HasPrefix(name, "Access-Control-") {
			headers[name] = got.header.Get(name)
		}
	}
	return headers
}

func TestPreflight(t *testing.T) {
	const headers = "authorization,content-type,grpc-timeout,idempotency-key,traceparent,tracestate"
	allowed := func(method string) map[string]string {
		return map[string]string{
			"Access-Control-Allow-Origin": uiOrigin, "Access-Control-Allow-Methods": method,
			"Access-Control-Allow-Headers": headers, "Access-Control-Allow-Credentials": "true",
			"Access-Control-Max-Age": "600",
		}
	}
	tests := []struct {
		name                    string
		origins                 []string
		origin, method, headers string
		want                    map[string]string
	}{
		{"PATCH with every header", []string{uiOrigin}, uiOrigin, "PATCH", headers, allowed("PATCH")},
		{"POST with every header", []string{"https://other", uiOrigin}, uiOrigin, "POST", headers, allowed("POST")},
		{"an origin configured in upper case", []string{"HTTPS://UI.Example.com"}, uiOrigin, "POST", headers, allowed("POST")},
		{"any origin, without credentials", []string{"*"}, uiOrigin, "PATCH", "content-type", map[string]string{
			"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "PATCH",
			"Access-Control-Allow-Headers": "content-type", "Access-Control-Max-Age": "600",
		}},
		{"another origin", []string{uiOrigin}, "https://evil", "POST", headers, map[string]string{}},
		{"an origin that begins alike", []string{uiOrigin}, uiOrigin + ".evil", "POST", headers, map[string]string{}},
		{"another port", []string{uiOrigin}, uiOrigin + ":8443", "POST", headers, map[string]string{}},
		{"another scheme", []string{uiOrigin}, "http://ui.example.com", "POST", headers, map[string]string{}},
		{"the opaque origin", []string{uiOrigin}, "null", "POST", headers, map[string]string{}},
		{"GET with every header", []string{uiOrigin}, uiOrigin, "GET", headers, allowed("GET")},
		{"DELETE with every header", []string{uiOrigin}, uiOrigin, "DELETE", headers, allowed("DELETE")},
		{"another method", []string{uiOrigin}, uiOrigin, "PUT", headers, map[string]string{}},
		{"another header", []string{uiOrigin}, uiOrigin, "POST", "grpc-metadata-x", map[string]string{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newService()
			got := send(t, serve(t, s, gateway.Config{CORSOrigins: test.origins}), http.MethodOptions, participants+callSID, "",
				"Origin", test.origin, "Access-Control-Request-Method", test.method, "Access-Control-Request-Headers", test.headers)
			if got.code != http.StatusNoContent {
				t.Errorf("HTTP status %d", got.code)
			}
			if diff := cmp.Diff(test.want, accessControl(got)); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
			s.notCalled(t)
		})
	}
}

func TestCallsOfWebPages(t *testing.T) {
	refused := outcometest.Status(outcome.NotAllowed, outcome.Facts{Detail: "the request comes from a web page of another origin"})
	explicit := map[string]string{
		"Access-Control-Allow-Origin": uiOrigin, "Access-Control-Allow-Credentials": "true",
		"Access-Control-Expose-Headers": "Retry-After, Twilio-Request-Id",
	}
	anyone := map[string]string{
		"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Retry-After, Twilio-Request-Id",
	}
	tests := []struct {
		name    string
		origins []string
		header  []string
		reached bool
		want    map[string]string
	}{
		{"a client that is not a browser", nil, nil, true, nil},
		{"a client that is not a browser, with CORS", []string{uiOrigin}, nil, true, nil},
		{"the service's own pages", nil, []string{"Origin", "http://HOST", "Sec-Fetch-Site", "same-origin"}, true, nil},
		{"the service's own pages in an old browser", nil, []string{"Origin", "http://HOST"}, true, nil},
		{"an address typed by the user", nil, []string{"Sec-Fetch-Site", "none"}, true, nil},
		{"another origin, without CORS", nil, []string{"Origin", uiOrigin, "Sec-Fetch-Site", "cross-site"}, false, nil},
		{"another origin in an old browser", nil, []string{"Origin", uiOrigin}, false, nil},
		{"another port of this machine", nil, []string{"Origin", "http://127.0.0.1:1", "Sec-Fetch-Site", "same-site"}, false, nil},
		{"a form of another site", nil, []string{
			"Origin", "https://evil", "Sec-Fetch-Site", "cross-site", "Content-Type", "text/plain",
		}, false, nil},
		{"a sandboxed page", nil, []string{"Origin", "null", "Sec-Fetch-Site", "cross-site"}, false, nil},
		{"a page without an origin", nil, []string{"Sec-Fetch-Site", "cross-site"}, false, nil},
		{"an allowed origin", []string{uiOrigin}, []string{"Origin", uiOrigin, "Sec-Fetch-Site", "cross-site"}, true, explicit},
		{"an origin that is not allowed", []string{uiOrigin}, []string{"Origin", "https://evil", "Sec-Fetch-Site", "cross-site"}, false, nil},
		{"any origin", []string{"*"}, []string{"Origin", "https://evil", "Sec-Fetch-Site", "cross-site"}, true, anyone},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newService()
			server := serve(t, s, gateway.Config{CORSOrigins: test.origins})
			host := server.Listener.Addr().String()
			var header []string
			for _, value := range test.header {
				header = append(header, strings.ReplaceAll(value, "HOST", host))
			}
			got := send(t, server, http.MethodPost, participants+callSID, "{}", header...)
			want := test.want
			if want == nil {
				want = map[string]string{}
			}
			if diff := cmp.Diff(want, accessControl(got)); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
			if !test.reached {
				wantStatus(t, got, refused)
				s.notCalled(t)
				return
			}
			if s.seen(t); got.code != http.StatusOK {
				t.Errorf("HTTP status %d", got.code)
			}
		})
	}
}

func TestAllowedPagesCanReadErrors(t *testing.T) {
	got := send(t, serve(t, newService(), gateway.Config{CORSOrigins: []string{uiOrigin}}), http.MethodPost, "/nowhere", "", "Origin", uiOrigin)
	wantStatus(t, got, outcometest.Status(outcome.RouteNotFound, outcome.Facts{}))
	if origin := accessControl(got)["Access-Control-Allow-Origin"]; origin != uiOrigin {
		t.Errorf("Access-Control-Allow-Origin: %q", origin)
	}
	if vary := got.header.Values("Vary"); !cmp.Equal(vary, []string{"Origin"}) {
		t.Errorf("Vary: %q", vary)
	}
}

func TestPreflightWithoutCORS(t *testing.T) {
	s := newService()
	got := send(t, serve(t, s, gateway.Config{}), http.MethodOptions, participants+callSID, "",
		"Origin", uiOrigin, "Access-Control-Request-Method", "POST")
	wantStatus(t, got, outcometest.Status(outcome.MethodNotAllowed, outcome.Facts{}))
	if headers := accessControl(got); len(headers) > 0 {
		t.Errorf("headers %v", headers)
	}
	s.notCalled(t)
}

func TestLoopbackHostOnly(t *testing.T) {
	s := newService()
	handler := newHandler(t, s, pass, gateway.Config{LoopbackHostOnly: true})
	for host, want := range map[string]int{
		"localhost": 200, "LOCALHOST:8080": 200, "127.0.0.1:8080": 200, "127.9.9.9": 200,
		"[::1]:8080": 200, "[::1]": 200, "[::ffff:127.0.0.1]:1": 200,
		"evil.example:8080": 403, "localhost.evil.example": 403, "10.0.0.1": 403,
		"127.0.0.1.evil.example": 403, "": 403, "[::2]": 403,
	} {
		incoming := httptest.NewRequest(http.MethodPost, participants+callSID, strings.NewReader("{}"))
		incoming.Host = host
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, incoming)
		if recorder.Code != want {
			t.Errorf("%q: HTTP status %d, want %d", host, recorder.Code, want)
		}
	}
}

func TestPageWhoseNameResolvesToLoopbackIsRefused(t *testing.T) {
	s := newService()
	server := serve(t, s, gateway.Config{LoopbackHostOnly: true, Docs: true})
	for _, path := range []string{participants + callSID, "/docs"} {
		got := send(t, server, http.MethodPost, path, "{}", "Host", "evil.example:8080", "Origin", "http://evil.example:8080")
		wantStatus(t, got, outcometest.Status(outcome.NotAllowed, outcome.Facts{
			Detail: "callers are not authenticated, so the Host must be localhost or a loopback address",
		}))
	}
	s.notCalled(t)
	send(t, server, http.MethodPost, participants+callSID, "{}")
	s.seen(t)
}
