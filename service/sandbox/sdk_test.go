package sandbox

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twilio/twilio-go/client"
	twilio "github.com/twilio/twilio-go/rest/api/v2010"
)

// A detour sends every request to another server than the one in its URL. twilio-go
// has no setting for the base URL.
type detour struct {
	to   *url.URL
	over http.RoundTripper
}

func (d detour) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host, r.Host = d.to.Scheme, d.to.Host, ""
	return d.over.RoundTrip(r)
}

// sdk returns twilio-go with the sandbox as Twilio.
func (s *stage) sdk(user, password string) *twilio.ApiService {
	s.t.Helper()
	to, err := url.Parse(s.server.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	c := &client.Client{
		Credentials: client.NewCredentials(user, password),
		HTTPClient:  &http.Client{Transport: detour{to, s.server.Client().Transport}},
	}
	c.SetAccountSid(AccountSID)
	return twilio.NewApiServiceWithClient(c)
}

func newSDKStage(t *testing.T) (*stage, *twilio.ApiService) {
	s := newStage(t, Config{})
	return s, s.sdk(AccountSID, AuthToken)
}

// check fails the test on an error.
func check[T any](t *testing.T, value T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// refusal returns the status and the code of twilio-go's error.
func refusal(t *testing.T, err error) string {
	t.Helper()
	refused, isRefusal := errors.AsType[*client.TwilioRestError](err)
	if !isRefusal {
		t.Fatalf("the error is %v, want a TwilioRestError", err)
	}
	if refused.Message == "" || refused.MoreInfo != fmt.Sprintf("https://www.twilio.com/docs/errors/%d", refused.Code) {
		t.Errorf("the error is incomplete: %+v", refused)
	}
	return fmt.Sprintf("%d/%d", refused.Status, refused.Code)
}

func TestSDKUpdatesEveryProperty(t *testing.T) {
	s, api := newSDKStage(t)
	s.clock.advance(time.Second)
	const music = "https://example.com/music.mp3#rc=2&ct=3000"
	params := (&twilio.UpdateParticipantParams{}).
		SetMuted(true).SetHold(true).SetHoldUrl(music).SetHoldMethod("POST").
		SetAnnounceUrl(music).SetAnnounceMethod("GET").SetWaitUrl("").SetWaitMethod("GET").
		SetBeepOnExit(true).SetEndConferenceOnExit(true).SetCoaching(true).SetCallSidToCoach(AgentSID)
	got, err := api.UpdateParticipant(ConferenceSID, SupervisorSID, params)
	diff(t, &twilio.ApiV2010Participant{
		AccountSid: new(AccountSID), CallSid: new(SupervisorSID), Label: new("supervisor"),
		CallSidToCoach: new(AgentSID), Coaching: new(true), ConferenceSid: new(ConferenceSID),
		DateCreated: new(began), DateUpdated: new(began1), EndConferenceOnExit: new(true), Muted: new(true), Hold: new(true),
		StartConferenceOnEnter: new(true), Status: new("connected"), Uri: new(participantPath(SupervisorSID)),
	}, check(t, got, err))

	p := s.participant(SupervisorSID)
	diff(t, []any{music, "POST", "", "GET", true}, []any{p.HoldURL, p.HoldMethod, *p.WaitURL, p.WaitMethod, p.BeepOnExit})
	diff(t, []Announcement{{URL: music, Method: "GET", Time: s.clock.Now(), Ends: s.clock.Now().Add(defaultDuration)}}, p.Announcements)

	// Each setter of the SDK is a field of the form in the journal.
	var fields int
	for field := range reflect.TypeFor[twilio.UpdateParticipantParams]().Fields() {
		if field.Name != "PathAccountSid" {
			fields++
		}
	}
	diff(t, fields, len(s.Journal()[0].Form))
}

// TestSDKFindsLabels covers the labels that twilio-go can address. It does not escape
// labels, so callers have to escape some.
func TestSDKFindsLabels(t *testing.T) {
	tests := map[string]struct {
		label string
		plain string // The result without escaping: found, refused, or garbled (no valid request).
	}{
		"a space":               {"back office", "found"},
		"a letter beyond ASCII": {"café", "found"},
		"a plus":                {"a+b", "found"},
		"an ampersand":          {"a&b=c", "found"},
		"a colon":               {"sip:a@b", "found"},
		"a percent sign":        {"100%", "garbled"},
		"a percent and digits":  {"50%20", "refused"},
		"a question mark":       {"a?b", "garbled"},
		"a hash":                {"a#b", "garbled"},
		"no label at all":       {HeldSID, "found"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, api := newSDKStage(t)
			if test.label != HeldSID {
				params := (&twilio.CreateParticipantParams{}).SetFrom("+15017122661").SetTo("client:guest").SetLabel(test.label)
				created, err := api.CreateParticipant(ConferenceSID, params)
				diff(t, test.label, *check(t, created, err).Label)
			}
			mute := (&twilio.UpdateParticipantParams{}).SetMuted(true)
			_, err := api.UpdateParticipant(ConferenceSID, test.label, mute)
			var refused *client.TwilioRestError
			switch {
			case err == nil:
				diff(t, test.plain, "found")
			case errors.As(err, &refused):
				diff(t, test.plain, "refused")
			default:
				diff(t, test.plain, "garbled")
			}

			key := url.PathEscape(test.label)
			updated, err := api.UpdateParticipant(ConferenceSID, key, mute)
			diff(t, true, *check(t, updated, err).Muted)
			fetched, err := api.FetchParticipant(ConferenceSID, key, nil)
			diff(t, updated, check(t, fetched, err))
			if err := api.DeleteParticipant(ConferenceSID, key, nil); err != nil {
				t.Fatal(err)
			}
			_, err = api.FetchParticipant(ConferenceSID, key, nil)
			diff(t, "404/20404", refusal(t, err))
		})
	}
}

func TestSDKCreatesParticipant(t *testing.T) {
	s, api := newSDKStage(t)
	params := (&twilio.CreateParticipantParams{}).
		SetFrom("+15017122661").SetTo("+15558675310").SetLabel("guest").SetMuted(true).SetEndConferenceOnExit(true).
		SetBeep("onEnter").SetTimeout(30).SetMaxParticipants(10).SetRegion("ie1").SetWaitUrl("").
		SetConferenceStatusCallback("http://127.0.0.1:9/").SetConferenceStatusCallbackEvent([]string{"join", "leave"}).
		SetStatusCallback("https://example.com/calls").SetStatusCallbackEvent([]string{"answered"})
	created, err := api.CreateParticipant("New room", params)
	check(t, created, err)
	diff(t, []string{"queued", "1000"}, []string{*created.Status, *created.QueueTime})
	room := s.conference("New room")
	diff(t, []any{10, "ie1", "http://127.0.0.1:9/", []string{"join", "leave"}},
		[]any{room.MaxParticipants, room.Region, room.StatusCallback, room.StatusCallbackEvent})

	s.Advance(3 * time.Second)
	fetched, err := api.FetchParticipant(*created.ConferenceSid, "guest", nil)
	check(t, fetched, err)
	diff(t, "connected", *fetched.Status)
	conference, err := api.FetchConference(*created.ConferenceSid, nil)
	diff(t, "in-progress", *check(t, conference, err).Status)
	if err := api.DeleteParticipant(*created.ConferenceSid, *created.CallSid, nil); err != nil {
		t.Fatal(err)
	}
	conference, err = api.FetchConference(*created.ConferenceSid, nil)
	check(t, conference, err)
	diff(t, []string{"completed", "participant-with-end-conference-on-exit-kicked", *created.CallSid},
		[]string{*conference.Status, *conference.ReasonConferenceEnded, *conference.CallSidEndingConference})
}

func TestSDKListsParticipants(t *testing.T) {
	s, api := newSDKStage(t)
	for i := range 20 {
		if _, err := s.AddParticipant(ConferenceSID, Participant{Label: fmt.Sprint("guest ", i), Muted: i%2 == 0}); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		params *twilio.ListParticipantParams
		want   int
	}{
		"all":            {nil, 25},
		"small pages":    {(&twilio.ListParticipantParams{}).SetPageSize(3), 25},
		"a limit":        {(&twilio.ListParticipantParams{}).SetPageSize(3).SetLimit(7), 7},
		"a filter":       {(&twilio.ListParticipantParams{}).SetMuted(true).SetPageSize(4), 10},
		"another filter": {(&twilio.ListParticipantParams{}).SetHold(true), 1},
		"coaching":       {(&twilio.ListParticipantParams{}).SetCoaching(true), 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			all, err := api.ListParticipant(ConferenceSID, test.params)
			seen := map[string]bool{}
			for _, p := range check(t, all, err) {
				seen[*p.CallSid] = true
			}
			diff(t, []int{test.want, test.want}, []int{len(all), len(seen)})
		})
	}
}

