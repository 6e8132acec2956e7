package sdk_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"conferenced/service/sandbox"
	"conferenced/service/telemetry"
)

const (
	token  = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
	policy = `
rules:
  - callers: [{token: ui}]
    accounts: [` + sandbox.AccountSID + `]
    properties: [muted, hold]
`
)

func TestCallersWhoAreKnown(t *testing.T) {
	w := start(t, tokenFile("ui", token), policy)
	service := w.targets[0]
	for _, test := range []struct {
		name, user, password string
		params               *update
		want                 answered // Zero: it is updated.
	}{
		{"a token and its name", "ui", token, new(update).SetMuted(true), answered{}},
		{"a property that is not allowed", "ui", token, new(update).SetMuted(true).SetBeepOnExit(true), answered{403, 20403}},
		{"the account and its own token", sandbox.AccountSID, sandbox.AuthToken, new(update).SetMuted(true), answered{401, 20003}},
		{"the token under another name", "desk", token, new(update).SetMuted(true), answered{401, 20003}},
		{"another token", "ui", sandbox.AuthToken, new(update).SetMuted(true), answered{401, 20003}},
		{"nothing", "", "", new(update).SetMuted(true), answered{401, 20003}},
	} {
		t.Run(test.name, func(t *testing.T) {
			sdk := service.sdk(t, test.user, test.password)
			_, err := sdk.UpdateParticipant(sandbox.ConferenceSID, sandbox.CustomerSID, test.params)
			if test.want == (answered{}) {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if got := answerOf(t, err); got != test.want {
				t.Errorf("status and code %v, want %v", got, test.want)
			}
		})
	}
}

// TestDocumentedExample runs the code of docs/twilio-sdk.md.
func TestDocumentedExample(t *testing.T) {
	w := start(t, tokenFile("uiweb", token), strings.ReplaceAll(policy, "token: ui", "token: uiweb"))
	base, err := url.Parse(w.targets[0].baseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)

	sdk := &client.Client{
		Credentials: client.NewCredentials("uiweb", token),
		HTTPClient:  &http.Client{Transport: redirect{base, http.DefaultTransport}},
	}
	sdk.SetAccountSid("ACac000000000000000000000000000001")
	participant, err := api.NewApiServiceWithClient(sdk).UpdateParticipant(
		"CFcf000000000000000000000000000001", url.PathEscape("front desk"),
		new(api.UpdateParticipantParams).SetMuted(true))
	if err != nil {
		t.Fatal(err)
	}
	if !*participant.Muted {
		t.Error("the participant is not muted")
	}
}

func TestAuditOfAnSDK(t *testing.T) {
	w := start(t, tokenFile("ui", token), policy)
	sdk := w.targets[0].sdk(t, "ui", token)
	params := new(update).SetMuted(true).SetHold(false)
	if _, err := sdk.UpdateParticipant(sandbox.ConferenceSID, sandbox.CustomerSID, params); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(w.auditPath)
	if err != nil {
		t.Fatal(err)
	}
	var record telemetry.Record
	if err := json.Unmarshal(text, &record); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	record.Time, record.TwilioRequestID, record.QueuedMS = time.Time{}, "", 0
	want := telemetry.Record{
		Caller: "ui", KnownBy: "token", Peer: "127.0.0.1", Protocol: "twilio",
		Method: "/conference.v1.ConferenceService/UpdateParticipant", Operation: "update",
		AccountSID: sandbox.AccountSID, ConferenceSID: sandbox.ConferenceSID, CallSID: sandbox.CustomerSID,
		Properties: []string{"muted", "hold"}, Values: map[string]bool{"muted": true, "hold": false},
		Outcome: "OK", Applied: "yes", Attempts: 1,
	}
	if diff := cmp.Diff(want, record); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func TestAnotherAccount(t *testing.T) {
	const other = "AC00000000000000000000000000000009"
	onEach(t, func(t *testing.T, _ *world, to target, sdk *api.ApiService) {
		params := new(update).SetPathAccountSid(other).SetMuted(true)
		_, err := sdk.UpdateParticipant(sandbox.ConferenceSID, sandbox.CustomerSID, params)
		want := answered{400, 20001}
		if to.name == "sandbox" {
			want = answered{401, 20003}
		}
		if got := answerOf(t, err); got != want {
			t.Errorf("status and code %v, want %v", got, want)
		}
	})
}
