package sandbox

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// newDefectStage returns a stage with events whose account has these settings.
func newDefectStage(t *testing.T, callback, settings string) *stage {
	return newEventStage(t, callback, "    "+settings+"\n")
}

// numbers returns the sequence numbers of n callbacks.
func (r *receiver) numbers(n int) (numbers []string) {
	for range n {
		numbers = append(numbers, (<-r.got).fields.Get("SequenceNumber"))
	}
	return numbers
}

func TestDefectsOfCallbacks(t *testing.T) {
	inOrder := []string{"1", "2", "3", "4", "5", "6"}
	mute := func(s *stage) {
		for i := range 6 {
			s.update("guest", "Muted="+map[bool]string{true: "true", false: "false"}[i%2 == 0])
		}
	}
	t.Run("late", func(t *testing.T) {
		r := newReceiver(t)
		s := newDefectStage(t, r.URL, "defects: {callbacks_late: 10s}")
		mute(s)
		diff(t, 6, s.State().Callbacks.Pending)
		diff(t, 0, len(s.journal("?kind=callback")))
		s.Advance(10 * time.Second)
		diff(t, inOrder, r.numbers(6))
	})
	t.Run("duplicated", func(t *testing.T) {
		r := newReceiver(t)
		s := newDefectStage(t, r.URL, "defects: {callbacks_duplicated: 1}")
		mute(s)
		s.Advance(0)
		diff(t, inOrder, r.numbers(6))
		s.Advance(time.Second)
		diff(t, inOrder, r.numbers(6))
	})
	t.Run("out of order", func(t *testing.T) {
		order := func() []string {
			r := newReceiver(t)
			s := newDefectStage(t, r.URL, "defects: {callbacks_reordered: 0.5}")
			mute(s)
			s.Advance(2 * time.Second)
			return r.numbers(6)
		}
		first := order()
		diff(t, first, order()) // The seed is the same.
		if slices.IsSorted(first) {
			t.Errorf("the callbacks are in order: %v", first)
		}
		slices.Sort(first)
		diff(t, inOrder, first)
	})
	t.Run("on the real clock", func(t *testing.T) {
		r := newReceiver(t)
		state := parse(t, `
accounts:
  - sid: `+AccountSID+`
    auth_token: `+AuthToken+`
    defects: {callbacks_late: 1ms, callbacks_reordered: 1}
    conferences:
      - {sid: `+ConferenceSID+`, status_callback: "`+r.URL+`", participants: [{label: guest}]}
`)
		s := New(Config{State: state})
		defer s.Close()
		s.HangUp(ConferenceSID, "guest")
		diff(t, []string{"participant-leave guest", "conference-end"}, r.events(2))
	})
}

func TestListThatLagsBehind(t *testing.T) {
	s := newDefectStage(t, "", "defects: {list_lag: 10s}")
	muted := func() (labels []string) {
		for _, p := range s.get(participantsPath(ConferenceSID) + ".json").json(t)["participants"].([]any) {
			p := p.(map[string]any)
			if p["muted"] == true {
				labels = append(labels, p["label"].(string))
			}
		}
		return labels
	}
	s.Advance(time.Minute)
	s.update("guest", "Muted=true")
	s.Advance(5 * time.Second)
	s.update("host", "Muted=true")
	diff(t, true, s.get(participantPath("host")).json(t)["muted"].(bool))
	diff(t, []string(nil), muted())
	s.Advance(5 * time.Second)
	diff(t, []string{"guest"}, muted())
	s.remove("guest")
	s.Advance(5 * time.Second)
	diff(t, []string{"host", "guest"}, muted())
	diff(t, "404/20404", s.get(participantPath("guest")).outcome())
	s.Advance(5 * time.Second)
	diff(t, []string{"host"}, muted())
}

func TestNewConferenceIsNotFoundByName(t *testing.T) {
	s := newDefectStage(t, "", "defects: {name_lag: 2s}")
	found := func(query string) int {
		return len(s.get(conferencesPath + ".json?" + query).json(t)["conferences"].([]any))
	}
	s.Advance(time.Minute)
	s.create("New", calling(nil))
	diff(t, []int{0, 2}, []int{found("FriendlyName=New"), found("")})
	s.Advance(2 * time.Second)
	diff(t, 1, found("FriendlyName=New"))
}