func TestSDKListsAndEndsConferences(t *testing.T) {
	_, api := newSDKStage(t)
	sids := func(params *twilio.ListConferenceParams) []string {
		t.Helper()
		all, err := api.ListConference(params)
		var sids []string
		for _, c := range check(t, all, err) {
			sids = append(sids, *c.Sid)
		}
		return sids
	}
	diff(t, []string{CompletedConferenceSID, InitConferenceSID, ConferenceSID}, sids((&twilio.ListConferenceParams{}).SetPageSize(2)))
	diff(t, []string{ConferenceSID}, sids((&twilio.ListConferenceParams{}).SetStatus("in-progress").SetFriendlyName("Support")))
	diff(t, 3, len(sids((&twilio.ListConferenceParams{}).SetDateCreated("2011-02-18").SetDateCreatedBefore("2011-02-18").SetDateCreatedAfter("2011-02-18"))))
	diff(t, 0, len(sids((&twilio.ListConferenceParams{}).SetDateUpdatedAfter("2011-02-19"))))

	announced, err := api.UpdateConference(ConferenceSID, (&twilio.UpdateConferenceParams{}).SetAnnounceUrl("https://example.com/a.mp3").SetAnnounceMethod("GET"))
	diff(t, "in-progress", *check(t, announced, err).Status)
	ended, err := api.UpdateConference(ConferenceSID, (&twilio.UpdateConferenceParams{}).SetStatus("completed"))
	check(t, ended, err)
	want := &twilio.ApiV2010Conference{
		AccountSid: new(AccountSID), DateCreated: new(began), DateUpdated: new(began), ApiVersion: new("2010-04-01"),
		FriendlyName: new("Support"), Region: new("us1"), Sid: new(ConferenceSID), Status: new("completed"), Uri: new(conferencePath(ConferenceSID)),
		SubresourceUris: &map[string]any{
			"participants": participantsPath(ConferenceSID) + ".json", "recordings": conferencesPath + "/" + ConferenceSID + "/Recordings.json",
		},
		ReasonConferenceEnded: new("conference-ended-via-api"),
	}
	if d := cmp.Diff(want, ended); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	left, err := api.ListParticipant(ConferenceSID, nil)
	diff(t, 0, len(check(t, left, err)))
	_, err = api.UpdateParticipant(ConferenceSID, AgentSID, (&twilio.UpdateParticipantParams{}).SetMuted(true))
	diff(t, "404/20404", refusal(t, err))
}

func TestSDKReadsErrors(t *testing.T) {
	s, api := newSDKStage(t)
	mute := (&twilio.UpdateParticipantParams{}).SetMuted(true)
	tests := map[string]struct {
		do   func() error
		want string
	}{
		"a wrong token": {func() error {
			_, err := s.sdk(AccountSID, "wrong").FetchParticipant(ConferenceSID, AgentSID, nil)
			return err
		}, "401/20003"},
		"an unknown participant": {func() error { _, err := api.UpdateParticipant(ConferenceSID, "nobody", mute); return err }, "404/20404"},
		"too many requests":      {func() error { _, err := api.UpdateParticipant(ConferenceSID, "fault:429", mute); return err }, "429/20429"},
		"a label that is taken": {func() error {
			_, err := api.CreateParticipant(ConferenceSID, (&twilio.CreateParticipantParams{}).SetFrom("+15017122661").SetTo("client:guest").SetLabel("agent"))
			return err
		}, "400/16026"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { diff(t, test.want, refusal(t, test.do())) })
	}
}
