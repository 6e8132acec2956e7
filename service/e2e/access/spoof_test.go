package access_test

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"conferenced/service/certtest"
	"conferenced/service/sandbox"
	"conferenced/service/telemetry"
)

// forgeries returns headers that try to forge the caller ui or another address. Over
// gRPC they are metadata.
func forgeries() []string {
	const name = "ui"
	forged := []string{
		"x-forwarded-client-cert", "By=spiffe://a.example/envoy;URI=spiffe://a.example/" + name + ";DNS=" + name,
		"x-ssl-client-s-dn", "CN=" + name, "x-client-cert", name, "x-forwarded-tls-client-cert", name,
		"x-forwarded-user", name, "x-remote-user", name, "x-user", name, "x-caller", name, "caller", name,
		"caller-name", name, "known-by", "token", "x-forwarded-for", "203.0.113.7", "x-real-ip", "203.0.113.7",
		"x-forwarded-host", "evil.example", "forwarded", "for=203.0.113.7", "true-client-ip", "203.0.113.7",
		"proxy-authorization", bearer(tokenOf(name)), "x-authorization", bearer(tokenOf(name)),
		"cookie", "authorization=" + bearer(tokenOf(name)), "x-http-method-override", "GET",
		"grpc-caller", name, "grpc-peer", "203.0.113.7", "grpc-tags-bin", "AAAA",
		"twilio-request-id", "RQ00000000000000000000000000000000",
	}
	for _, prefix := range []string{"grpc-metadata-", "grpcgateway-", "grpc-trailer-"} {
		forged = append(forged,
			prefix+"authorization", bearer(tokenOf(name)), prefix+"caller", name,
			prefix+"x-forwarded-for", "203.0.113.7", prefix+"traceparent", traceparent)
	}
	return forged
}

// TestForgeries sends each header, and all at once, with calls that must be refused
// and one that must succeed.
func TestForgeries(t *testing.T) {
	w := start(t, with(
		tokensFile, tokensText("ui", "guests"),
		policyFile, policyText(mainSID, map[string][]string{"ui": {"muted"}, "guests": {"hold"}}),
	))
	all := forgeries()
	sets := append(slices.Collect(slices.Chunk(all, 2)), all)
	for _, via := range protocols {
		for _, set := range sets {
			name := set[0]
			if len(set) > 2 {
				name = "all"
			}
			t.Run(via.name+" "+name, func(t *testing.T) {
				w.expectForgeriesIgnored(t, via, set)
			})
		}
	}
}

func (w *world) expectForgeriesIgnored(t *testing.T, via protocol, forged []string) {
	t.Helper()
	ctx := withHeader(t.Context(), forged...)
	call := func(c caller) reply {
		return via.call(ctx, w.client(c.certificate), c.authorization, muting(mainSID))
	}
	callerUnknown.check(t, "an unknown caller", call(caller{}))
	notAllowed("property muted").check(t, "a guest", call(withToken("guests")))
	w.expectNothingSent(t, "an unknown caller and a guest")
	got := call(withToken("ui"))
	if !got.ok() {
		t.Errorf("an allowed caller: %v", got)
	}
	w.expectUsualHeaders(t)

	asked := recorded(via, telemetry.Record{
		AccountSID: mainSID, CallSID: sandbox.AgentSID,
		Properties: []string{"muted"}, Values: map[string]bool{"muted": true}, Applied: "no",
	})
	guest, ui := asked, asked
	guest.Outcome, guest.Caller, guest.KnownBy = "NOT_ALLOWED", "guests", "token"
	ui.Outcome, ui.Caller, ui.KnownBy, ui.Applied, ui.TwilioRequestID = "OK", "ui", "token", "yes", someID
	// The audit has records of only some of the unknown callers.
	known := slices.DeleteFunc(w.records(t), func(r telemetry.Record) bool {
		return r.Outcome == "CALLER_UNKNOWN" && r.Caller == "" && r.Peer == asked.Peer
	})
	if diff := diffRecords([]telemetry.Record{guest, ui}, known); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// expectUsualHeaders checks that Twilio got only the service's own headers.
func (w *world) expectUsualHeaders(t *testing.T) {
	t.Helper()
	arrivals, _ := w.up.take()
	if len(arrivals) != 1 {
		t.Fatalf("%d requests", len(arrivals))
	}
	got := slices.Sorted(maps.Keys(arrivals[0].header))
	if diff := cmp.Diff([]string{"Accept", "Authorization", "Content-Length", "Content-Type", "User-Agent"}, got); diff != "" {
		t.Errorf("headers to Twilio (-want +got):\n%s", diff)
	}
}

// TestForgedAuthorizationBesideARealOne checks that only the Authorization header
// authenticates the caller.
func TestForgedAuthorizationBesideARealOne(t *testing.T) {
	w := start(t, with(tokensFile, tokensText("ui", "guests")))
	for _, header := range []string{"Grpc-Metadata-Authorization", "Grpcgateway-Authorization", "Proxy-Authorization"} {
		for _, via := range protocols {
			ctx := withHeader(t.Context(), header, bearer(tokenOf("guests")))
			if got := via.call(ctx, w.client(nil), withToken("ui").authorization, muting("")); !got.ok() {
				t.Errorf("%s, %s: %v", via.name, header, got)
			}
		}
	}
	for _, record := range w.records(t) {
		if record.Caller != "ui" {
			t.Errorf("%+v", record)
		}
	}
}

// TestAuthorizationInvalidInMetadata checks that such a header is not ignored in
// favour of a certificate.
func TestAuthorizationInvalidInMetadata(t *testing.T) {
	w := start(t)
	for _, value := range []string{"Bearer \u00e9", "Bearer \t" + tokenOf("ui"), "\x80"} {
		header := http.Header{"Authorization": {value}}
		got := send(t.Context(), w.client(certtest.Issue(t, w.clientCA, "ui")), restPath(muting("")), restBody(muting("")), header)
		callerUnknown.check(t, value, got)
		w.expectNothingSent(t, value)
	}
}

// TestRequestIDsOfOthers checks that a caller does not get the answer for another
// caller's request ID, even if both have the same name.
func TestRequestIDsOfOthers(t *testing.T) {
	w := start(t, with(tokensFile, tokensText("ui", "guests")))
	message := to("", &request{RequestId: requestID, Muted: proto.Bool(true)})
	callers := []caller{withToken("ui"), withToken("guests"), w.withJWT(t, "ui"), w.withCertificate(t, "ui")}
	for _, c := range callers {
		for _, via := range protocols { // The second call repeats the first.
			if got := via.call(t.Context(), w.client(c.certificate), c.authorization, message); !got.ok() {
				t.Errorf("%s: %v", via.name, got)
			}
		}
	}
	if arrivals, _ := w.up.take(); len(arrivals) != len(callers) {
		t.Errorf("%d requests of %d callers", len(arrivals), len(callers))
	}
}