func TestNewParticipantIsNotFound(t *testing.T) {
	s := newDefectStage(t, "", "defects: {participant_lag: 4s}")
	s.create(ConferenceSID, calling(url.Values{"Label": {"late"}}))
	outcomes := func() []string {
		return []string{s.get(participantPath("late")).outcome(), s.update("late", "Muted=true").outcome()}
	}
	s.Advance(3 * time.Second)
	diff(t, []string{"404/20404", "404/20404"}, outcomes())
	diff(t, 2, len(s.get(participantsPath(ConferenceSID) + ".json").json(t)["participants"].([]any)))
	s.Advance(time.Second)
	diff(t, []string{"200", "200"}, outcomes())
}

func TestUpdatesWithoutEffect(t *testing.T) {
	tests := map[string][]string{ // The properties that the update changes.
		"Muted=true":                 {"muted"},
		"Hold=true":                  {"hold"},
		"EndConferenceOnExit=true":   {"end_conference_on_exit"},
		"CallSidToCoach=" + AgentSID: {"coaching"},
		"Muted=true&Hold=true":       {"muted", "hold"},
	}
	for form, properties := range tests {
		t.Run(form, func(t *testing.T) {
			s := newDefectStage(t, "", "defects: {updates_without_effect: 1}")
			answered, stored := s.update("guest", form).json(t), s.get(participantPath("guest")).json(t)
			changed := 0
			for _, property := range properties {
				diff(t, true, answered[property].(bool))
				if stored[property].(bool) {
					changed++
				}
			}
			diff(t, len(properties)-1, changed)
		})
	}
	s := newDefectStage(t, "", "defects: {updates_without_effect: 0.5}")
	seen := map[bool]bool{}
	for range 20 {
		s.update("guest", "Muted=true")
		seen[s.participant("guest").Muted] = true
		s.update("guest", "Muted=false")
	}
	diff(t, map[bool]bool{true: true, false: true}, seen)
}

func TestRefusedCombinations(t *testing.T) {
	const holdAndCoach = `refusals: [{when: [hold, coaching], code: 16031}]`
	const heldAnnouncement = `refusals: [{when: [hold, announce], code: 16032, status: 409, message: Not now}]`
	const coached = `refusals: [{when: [coached, muted], code: 16033}]`
	coach := "CallSidToCoach=" + AgentSID
	announce := "AnnounceUrl=http://example.com/a"
	tests := map[string]struct {
		settings string
		forms    []string
		want     []string
	}{
		"none by default":           {"", []string{"Hold=true&Muted=true&" + coach + "&" + announce}, []string{"200"}},
		"in one update":             {holdAndCoach, []string{"Hold=true&" + coach}, []string{"400/16031"}},
		"in two updates":            {holdAndCoach, []string{"Hold=true", coach, "Hold=false", coach, "Hold=true"}, []string{"200", "400/16031", "200", "200", "400/16031"}},
		"another property":          {holdAndCoach, []string{"Hold=true", "Muted=true"}, []string{"200", "200"}},
		"an announcement on hold":   {heldAnnouncement, []string{announce, "Hold=true", announce}, []string{"200", "200", "409/16032"}},
		"without one of the fields": {heldAnnouncement, []string{"Hold=true&AnnounceUrl="}, []string{"200"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newDefectStage(t, "", test.settings)
			for i, form := range test.forms {
				diff(t, test.want[i], s.update("guest", form).outcome())
			}
		})
	}
	s := newDefectStage(t, "", coached)
	diff(t, []string{"200", "200", "400/16033"}, []string{
		s.update("host", "Muted=true").outcome(), s.update("guest", coach).outcome(), s.update("host", "Muted=true").outcome(),
	})
	got := newDefectStage(t, "", heldAnnouncement).update("guest", "Hold=true&"+announce)
	if !strings.Contains(got.body, "Not now") || got.status != http.StatusConflict {
		t.Errorf("the answer is %d %s", got.status, got.body)
	}
}
