package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"conferenced/service/outcome"
	"conferenced/service/sandbox"
)

// agentPath is the REST path of the agent.
const agentPath = "/v1/conferences/" + sandbox.ConferenceSID + "/participants/" + sandbox.AgentSID

// says returns a refusal of the gateway, whose message has the first violation.
func says(pairs ...string) *refusal {
	return &refusal{
		kind: outcome.InvalidRequest, detail: strings.TrimSpace(pairs[0] + " " + pairs[1]), broken: pairs,
	}
}

func TestRequestsOnlyOverREST(t *testing.T) {
	tests := []struct {
		name         string
		method, path string // "" is a PATCH of the agent
		body         string
		header       []string
		want         *refusal
	}{
		{
			name: "a misspelt field",
			body: `{"mute": true}`,
			want: says("mute", "is no field of the request; did you mean muted?"),
		},
		{
			name: "a field in camel case",
			body: `{"holdUrl": "https://h.example/"}`,
			want: says("holdUrl", "is no field of the request; did you mean hold_url?"),
		},
		{name: "a string for a boolean", body: `{"muted": "true"}`, want: says("muted", "must be true or false")},
		{name: "a number for a boolean", body: `{"muted": 1}`, want: says("muted", "must be true or false")},
		{
			name: "a boolean for a string",
			body: `{"hold_url": true}`,
			want: says("hold_url", "must be a string of Unicode characters"),
		},
		{
			name: "an unknown method of HTTP",
			body: `{"hold_method": "PUT"}`,
			want: says("hold_method", "must be one of HTTP_METHOD_UNSPECIFIED, HTTP_METHOD_GET, HTTP_METHOD_POST"),
		},
		{name: "two values for one field", body: `{"muted": true, "muted": true}`, want: says("muted", "is given more than once")},
		{
			name: "a field that the path gives",
			body: `{"call_sid": "` + sandbox.CustomerSID + `", "muted": true}`,
			want: says("call_sid", "is given by the path and may not be in the body too"),
		},
		{name: "two bodies", body: `{"muted": true}{}`, want: says("", "the body goes on after its JSON object at line 1, column 16")},
		{name: "half a body", body: `{"muted":`, want: says("", "the body ends within its JSON at line 1, column 10")},
		{name: "a list", body: `[{"muted": true}]`, want: says("", "the body must be a JSON object")},
		{name: "a form", body: `Muted=true`, want: says("", "the body is not JSON at line 1, column 1")},
		{name: "bytes that are not UTF-8", body: "{\"hold_url\": \"https://h.example/\xff\"}", want: says("", "the body is not UTF-8 at line 1, column 33")},
		{name: "an empty body", body: "", want: &refusal{kind: outcome.NothingToUpdate}},
		{name: "an empty object", body: " {} ", want: &refusal{kind: outcome.NothingToUpdate}},
		{name: "null is unset", body: `{"muted": null}`, want: &refusal{kind: outcome.NothingToUpdate}},
		{name: "5 MB", body: `{"hold_url": "` + strings.Repeat("a", 5<<20) + `"}`, want: &refusal{kind: outcome.RequestTooLarge, detail: "its body is larger than 65536 bytes"}},
		{
			name: "a slash in a label",
			path: "/v1/conferences/" + sandbox.ConferenceSID + "/participants/a%2Fb",
			body: `{"muted": true}`,
			want: says("call_sid", "must have no /, not as %2F either"),
		},
		{
			name: "no label",
			path: "/v1/conferences/" + sandbox.ConferenceSID + "/participants/",
			body: `{"muted": true}`,
			want: says("call_sid", "is empty in the path"),
		},
		{
			name: "a label that is not UTF-8",
			path: "/v1/conferences/" + sandbox.ConferenceSID + "/participants/%FF",
			body: `{"muted": true}`,
			want: says("call_sid", "must be percent-encoded UTF-8"),
		},
		{
			name: "a query string",
			path: agentPath + "?muted=true",
			body: `{"muted": true}`,
			want: says("muted", "is in the query string: properties belong in the body"),
		},
		{
			name: "a malformed deadline", body: `{"muted": true}`, header: []string{"Grpc-Timeout", "soon"},
			want: says("Grpc-Timeout", "must be 1 to 8 digits, not zero, and a unit: H, M, S, m, u or n"),
		},
		{
			name: "an idempotency key that is no UUID", body: `{"muted": true}`, header: []string{"Idempotency-Key", "once"},
			want: violates("request_id", uuidRule),
		},
		{name: "an unknown path", path: "/v2/conferences", want: &refusal{kind: outcome.RouteNotFound}},
		{name: "a method of another kind", method: http.MethodPut, want: &refusal{kind: outcome.MethodNotAllowed}},
	}
	r := start(t)
	before := r.box.State()
	var reasons []any // Of the calls, in order.
	for _, test := range tests {
		if test.want.kind != outcome.RouteNotFound && test.want.kind != outcome.MethodNotAllowed {
			reasons = append(reasons, test.want.kind.Reason)
		}
		t.Run(test.name, func(t *testing.T) {
			method, path := test.method, test.path
			if method == "" {
				method = http.MethodPatch
			}
			if path == "" {
				path = agentPath
			}
			got := sendREST(t, t.Context(), r, method, path, test.body, test.header...)
			test.want.check(t, got)
			if test.want.kind.Code == codes.Unimplemented && got.header.Get("Allow") != "GET, HEAD, PATCH, POST, DELETE" {
				t.Errorf("Allow: %q", got.header.Get("Allow"))
			}
		})
	}
	if diff := cmp.Diff(before, r.box.State()); diff != "" {
		t.Errorf("something reached the sandbox (-want +got):\n%s", diff)
	}
	var logged []any
	for _, line := range r.log.lines(t, "call") {
		logged = append(logged, line["reason"])
	}
	if diff := cmp.Diff(reasons, logged); diff != "" {
		t.Errorf("reasons in the log (-want +got):\n%s", diff)
	}
}

func TestPOSTIsPATCH(t *testing.T) {
	r := start(t)
	for _, path := range []string{agentPath, "/v1/accounts/" + sandbox.AccountSID + agentPath[len("/v1"):]} {
		t.Run(path, func(t *testing.T) {
			r.box.Reset()
			got := sendREST(t, t.Context(), r, http.MethodPost, path, `{"muted": true}`)
			checkResponse(t, got, participantIn(r.box.State(), sandbox.AgentSID), nil)
			if !got.response.GetParticipant().GetMuted() {
				t.Error("not muted")
			}
		})
	}
}

func TestHeadersThatAreTooLong(t *testing.T) {
	r := start(t)
	outgoing, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, r.restURL(agentPath), strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	outgoing.Header.Set("X-Long", strings.Repeat("a", 2*maxHeaderBytes))
	incoming, err := r.rest.Do(outgoing)
	if err != nil {
		t.Fatal(err)
	}
	defer incoming.Body.Close()
	if incoming.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("HTTP status %d", incoming.StatusCode)
	}
}
