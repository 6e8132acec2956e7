package sandbox

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twilio/twilio-go/client"
)

// A received is a callback as the receiver got it.
type received struct {
	method string
	url    string // As a receiver without a proxy determines it.
	header http.Header
	body   string
	fields url.Values
}

// event returns the name of the event and the label of its participant.
func (r received) event() string {
	return strings.TrimSpace(r.fields.Get("StatusCallbackEvent") + " " + r.fields.Get("ParticipantLabel"))
}

// A receiver is a server for callbacks. It answers with the answers given to
// newReceiver, and then with 204.
type receiver struct {
	*httptest.Server
	t   *testing.T
	got chan received
}

func newReceiver(t *testing.T, answers ...http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{t: t, got: make(chan received, 2*maxWaiting)}
	left := make(chan http.HandlerFunc, len(answers))
	for _, answer := range answers {
		left <- answer
	}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		fields, _ := url.ParseQuery(string(body))
		maps.Copy(fields, request.URL.Query())
		r.got <- received{
			method: request.Method, url: "http://" + request.Host + request.RequestURI,
			header: request.Header, body: string(body), fields: fields,
		}
		select {
		case answer := <-left:
			answer(w, request)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// events waits for n callbacks and checks their order.
func (r *receiver) events(n int) []string {
	r.t.Helper()
	var events []string
	for i := range n {
		got := <-r.got
		diff(r.t, strconv.Itoa(i+1), got.fields.Get("SequenceNumber"))
		events = append(events, got.event())
	}
	return events
}

// newEventStage returns a stage with one conference that has a host, a guest and a
// status callback. more is appended to the YAML of that.
func newEventStage(t *testing.T, callback, more string) *stage {
	t.Helper()
	state, err := ParseState("state.yaml", []byte(`
accounts:
  - sid: `+AccountSID+`
    auth_token: `+AuthToken+`
    conferences:
      - sid: `+ConferenceSID+`
        friendly_name: Zoë's room
        status_callback: `+callback+`
        participants:
          - {call_sid: `+AgentSID+`, label: host, end_conference_on_exit: true}
          - {call_sid: `+CustomerSID+`, label: guest}
`+more))
	if err != nil {
		t.Fatal(err)
	}
	return newStage(t, Config{State: state})
}

// awaitCallbacks waits until no callback is pending.
func (s *stage) awaitCallbacks() {
	for s.State().Callbacks.Pending > 0 {
		runtime.Gosched()
	}
}

func TestEvents(t *testing.T) {
	tests := map[string]struct {
		do   func(s *stage)
		want []string
	}{
		"mute":                {func(s *stage) { s.update("guest", "Muted=true") }, []string{"participant-mute guest"}},
		"mute, twice":         {func(s *stage) { s.update("guest", "Muted=true"); s.update("guest", "Muted=true") }, []string{"participant-mute guest"}},
		"mute and unmute":     {func(s *stage) { s.update("guest", "Muted=true"); s.update("guest", "Muted=false") }, []string{"participant-mute guest", "participant-unmute guest"}},
		"hold and unhold":     {func(s *stage) { s.update("guest", "Hold=true"); s.update("guest", "Hold=false") }, []string{"participant-hold guest", "participant-unhold guest"}},
		"hold music":          {func(s *stage) { s.update("guest", "HoldUrl=http://example.com/") }, nil},
		"a beep":              {func(s *stage) { s.update("guest", "BeepOnExit=true") }, []string{"participant-modify guest"}},
		"silence":             {func(s *stage) { s.update("guest", "WaitUrl=") }, []string{"participant-modify guest"}},
		"EndConferenceOnExit": {func(s *stage) { s.update("host", "EndConferenceOnExit=false") }, []string{"participant-modify host"}},
		"coaching":            {func(s *stage) { s.update("host", "CallSidToCoach="+CustomerSID) }, []string{"participant-modify host"}},
		"an announcement":     {func(s *stage) { s.update("guest", "AnnounceUrl=http://example.com/a") }, []string{"announcement-end guest"}},
		"several changes": {func(s *stage) {
			s.update("guest", "AnnounceUrl=http://example.com/a&BeepOnExit=true&Hold=true&Muted=true")
		}, []string{"participant-mute guest", "participant-hold guest", "participant-modify guest", "announcement-end guest"}},
		"a refused update":             {func(s *stage) { s.update("guest", "Muted=true&HoldUrl=no") }, nil},
		"no property":                  {func(s *stage) { s.update("guest", "") }, nil},
		"a fault that applies nothing": {func(s *stage) { s.update("fault:503", "Muted=true") }, []string{"participant-join fault:503"}},
		"a fault after applying":       {func(s *stage) { s.update("fault:500-after", "Muted=true") }, []string{"participant-join fault:500-after", "participant-mute fault:500-after"}},
		"a guest removed":              {func(s *stage) { s.remove("guest") }, []string{"participant-leave guest"}},
		"a host hanging up":            {func(s *stage) { s.HangUp(ConferenceSID, "host") }, []string{"participant-leave host", "participant-leave guest", "conference-end"}},
		"ended by request": {
			func(s *stage) { s.do(s.request("POST", conferencePath(ConferenceSID), "Status=completed")) },
			[]string{"participant-leave host", "participant-leave guest", "conference-end"},
		},
		"an announcement to all participants": {
			func(s *stage) {
				s.do(s.request("POST", conferencePath(ConferenceSID), "AnnounceUrl=http://example.com/a"))
			},
			[]string{"announcement-end"},
		},
		"a call that is answered": {
			func(s *stage) {
				s.create(ConferenceSID, calling(url.Values{"Label": {"late"}}))
				s.Advance(time.Minute)
			},
			[]string{"participant-join late"},
		},
		"a call that is not answered": {
			func(s *stage) {
				s.create(ConferenceSID, calling(url.Values{"Label": {"late"}}))
				s.HangUp(ConferenceSID, "late")
			},
			[]string{"participant-leave late"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			s := newEventStage(t, r.URL+"/events", "")
			test.do(s)
			s.Advance(defaultDuration)
			diff(t, len(test.want), s.conference("Zoë's room").SequenceNumber)
			diff(t, test.want, r.events(len(test.want)))
		})
	}
}

func TestEventFields(t *testing.T) {
	fields := func(name, number, timestamp string, more map[string]string) url.Values {
		form := url.Values{
			"AccountSid": {AccountSID}, "ConferenceSid": {ConferenceSID}, "FriendlyName": {"Zoë's room"},
			"SequenceNumber": {number}, "StatusCallbackEvent": {name}, "Timestamp": {timestamp},
		}
		for name, value := range more {
			form.Set(name, value)
		}
		return form
	}
	const first, played, second = "Fri, 18 Feb 2011 21:07:19 +0000", "Fri, 18 Feb 2011 21:07:24 +0000", "Tue, 1 Mar 2011 21:07:19 +0000"
	host := map[string]string{
		"CallSid": AgentSID, "ParticipantLabel": "host", "Muted": "true", "Hold": "false",
		"Coaching": "true", "CallSidToCoach": CustomerSID, "EndConferenceOnExit": "true", "StartConferenceOnEnter": "true",
	}
	held := map[string]string{
		"CallSid": HeldSID, "Muted": "false", "Hold": "true",
		"Coaching": "false", "EndConferenceOnExit": "false", "StartConferenceOnEnter": "false",
	}
	with := func(all map[string]string, more ...string) map[string]string {
		all = maps.Clone(all)
		for i := 0; i < len(more); i += 2 {
			all[more[i]] = more[i+1]
		}
		return all
	}
	const ended = "participant-with-end-conference-on-exit-kicked"
	want := []url.Values{
		fields("participant-mute", "1", first, with(host, "Coaching", "true")),
		fields("participant-modify", "2", first, host),
		fields("announcement-end", "3", played, map[string]string{"AnnounceUrl": "http://example.com/b"}),
		fields("announcement-end", "4", played, with(held, "AnnounceUrl", "http://example.com/a")),
		fields("participant-leave", "5", second, with(host, "ReasonParticipantLeft", "participant_updated_via_api", "ParticipantCallStatus", "completed")),
		fields("participant-leave", "6", second, with(held, "ReasonParticipantLeft", "moderator_ended_conference", "ParticipantCallStatus", "completed")),
		fields("conference-end", "7", second, map[string]string{
			"ReasonConferenceEnded": ended, "Reason": ended, "CallSidEndingConference": AgentSID, "ParticipantLabelEndingConference": "host",
		}),
	}

	r := newReceiver(t)
	s := newEventStage(t, r.URL+"/events", "          - {call_sid: "+HeldSID+", hold: true, start_conference_on_enter: false}")
	s.HangUp(ConferenceSID, "guest")
	<-r.got
	s.Reset()
	s.update("host", "Muted=true&CallSidToCoach="+CustomerSID)
	s.update(HeldSID, "AnnounceUrl=http://example.com/a")
	s.do(s.request("POST", conferencePath(ConferenceSID), "AnnounceUrl=http://example.com/b"))
	s.Advance(defaultDuration)
	for range 4 {
		got := <-r.got
		diff(t, want[0], got.fields)
		want = want[1:]
	}
	s.Advance(11*24*time.Hour - defaultDuration)
	s.HangUp(ConferenceSID, "guest")
	diff(t, "participant-leave guest", (<-r.got).event())
	s.remove("host")
	for i := range want {
		want[i].Set("SequenceNumber", strconv.Itoa(i+6))
		diff(t, want[i], (<-r.got).fields)
	}
}

func TestReasonsForLeaving(t *testing.T) {
	tests := map[string]struct {
		leave func(s *stage)
		want  string // The reason and the status of the call.
	}{
		"removed":                            {func(s *stage) { s.remove("guest") }, "participant_updated_via_api completed"},
		"hanging up":                         {func(s *stage) { s.HangUp(ConferenceSID, "guest") }, "participant_hung_up completed"},
		"the host removed":                   {func(s *stage) { s.remove("host") }, "moderator_ended_conference completed"},
		"ended by request":                   {func(s *stage) { s.do(s.request("POST", conferencePath(ConferenceSID), "Status=completed")) }, "conference_ended_via_api completed"},
		"removed before the answer":          {func(s *stage) { s.remove("late") }, "participant_updated_via_api canceled"},
		"hanging up before the answer":       {func(s *stage) { s.HangUp(ConferenceSID, "late") }, "participant_add_failed no-answer"},
		"the host removed before the answer": {func(s *stage) { s.remove("guest"); s.remove("host") }, "moderator_ended_conference canceled"},
		"ended by request before the answer": {func(s *stage) {
			s.remove("guest")
			s.do(s.request("POST", conferencePath(ConferenceSID), "Status=completed"))
		}, "conference_ended_via_api canceled"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			s := newEventStage(t, r.URL, "")
			s.create(ConferenceSID, calling(url.Values{"Label": {"late"}}))
			test.leave(s)
			whom := "guest"
			if strings.Contains(test.want, "canceled") || strings.Contains(test.want, "no-answer") {
				whom = "late"
			}
			got := <-r.got
			for got.event() != "participant-leave "+whom {
				got = <-r.got
			}
			diff(t, test.want, got.fields.Get("ReasonParticipantLeft")+" "+got.fields.Get("ParticipantCallStatus"))
		})
	}
}

func TestOfficialValidatorAcceptsSignatures(t *testing.T) {
	for name, path := range map[string]string{
		"a path":               "/events",
		"no path":              "",
		"a query":              "/events?tenant=a%20b&empty=",
		"escaped characters":   "/caf%C3%A9/100%25",
		"connection overrides": "/events#rc=2&ct=3000",
	} {
		for _, method := range []string{http.MethodPost, http.MethodGet} {
			t.Run(name+" by "+method, func(t *testing.T) {
				r := newReceiver(t)
				s := newEventStage(t, `"`+r.URL+path+`"`, "        status_callback_method: "+method)
				s.update("guest", "Muted=true&CallSidToCoach="+AgentSID)
				got := <-r.got
				signature := got.header.Get("X-Twilio-Signature")
				validator := client.NewRequestValidator(AuthToken)
				valid := validator.Validate(got.url, nil, signature)
				if method == http.MethodPost {
					valid = validator.ValidateBody(got.url, []byte(got.body), signature)
				}
				diff(t, []any{true, method, "participant-mute guest"}, []any{valid, got.method, got.event()})
				diff(t, method == http.MethodGet, got.body == "")
				if other := client.NewRequestValidator("another token"); other.ValidateBody(got.url, []byte(got.body), signature) {
					t.Error("the signature is valid for another token")
				}
				if token := got.header.Get("I-Twilio-Idempotency-Token"); len(token) != 36 || token == (<-r.got).header.Get("I-Twilio-Idempotency-Token") {
					t.Errorf("the idempotency token %q is malformed or used twice", token)
				}
			})
		}
	}
}

func TestOnlyRequestedEventsAreSentAndNumbered(t *testing.T) {
	r := newReceiver(t)
	s := newEventStage(t, r.URL, "        status_callback_event: [leave, mute]")
	s.update("guest", "Hold=true")
	s.update("guest", "Muted=true")
	s.update("guest", "BeepOnExit=true")
	s.remove("guest")
	s.remove("host")
	diff(t, []string{"participant-mute guest", "participant-leave guest", "participant-leave host"}, r.events(3))
}

func TestFirstParticipantSetsStatusCallback(t *testing.T) {
	tests := map[string]struct {
		asked []string
		want  []string
	}{
		"the start and the end, by default": {nil, []string{"conference-start", "conference-end"}},
		"several fields":                    {[]string{"join", "leave"}, []string{"participant-join guest", "participant-leave guest"}},
		"one field":                         {[]string{"start join  end"}, []string{"participant-join guest", "conference-start", "conference-end"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r, late := newReceiver(t), newReceiver(t)
			s := newStage(t, Config{})
			s.create("New", calling(url.Values{
				"Label": {"guest"}, "ConferenceStatusCallback": {r.URL}, "ConferenceStatusCallbackEvent": test.asked,
			}))
			s.create("New", calling(url.Values{"ConferenceStatusCallback": {late.URL}, "StartConferenceOnEnter": {"false"}}))
			sid := s.conference("New").SID
			s.HangUp(sid, s.conference("New").Participants[1].CallSID)
			s.Advance(time.Minute)
			s.HangUp(sid, "guest")
			want := test.want
			if name == "several fields" {
				want = append([]string{"participant-leave"}, want...)
			}
			diff(t, want, r.events(len(want)))
			diff(t, 0, len(late.got))
		})
	}
}

func TestEventsOfCallsAreSentWithoutRequests(t *testing.T) {
	r := newReceiver(t)
	s := &stage{Sandbox: New(Config{CallStep: time.Millisecond}), t: t}
	s.server = httptest.NewServer(s.Sandbox)
	defer s.server.Close()
	defer s.Close()
	s.create("New", calling(url.Values{"ConferenceStatusCallback": {r.URL}}))
	diff(t, []string{"conference-start"}, r.events(1))
}

func TestFailedCallbacksAreCountedAndNotRepeated(t *testing.T) {
	var elsewhere *receiver
	tests := map[string]struct {
		answer http.HandlerFunc
		why    string
	}{
		"an error":            {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, "is answered 500"},
		"a redirect":          {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, "is answered 302"},
		"a closed connection": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			elsewhere = newReceiver(t)
			r := newReceiver(t, test.answer)
			s := newEventStage(t, r.URL, "")
			s.update("guest", "Muted=true")
			s.update("guest", "Muted=false")
			diff(t, []string{"participant-mute guest", "participant-unmute guest"}, r.events(2))
			s.awaitCallbacks()
			got := s.State().Callbacks
			if !strings.Contains(got.LastFailure, test.why) {
				t.Errorf("the failure is %q, want one with %q", got.LastFailure, test.why)
			}
			got.LastFailure = ""
			diff(t, Callbacks{Delivered: 1, Failed: 1}, got)
			diff(t, 0, len(elsewhere.got))
		})
	}
}

