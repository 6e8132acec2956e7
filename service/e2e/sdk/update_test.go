package sdk_test

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
	api "github.com/twilio/twilio-go/rest/api/v2010"
	"google.golang.org/protobuf/proto"

	"conferenced/service/sandbox"
)

// labels is the labels of participants that are added to the seeded ones.
var labels = []string{"café", "a+b", "100%", "a?b#c", "x.json"}

type update = api.UpdateParticipantParams

// onEach runs a test against each target, with a new world in which callers are
// anonymous, and with the account's credentials.
func onEach(t *testing.T, test func(*testing.T, *world, target, *api.ApiService)) {
	for i, name := range []string{"service", "sandbox"} {
		t.Run(name, func(t *testing.T) {
			w := start(t, "", "")
			test(t, w, w.targets[i], w.targets[i].sdk(t, sandbox.AccountSID, sandbox.AuthToken))
		})
	}
}

// applied returns the form of the only applied update.
func (w *world) applied(t *testing.T) url.Values {
	t.Helper()
	journal := w.box.Journal()
	if len(journal) != 1 {
		t.Fatalf("%d updates were applied, want 1", len(journal))
	}
	return journal[0].Form
}

func TestUpdateBySID(t *testing.T) {
	onEach(t, func(t *testing.T, w *world, _ target, sdk *api.ApiService) {
		got, err := sdk.UpdateParticipant(sandbox.ConferenceSID, sandbox.CustomerSID, new(update).SetMuted(true))
		if err != nil {
			t.Fatal(err)
		}
		date := proto.String("Sun, 01 Mar 2026 12:00:00 +0000")
		want := &api.ApiV2010Participant{
			AccountSid: proto.String(sandbox.AccountSID), CallSid: proto.String(sandbox.CustomerSID),
			Label: proto.String("customer"), Coaching: proto.Bool(false),
			ConferenceSid: proto.String(sandbox.ConferenceSID), DateCreated: date, DateUpdated: date,
			EndConferenceOnExit: proto.Bool(false), Muted: proto.Bool(true), Hold: proto.Bool(false),
			StartConferenceOnEnter: proto.Bool(true), Status: proto.String("connected"),
			Uri: proto.String("/2010-04-01/Accounts/" + sandbox.AccountSID + "/Conferences/" + sandbox.ConferenceSID +
				"/Participants/" + sandbox.CustomerSID + ".json"),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("participant (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(url.Values{"Muted": {"true"}}, w.applied(t)); diff != "" {
			t.Errorf("form (-want +got):\n%s", diff)
		}
	})
}

// TestUpdateByLabel escapes labels, because the SDK does not.
func TestUpdateByLabel(t *testing.T) {
	for _, label := range append([]string{"front desk"}, labels...) {
		t.Run(label, func(t *testing.T) {
			onEach(t, func(t *testing.T, _ *world, _ target, sdk *api.ApiService) {
				got, err := sdk.UpdateParticipant(sandbox.ConferenceSID, url.PathEscape(label), new(update).SetHold(true))
				if err != nil {
					t.Fatal(err)
				}
				if *got.Label != label || !*got.Hold {
					t.Errorf("label %q, hold %v", *got.Label, *got.Hold)
				}
			})
		})
	}
}

func TestUpdateOfEveryProperty(t *testing.T) {
	onEach(t, func(t *testing.T, w *world, _ target, sdk *api.ApiService) {
		got, err := sdk.UpdateParticipant(sandbox.ConferenceSID, sandbox.SupervisorSID, new(update).
			SetMuted(true).SetHold(false).
			SetHoldUrl("https://a.example/hold?x=1&y=a+b#rc=2").SetHoldMethod("POST").
			SetAnnounceUrl("https://a.example/caf%C3%A9").SetAnnounceMethod("GET").
			SetWaitUrl("http://a.example/wait").SetWaitMethod("GET").
			SetBeepOnExit(true).SetEndConferenceOnExit(true).
			SetCoaching(true).SetCallSidToCoach(sandbox.AgentSID))
		if err != nil {
			t.Fatal(err)
		}
		want := url.Values{
			"Muted": {"true"}, "Hold": {"false"},
			"HoldUrl": {"https://a.example/hold?x=1&y=a+b#rc=2"}, "HoldMethod": {"POST"},
			"AnnounceUrl": {"https://a.example/caf%C3%A9"}, "AnnounceMethod": {"GET"},
			"WaitUrl": {"http://a.example/wait"}, "WaitMethod": {"GET"},
			"BeepOnExit": {"true"}, "EndConferenceOnExit": {"true"},
			"Coaching": {"true"}, "CallSidToCoach": {sandbox.AgentSID},
		}
		if diff := cmp.Diff(want, w.applied(t)); diff != "" {
			t.Errorf("form (-want +got):\n%s", diff)
		}
		if !*got.Coaching || *got.CallSidToCoach != sandbox.AgentSID || !*got.EndConferenceOnExit {
			t.Errorf("got %+v", got)
		}
	})
}

func TestUpdateThatSilencesTheWait(t *testing.T) {
	onEach(t, func(t *testing.T, w *world, _ target, sdk *api.ApiService) {
		_, err := sdk.UpdateParticipant(sandbox.ConferenceSID, sandbox.CustomerSID, new(update).SetWaitUrl(""))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(url.Values{"WaitUrl": {""}}, w.applied(t)); diff != "" {
			t.Errorf("form (-want +got):\n%s", diff)
		}
	})
}
