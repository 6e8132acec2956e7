package sdk_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"conferenced/service/sandbox"
)

// answered is the status and the code in an error of the SDK.
type answered struct{ status, code int }

// answerOf returns the status and the code of an error, which must be of the SDK's
// type.
func answerOf(t *testing.T, err error) answered {
	t.Helper()
	var typed *client.TwilioRestError
	if !errors.As(err, &typed) {
		t.Fatalf("the error is not the SDK's: %v", err)
	}
	if page := fmt.Sprintf("https://www.twilio.com/docs/errors/%d", typed.Code); typed.MoreInfo != page {
		t.Errorf("more_info is %q, want %q", typed.MoreInfo, page)
	}
	if typed.Message == "" {
		t.Error("there is no message")
	}
	return answered{typed.Status, typed.Code}
}

const (
	bell          = "https://a.example/bell.mp3"
	someoneAbsent = "CA00000000000000000000000000000009"
)

func TestErrors(t *testing.T) {
	muting, announcing := new(update).SetMuted(true), new(update).SetAnnounceUrl(bell)
	const inProgress, over = sandbox.ConferenceSID, sandbox.CompletedConferenceSID
	for _, test := range []struct {
		name, conference, who string
		params                *update
		service, sandbox      answered
	}{
		{"an unknown participant", inProgress, someoneAbsent, muting, answered{404, 20404}, answered{404, 20404}},
		{"a conference that is over", over, sandbox.CustomerSID, muting, answered{404, 20404}, answered{404, 20404}},
		{"a conference that has not begun", sandbox.InitConferenceSID, sandbox.ConnectingSID, muting, answered{400, 16099}, answered{400, 16099}},
		{"a malformed conference SID", "CF1", sandbox.CustomerSID, muting, answered{400, 20001}, answered{405, 20004}},
		{"an invalid URL", inProgress, sandbox.CustomerSID, new(update).SetHoldUrl("hold"), answered{400, 20001}, answered{400, 21205}},
		{"coaching without a Call SID", inProgress, sandbox.CustomerSID, new(update).SetCoaching(true), answered{400, 20001}, answered{400, 20001}},
		{"coaching a participant on hold", inProgress, sandbox.CustomerSID, new(update).SetCallSidToCoach(sandbox.HeldSID), answered{400, 16027}, answered{400, 16027}},
		{"a slash in the label", inProgress, "a%2Fb", muting, answered{400, 20001}, answered{404, 20404}},
		{"a rate limit", inProgress, "fault:429", muting, answered{429, 20429}, answered{429, 20429}},
		{"a rate limit, announcing", inProgress, "fault:429", announcing, answered{429, 20429}, answered{429, 20429}},
		{"a conflict", inProgress, "fault:conflict", muting, answered{400, 20409}, answered{409, 20409}},
		{"rejected credentials of the service", inProgress, "fault:401", muting, answered{500, 20500}, answered{401, 20003}},
		{"an outage", inProgress, "fault:503", muting, answered{503, 20503}, answered{503, 20503}},
		{"an outage, announcing", inProgress, "fault:503", announcing, answered{424, 20503}, answered{503, 20503}},
		{"a failure after it was applied", inProgress, "fault:500-after", muting, answered{503, 20500}, answered{500, 20500}},
		{"a failure after it was announced", inProgress, "fault:500-after", announcing, answered{424, 20500}, answered{500, 20500}},
	} {
		t.Run(test.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, _ *world, to target, sdk *api.ApiService) {
				_, err := sdk.UpdateParticipant(test.conference, test.who, test.params)
				want := test.service
				if to.name == "sandbox" {
					want = test.sandbox
				}
				if got := answerOf(t, err); got != want {
					t.Errorf("status and code %v, want %v", got, want)
				}
			})
		})
	}
}

// TestServiceCompletesErrors has answers in which the SDK finds no code, because they
// are not JSON, and lost answers without a status. The service adds both.
func TestServiceCompletesErrors(t *testing.T) {
	for _, test := range []struct {
		who    string
		params *update
		want   answered
	}{
		{"fault:html", new(update).SetMuted(true), answered{503, 20500}},
		{"fault:html", new(update).SetAnnounceUrl(bell), answered{424, 20500}},
		{"fault:reset-after", new(update).SetMuted(true), answered{503, 20500}},
		{"fault:reset-after", new(update).SetAnnounceUrl(bell), answered{424, 20500}},
		{"fault:truncated", new(update).SetMuted(true), answered{500, 20500}},
		{"fault:truncated", new(update).SetAnnounceUrl(bell), answered{424, 20500}},
	} {
		t.Run(fmt.Sprintf("%s, announcing %v", test.who, test.params.AnnounceUrl != nil), func(t *testing.T) {
			w := start(t, "", "")
			sdk := w.targets[0].sdk(t, sandbox.AccountSID, sandbox.AuthToken)
			_, err := sdk.UpdateParticipant(sandbox.ConferenceSID, test.who, test.params)
			if got := answerOf(t, err); got != test.want {
				t.Errorf("status and code %v, want %v", got, test.want)
			}
		})
	}
}

func TestRateLimitThatEnds(t *testing.T) {
	onEach(t, func(t *testing.T, w *world, to target, sdk *api.ApiService) {
		_, err := sdk.UpdateParticipant(sandbox.ConferenceSID, "fault:429x2", new(update).SetMuted(true))
		if to.name == "sandbox" { // The SDK does not retry.
			if got := answerOf(t, err); got != (answered{429, 20429}) {
				t.Errorf("status and code %v", got)
			}
			return
		}
		if asked := w.asked.Load(); err != nil || asked != 3 {
			t.Errorf("Twilio got %d requests, error %v", asked, err)
		}
	})
}

func TestUnsupportedOperations(t *testing.T) {
	w := start(t, "", "")
	sdk := w.targets[0].sdk(t, sandbox.AccountSID, sandbox.AuthToken)
	_, creating := sdk.CreateParticipant(sandbox.ConferenceSID, new(api.CreateParticipantParams).SetFrom("+15550100").SetTo("+15550101"))
	_, ending := sdk.UpdateConference(sandbox.ConferenceSID, new(api.UpdateConferenceParams).SetStatus("completed"))
	for name, err := range map[string]error{"create a participant": creating, "end a conference": ending} {
		if got := answerOf(t, err); got != (answered{405, 20004}) {
			t.Errorf("%s: status and code %v", name, got)
		}
	}
	if asked := w.asked.Load(); asked != 0 {
		t.Errorf("Twilio got %d requests", asked)
	}
}