func TestUnreachableReceiverIsAFailure(t *testing.T) {
	r := newReceiver(t)
	r.Close()
	s := newEventStage(t, r.URL, "")
	s.update("guest", "Muted=true")
	s.awaitCallbacks()
	diff(t, 1, s.State().Callbacks.Failed)
}

// holding returns a handler that waits until release, or the end of the request.
func holding(release <-chan struct{}) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
}

func TestSlowReceiverDoesNotBlockRequests(t *testing.T) {
	release := make(chan struct{})
	r := newReceiver(t, holding(release))
	s := newEventStage(t, r.URL, "")
	s.update("guest", "Muted=true")
	first := <-r.got
	diff(t, "200", s.update("guest", "Muted=false").outcome())
	const events = 3 // Of an update.
	const updates = maxWaiting/events + 1
	for i := range updates {
		s.update("guest", strings.ReplaceAll("Muted=?&Hold=?&BeepOnExit=?", "?", strconv.FormatBool(i%2 == 0)))
	}
	got := s.State()
	diff(t, Callbacks{Pending: 1 + maxWaiting, Dropped: 1 + updates*events - maxWaiting}, got.Callbacks)
	diff(t, 2+updates*events, got.Accounts[0].Conferences[0].SequenceNumber)
	diff(t, "participant-mute guest", first.event())
	close(release)
	for i := range maxWaiting {
		if number := (<-r.got).fields.Get("SequenceNumber"); number != strconv.Itoa(i+2) {
			t.Fatalf("callback %s comes after %d", number, i+1)
		}
	}
}

