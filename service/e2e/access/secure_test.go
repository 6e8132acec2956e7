package access_test

import (
	"crypto/tls"
	"net/http"
	"os"
	"strings"
	"testing"

	"google.golang.org/grpc/health/grpc_health_v1"
)

const allInterfaces = "0.0.0.0:0"

func onGRPC(addr string) func(*setup) { return func(s *setup) { s.GRPCAddr = addr } }

func onHTTP(addr string) func(*setup) { return func(s *setup) { s.HTTPAddr = addr } }

func allowingAnonymous(s *setup) { s.AllowAnonymous = true }

const warned = `"level":"WARN","msg":"callers are not authenticated: every client that reaches this service may change any conference"`

// stopped creates a service and stops it before it serves.
func stopped(t *testing.T, choose ...func(*setup)) (*world, error) {
	t.Helper()
	w, err := build(t, choose...)
	if err == nil {
		w.run(t)
		w.end(t)
	}
	return w, err
}

func TestAddressesRequireAuthentication(t *testing.T) {
	const refused = " is not a loopback address and callers are not authenticated: " +
		"configure tokens, JWTs or client certificates, or set --allow-anonymous (CONFERENCED_ALLOW_ANONYMOUS)"
	const noPolicy = "callers are authenticated, but there is no policy"
	kinds := map[string]func(*setup){
		"tokens":              func(s *setup) { without(clientCAFile)(s); withoutJWT(s) },
		"JWTs":                without(clientCAFile, tokensFile),
		"client certificates": func(s *setup) { without(tokensFile)(s); withoutJWT(s) },
	}
	tests := []struct {
		name   string
		choose []func(*setup)
		want   string
		warned bool
	}{
		{"anonymous callers on loopback", []func(*setup){anonymous}, "", false},
		{"anonymous callers of gRPC from anywhere", []func(*setup){anonymous, onGRPC(allInterfaces)}, refused, false},
		{"anonymous callers of REST from anywhere", []func(*setup){anonymous, onHTTP(allInterfaces)}, refused, false},
		{"anonymous callers on all of IPv6", []func(*setup){anonymous, onHTTP(":0")}, refused, false},
		{"anonymous callers over TLS", []func(*setup){without(tokensFile, policyFile, clientCAFile), withoutJWT, onGRPC(allInterfaces)}, refused, false},
		{"anonymous callers with a policy", []func(*setup){without(tokensFile, clientCAFile), withoutJWT, onGRPC(allInterfaces)}, refused, false},
		{"anonymous callers from anywhere, allowed", []func(*setup){anonymous, onGRPC(allInterfaces), onHTTP(allInterfaces), allowingAnonymous}, "", true},
		{"anonymous callers on loopback, allowed", []func(*setup){anonymous, allowingAnonymous}, "", true},
	}
	for name, kind := range kinds {
		tests = append(tests, []struct {
			name   string
			choose []func(*setup)
			want   string
			warned bool
		}{
			{name + " from anywhere", []func(*setup){kind, onGRPC(allInterfaces), onHTTP(allInterfaces)}, "", false},
			{name + " without a policy", []func(*setup){kind, without(policyFile)}, noPolicy, false},
			{name + " without a policy, with anonymous callers allowed", []func(*setup){kind, without(policyFile), allowingAnonymous}, noPolicy, false},
		}...)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for range 2 { // The warning is repeated at each start.
				w, err := stopped(t, test.choose...)
				if got := errorText(err); !strings.HasSuffix(got, test.want) || (got == "") != (test.want == "") {
					t.Errorf("got %q, want %q", got, test.want)
				}
				if got := len(w.log.lines(warned)) == 1; got != test.warned {
					t.Errorf("warned: %v, want %v:\n%s", got, test.warned, w.log)
				}
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestPlaintextIsNotServedWithTLS(t *testing.T) {
	w := start(t)
	if err := os.Remove(w.path(certFile)); err != nil {
		t.Fatal(err)
	}
	w.Reload() // Files that become invalid later do not change it.
	if !strings.Contains(w.adminPage(t, "/readyz"), certFile) {
		t.Fatal("the missing certificate is not reported")
	}
	c := w.newClient(t, nil)
	for _, via := range protocols {
		if got := via.call(t.Context(), c, withToken("ui").authorization, muting("")); got.err == nil {
			t.Errorf("%s: %v", via.name, got)
		}
		w.expectNothingSent(t, via.name)
	}
}

func TestVersionsOfTLS(t *testing.T) {
	w := start(t)
	for name, addr := range map[string]string{"grpc": w.GRPC.String(), "rest": w.HTTP.String()} {
		for version, served := range map[uint16]bool{
			tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true,
		} {
			t.Run(name+" "+tls.VersionName(version), func(t *testing.T) {
				config := w.tlsConfig(nil)
				config.MinVersion, config.MaxVersion = version, version
				config.NextProtos = []string{"h2"}
				conn, err := tls.Dial("tcp", addr, config)
				if (err == nil) != served {
					t.Fatalf("got %v, want served %v", err, served)
				}
				if err != nil {
					return
				}
				defer conn.Close()
				if state := conn.ConnectionState(); state.Version != version || state.NegotiatedProtocol != "h2" {
					t.Errorf("got %s, %q", tls.VersionName(state.Version), state.NegotiatedProtocol)
				}
			})
		}
	}
}

func statusOf(t *testing.T, c *client, path string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

// TestHealthNeedsNoAuthentication checks that everything else does.
func TestHealthNeedsNoAuthentication(t *testing.T) {
	w := start(t)
	for _, name := range []string{"", "conference.v1.ConferenceService"} {
		answer, err := grpc_health_v1.NewHealthClient(w.client(nil).conn).
			Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: name})
		if err != nil || answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v, %v", name, answer, err)
		}
	}
	for _, path := range []string{"/startupz", "/livez", "/readyz"} {
		if got := w.adminPage(t, path); got != "ok\n" {
			t.Errorf("%s: %q", path, got)
		}
		if got := statusOf(t, w.client(nil), path); got != http.StatusNotFound {
			t.Errorf("%s is served to callers too: %d", path, got)
		}
	}
	w.expectRefused(t, "anonymous", callerUnknown, protocols[0], caller{}, muting(""))
}

// TestHostOfAnonymousCallers refuses web pages whose host name resolves to this
// machine.
func TestHostOfAnonymousCallers(t *testing.T) {
	refused := notAllowed("callers are not authenticated, so the Host must be localhost or a loopback address")
	tests := []struct {
		host   string
		served bool
	}{
		{"localhost", true}, {"LOCALHOST:8080", true}, {"127.0.0.1", true}, {"127.9.9.9:1", true}, {"[::1]:8080", true},
		{"evil.example", false}, {"localhost.evil.example", false}, {"127.0.0.1.evil.example", false},
		{"10.0.0.1", false}, {"0.0.0.0", false}, {"evil.example:8080", false}, {"localhost@evil.example", false},
	}
	w := start(t, anonymous)
	for _, test := range tests {
		t.Run(test.host, func(t *testing.T) {
			got := callREST(withHeader(t.Context(), "Host", test.host), w.newClient(t, nil), nil, muting(""))
			if !test.served {
				refused.check(t, test.host, got)
				w.expectNothingSent(t, test.host)
				return
			}
			w.expectApplied(t, test.host, got, arrival{account: mainSID, user: mainSID, password: mainToken, form: "Muted=true"})
		})
	}
}

// TestHostOfOtherCallers checks that any Host is accepted if callers are
// authenticated or anonymous callers are allowed.
func TestHostOfOtherCallers(t *testing.T) {
	for name, choose := range map[string]func(*setup){
		"known callers":             func(*setup) {},
		"anonymous callers allowed": func(s *setup) { anonymous(s); allowingAnonymous(s) },
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, choose)
			c, authorization := w.client(nil), withToken("ui").authorization
			if name != "known callers" {
				c, authorization = w.newClient(t, nil), nil
			}
			got := callREST(withHeader(t.Context(), "Host", "conferences.example"), c, authorization, muting(""))
			if !got.ok() {
				t.Error(got)
			}
		})
	}
}
