package server

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/sandbox"
)

const onHoldSID = "CAca000000000000000000000000000005"

func TestConfirmation(t *testing.T) {
	failing := false
	r := start(t, func(s *setup) {
		s.upstream = func(w http.ResponseWriter, request *http.Request, box *sandbox.Sandbox) {
			if failing && request.Method == http.MethodGet {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			box.ServeHTTP(w, request)
		}
	})
	tests := []struct {
		name    string
		request *request
		failing bool // Reads fail.
		want    string
	}{
		{"confirmed", to("agent", &request{Muted: yes, Confirm: true}), false, "CONFIRMED []"},
		{"on hold", to(onHoldSID, &request{EndConferenceOnExit: yes, Confirm: true}), false, "DIFFERS [end_conference_on_exit]"},
		{"a beep", to("agent", &request{BeepOnExit: yes, Confirm: true}), false, "UNKNOWN []"},
		{"a read that fails", to("agent", &request{Muted: yes, Confirm: true}), true, "UNKNOWN []"},
		{"not asked for", to("agent", &request{Muted: yes}), false, "UNSPECIFIED []"},
	}
	for _, way := range bothWays {
		for _, test := range tests {
			t.Run(way.name+"/"+test.name, func(t *testing.T) {
				r.box.Reset()
				failing = test.failing
				got := way.call(t, t.Context(), r, test.request)
				if got.status != nil {
					t.Fatal(got.status)
				}
				if text := confirmationText(got.response.GetConfirmation(), got.response.GetDiffers()); text != test.want {
					t.Errorf("got %s, want %s", text, test.want)
				}
			})
		}
	}
}

func confirmationText(c conferencev1.Confirmation, differs []string) string {
	return fmt.Sprint(strings.TrimPrefix(c.String(), "CONFIRMATION_"), " ", differs)
}

// TestConfirmationOfMany: the last list confirms all updates, and one list is read if
// only Call SIDs are selected.
func TestConfirmationOfMany(t *testing.T) {
	r := start(t)
	tests := []struct {
		name    string
		request *bulk
		want    []string
	}{
		{
			"everyone", &bulk{},
			[]string{"01 CONFIRMED []", "02 CONFIRMED []", "03 CONFIRMED []", "04 CONFIRMED []", "05 DIFFERS [end_conference_on_exit]"},
		},
		{
			"by Call SID", &bulk{Participants: []string{sandbox.AgentSID, "CA99999999999999999999999999999999"}},
			[]string{"01 CONFIRMED []", "99 UNSPECIFIED []"},
		},
	}
	for way, call := range bulkWays {
		for _, test := range tests {
			t.Run(way+"/"+test.name, func(t *testing.T) {
				r.box.Reset()
				test.request.Confirm = true
				test.request.Set = &conferencev1.ParticipantChange{Muted: yes, EndConferenceOnExit: yes}
				response, got := call(t, r, all(test.request))
				if got.status != nil {
					t.Fatal(got.status)
				}
				var results []string
				for _, result := range response.(*conferencev1.UpdateParticipantsResponse).GetResults() {
					results = append(results, result.GetCallSid()[32:]+" "+confirmationText(result.GetConfirmation(), result.GetDiffers()))
				}
				slices.Sort(results)
				if diff := cmp.Diff(test.want, results); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		}
	}
}