func TestConferencesDoNotWaitForEachOther(t *testing.T) {
	release := make(chan struct{})
	slow, quick := newReceiver(t, holding(release)), newReceiver(t)
	s := newEventStage(t, slow.URL, `
      - sid: `+InitConferenceSID+`
        status_callback: `+quick.URL+`
        participants: [{label: other}]`)
	s.update("guest", "Muted=true")
	<-slow.got
	s.HangUp(InitConferenceSID, "other")
	diff(t, []string{"participant-leave other", "conference-end"}, quick.events(2))
	close(release)
}

func TestResetDropsWaitingCallbacks(t *testing.T) {
	r := newReceiver(t, holding(nil))
	s := newEventStage(t, r.URL, "")
	s.update("guest", "Muted=true")
	s.update("guest", "Muted=false")
	<-r.got
	s.Reset()
	diff(t, Callbacks{}, s.State().Callbacks)
	s.update("guest", "Hold=true")
	diff(t, []string{"participant-hold guest"}, r.events(1))
}

func TestCloseCancelsCallbacks(t *testing.T) {
	r := newReceiver(t, holding(nil))
	s := newEventStage(t, r.URL, "")
	s.update("guest", "Muted=true")
	s.update("guest", "Muted=false")
	<-r.got
	s.Close()
	diff(t, Callbacks{Failed: 1}, func() Callbacks { c := s.State().Callbacks; c.LastFailure = ""; return c }())
	s.update("guest", "Muted=true")
	s.Reset()
	s.update("guest", "Muted=true")
	s.Close()
	diff(t, 0, s.State().Callbacks.Pending)
	diff(t, 0, len(r.got))
}

