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
		{name: "half a body", body: `{"muted":`, want: says("", "the body ends within its JSON at line 1, column 10")},
		{name: "an empty body", body: "", want: &refusal{kind: outcome.NothingToUpdate}},
		{name: "5 MB", body: `{"hold_url": "` + strings.Repeat("a", 5<<20) + `"}`, want: &refusal{kind: outcome.RequestTooLarge, detail: "its body is larger than 65536 bytes"}},
		{
			name: "a slash in a label",
			path: "/v1/conferences/" + sandbox.ConferenceSID + "/participants/a%2Fb",
			body: `{"muted": true}`,
			want: says("call_sid", "must have no /, not as %2F either"),
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
