package sdk_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"conferenced/service/sandbox"
)

// TestReadsAreTheSame compares what the SDK reads through the service with what it reads
// from the embedded Twilio.
func TestReadsAreTheSame(t *testing.T) {
	w := start(t, "", "")
	service := w.targets[0].sdk(t, sandbox.AccountSID, sandbox.AuthToken)
	direct := w.targets[1].sdk(t, sandbox.AccountSID, sandbox.AuthToken)
	const conference = sandbox.ConferenceSID
	for _, test := range []struct {
		name string
		read func(*api.ApiService) (any, error)
	}{
		{"a participant", func(s *api.ApiService) (any, error) { return s.FetchParticipant(conference, sandbox.AgentSID, nil) }},
		{"a participant by label", func(s *api.ApiService) (any, error) {
			return s.FetchParticipant(conference, url.PathEscape("front desk"), nil)
		}},
		{"participants", func(s *api.ApiService) (any, error) {
			return s.ListParticipant(conference, new(api.ListParticipantParams).SetPageSize(3))
		}},
		{"participants on hold", func(s *api.ApiService) (any, error) {
			return s.ListParticipant(conference, new(api.ListParticipantParams).SetHold(true))
		}},
		{"a page of participants", func(s *api.ApiService) (any, error) {
			return s.PageParticipant(conference, new(api.ListParticipantParams).SetPageSize(2), "", "1")
		}},
		{"a conference", func(s *api.ApiService) (any, error) { return s.FetchConference(conference, nil) }},
		{"conferences", func(s *api.ApiService) (any, error) {
			return s.ListConference(new(api.ListConferenceParams).SetPageSize(1))
		}},
		{"conferences by name", func(s *api.ApiService) (any, error) {
			return s.ListConference(new(api.ListConferenceParams).SetFriendlyName("Support").SetStatus("in-progress"))
		}},
		{"conferences by date", func(s *api.ApiService) (any, error) {
			return s.ListConference(new(api.ListConferenceParams).SetDateCreatedAfter("2026-03-02"))
		}},
		{"a page of conferences", func(s *api.ApiService) (any, error) {
			return s.PageConference(new(api.ListConferenceParams).SetPageSize(1), "", "1")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			want, err := test.read(direct)
			if err != nil {
				t.Fatal(err)
			}
			got, err := test.read(service)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-twilio +service):\n%s", diff)
			}
		})
	}
}

func TestReadErrors(t *testing.T) {
	onEach(t, func(t *testing.T, _ *world, _ target, sdk *api.ApiService) {
		const absent = "CF99999999999999999999999999999999"
		_, conference := sdk.FetchConference(absent, nil)
		_, participants := sdk.ListParticipant(absent, nil)
		_, participant := sdk.FetchParticipant(sandbox.ConferenceSID, "nobody", nil)
		removal := sdk.DeleteParticipant(sandbox.ConferenceSID, "nobody", nil)
		for name, err := range map[string]error{
			"a conference": conference, "participants": participants, "a participant": participant, "a removal": removal,
		} {
			if got := answerOf(t, err); got != (answered{404, 20404}) {
				t.Errorf("%s: status and code %v", name, got)
			}
		}
	})
}

// TestFetchUpdateAndRemove does what programs do with one participant.
func TestFetchUpdateAndRemove(t *testing.T) {
	onEach(t, func(t *testing.T, _ *world, _ target, sdk *api.ApiService) {
		found, err := sdk.ListConference(new(api.ListConferenceParams).SetFriendlyName("Support").SetStatus("in-progress"))
		if err != nil || len(found) != 1 {
			t.Fatalf("%d conferences, %v", len(found), err)
		}
		who, err := sdk.FetchParticipant(*found[0].Sid, "customer", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sdk.UpdateParticipant(*found[0].Sid, *who.CallSid, new(update).SetMuted(true)); err != nil {
			t.Fatal(err)
		}
		if err := sdk.DeleteParticipant(*found[0].Sid, "customer", nil); err != nil {
			t.Fatal(err)
		}
		_, err = sdk.FetchParticipant(*found[0].Sid, *who.CallSid, nil)
		if got := answerOf(t, err); got != (answered{404, 20404}) {
			t.Errorf("status and code %v", got)
		}
	})
}

// TestOperationsOfAPolicy has callers that may do some of the operations.
func TestOperationsOfAPolicy(t *testing.T) {
	for _, operation := range []string{"read", "remove"} {
		t.Run(operation, func(t *testing.T) {
			w := start(t, tokenFile("ui", token), strings.Replace(policy, "properties: [muted, hold]", "operations: ["+operation+"]", 1))
			sdk := w.targets[0].sdk(t, "ui", token)
			_, fetch := sdk.FetchParticipant(sandbox.ConferenceSID, "customer", nil)
			_, list := sdk.ListParticipant(sandbox.ConferenceSID, nil)
			_, conference := sdk.FetchConference(sandbox.ConferenceSID, nil)
			_, conferences := sdk.ListConference(nil)
			removal := sdk.DeleteParticipant(sandbox.ConferenceSID, "customer", nil)
			for name, err := range map[string]error{
				"fetch": fetch, "list": list, "fetch a conference": conference, "list conferences": conferences, "remove": removal,
			} {
				allowed := (name == "remove") == (operation == "remove")
				if allowed && err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if !allowed && answerOf(t, err) != (answered{403, 20403}) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}