func TestStatusCallbackURLs(t *testing.T) {
	tests := map[string]string{
		"http://127.0.0.1:9000/events":   "",
		"https://127.8.9.10/":            "",
		"http://[::1]:9000":              "",
		"http://localhost:9000/":         "",
		"http://LOCALHOST/":              "",
		"http://example.com/":            "must be on loopback",
		"http://localhost.example.com/":  "must be on loopback",
		"http://10.0.0.1/":               "must be on loopback",
		"http://0.0.0.0:9000/":           "must be on loopback",
		"http://[::]/":                   "must be on loopback",
		"http://user:secret@127.0.0.1/":  "must not have credentials",
		"http://127.0.0.1@example.com/":  "must not have credentials",
		"ftp://127.0.0.1/":               "is not a valid URL",
		"127.0.0.1:9000":                 "is not a valid URL",
		"/events":                        "is not a valid URL",
		"http://127.0.0.1:port/":         "is not a valid URL",
		"http://169.254.169.254/latest/": "must be on loopback",
	}
	s := newStage(t, Config{})
	for address, want := range tests {
		t.Run(address, func(t *testing.T) {
			s.Reset()
			got := s.create("New", calling(url.Values{"ConferenceStatusCallback": {address}, "ConferenceStatusCallbackEvent": {"speaker"}}))
			message, _ := got.json(t)["message"].(string)
			wantOutcome := "201"
			if want != "" {
				wantOutcome = "400/21205"
			}
			if got.outcome() != wantOutcome || !strings.Contains(message, want) {
				t.Errorf("got %s %q, want %s with %q", got.outcome(), message, wantOutcome, want)
			}
		})
	}
}

func TestCallbacksConnectToLoopbackOnly(t *testing.T) {
	for address, want := range map[string]bool{"127.0.0.1:80": true, "[::1]:80": true, "192.0.2.1:80": false, "nonsense": false} {
		diff(t, want, refuseOtherHosts("tcp", address, nil) == nil)
	}
	_, err := callbackClient.Get("http://192.0.2.1/")
	if wrong, isURL := errors.AsType[*url.Error](err); !isURL || !strings.Contains(wrong.Error(), "is not on loopback") {
		t.Errorf("the error is %v, want that it is not on loopback", err)
	}
}
