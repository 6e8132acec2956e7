package delivery

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"conferenced/service/twilio"
)

// rooms is a Twilio with conferences and participants. Requests take no time.
type rooms struct {
	mu sync.Mutex // Held by change and respond.
	// pages are the answers to a list of conferences.
	pages [][]twilio.Conference
	// present are the names of the participants, by conference.
	present map[string][]string
	// lists are the errors of the next lists, in order.
	lists []error
}

// change changes the rooms during a test.
func (r *rooms) change(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

func (r *rooms) respond(c *call) step {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch c.request.Operation {
	case twilio.ListConferences, twilio.ListParticipants:
		if len(r.lists) > 0 {
			err := r.lists[0]
			r.lists = r.lists[1:]
			return step{err: err}
		}
		return step{answer: r.list(c.request)}
	default:
		if !slices.Contains(r.present[c.request.Path.ConferenceSID], c.request.Path.Participant) {
			return step{err: status(404)}
		}
		return step{}
	}
}

func (r *rooms) list(request *twilio.Request) *twilio.Answer {
	answer := &twilio.Answer{HTTPStatus: 200}
	if request.Operation == twilio.ListParticipants {
		for _, name := range r.present[request.Path.ConferenceSID] {
			answer.Participants = append(answer.Participants, twilio.Participant{Label: &name})
		}
		return answer
	}
	page := 0
	_, _ = fmt.Sscan(request.Query.Get("Page"), &page) // Empty for the first one.
	if page < len(r.pages) {
		answer.Conferences = r.pages[page]
	}
	if page+1 < len(r.pages) {
		answer.Next = url.Values{"Page": {fmt.Sprint(page + 1)}}
	}
	return answer
}

// room returns a conference in progress.
func room(sid, name string) twilio.Conference {
	status := "in-progress"
	return twilio.Conference{SID: sid, FriendlyName: &name, Status: &status}
}

func ended(c twilio.Conference) twilio.Conference {
	status := "completed"
	c.Status = &status
	return c
}

// named returns an update whose conference is given by name.
func named(name string, u *Update) *Update {
	u.Path.ConferenceSID = NamePrefix + name
	return u
}

func patient(u *Update) *Update {
	u.Wait = true
	return u
}

// withRooms runs a test with the rooms. The clock of the test stands still but for pass.
func withRooms(t *testing.T, cfg Config, r *rooms, test func(*world)) {
	t.Helper()
	with(t, cfg, func(w *world) {
		w.twilio.respond = r.respond
		test(w)
	})
}

func TestConferenceByName(t *testing.T) {
	support := room("CF1", "support")
	long := make([][]twilio.Conference, maxPages+1)
	for i := range long {
		long[i] = []twilio.Conference{room("CF9", "Support")}
	}
	long[0] = append(long[0], support)
	for _, test := range []struct {
		name  string
		pages [][]twilio.Conference
		end   string
		lists int
	}{
		{"one", [][]twilio.Conference{{support}}, "ok", 1},
		{"none", nil, "conference not found, no", 1},
		{"several", [][]twilio.Conference{{support, room("CF2", "support")}}, "conference ambiguous, no", 1},
		{"names that Twilio's filter takes for the same", [][]twilio.Conference{{
			room("CF2", "Support"), room("CF3", "support "), support, {SID: "CF4"},
		}}, "ok", 1},
		{"one that has ended", [][]twilio.Conference{{ended(room("CF2", "support")), support}}, "ok", 1},
		{"on the second page", [][]twilio.Conference{{room("CF2", "supporters")}, {support}}, "ok", 2},
		{"the same one on two pages", [][]twilio.Conference{{support}, {support}}, "ok", 2},
		{"several on two pages", [][]twilio.Conference{{support}, {room("CF2", "support")}}, "conference ambiguous, no", 2},
		{"more pages than are read", long, "conference ambiguous, no", maxPages},
	} {
		t.Run(test.name, func(t *testing.T) {
			withRooms(t, ordered(), &rooms{pages: test.pages, present: map[string][]string{"CF1": {"CA1"}}}, func(w *world) {
				update := named("support", on("CA1", mute))
				w.wantEnd(w.finish(update), test.end)
				sent := w.twilio.sent()
				if got := sent[0].request.Query; got.Get("FriendlyName") != "support" || got.Get("Status") != "in-progress" {
					t.Errorf("the query is %v", got)
				}
				if test.end != "ok" {
					w.wantSends(test.lists)
					return
				}
				w.wantSends(test.lists + 1)
				if got := sent[len(sent)-1].request.Path.ConferenceSID; got != "CF1" || update.Path.ConferenceSID != "CF1" {
					t.Errorf("the update was sent to %s, and has %s", got, update.Path.ConferenceSID)
				}
			})
		})
	}
}

func TestReadByName(t *testing.T) {
	withRooms(t, ordered(), &rooms{
		pages: [][]twilio.Conference{{room("CF1", "support")}}, present: map[string][]string{"CF1": {"CA1"}},
	}, func(w *world) {
		found, absent := fetch("CA1"), fetch("CA1")
		found.Path.ConferenceSID, absent.Path.ConferenceSID = "name:support", "name:sales"
		w.wantEnd(w.read(w.t.Context(), found), "ok")
		if found.Path.ConferenceSID != "CF1" {
			t.Errorf("the request has %s", found.Path.ConferenceSID)
		}
		w.wantEnd(w.read(w.t.Context(), absent), "conference not found, no")
		w.wantSends(3)
	})
}

func TestRequestIDOfAName(t *testing.T) {
	const id = "6d1f3f6e-8a55-4c3b-9d34-0b7a4f7b5a10"
	r := &rooms{present: map[string][]string{"CF1": {"CA1"}, "CF2": {"CA1"}}}
	withRooms(t, withRequestIDs(), r, func(w *world) {
		update := func() *Update { return withID(id, named("support", on("CA1", mute))) }
		w.wantEnd(w.finish(update()), "conference not found, no")
		r.change(func() { r.pages = [][]twilio.Conference{{room("CF1", "support")}} })
		w.wantEnd(w.finish(update()), "ok")
		w.wantSends(3)
		r.change(func() { r.pages = [][]twilio.Conference{{room("CF2", "support")}} })
		w.wantEnd(w.finish(update()), "ok")
		w.wantEnd(w.finish(withID(id, named("sales", on("CA1", mute)))), "request id reused, no")
		w.wantSends(3)
	})
}

func TestRetriesOfAName(t *testing.T) {
	r := &rooms{
		pages:   [][]twilio.Conference{{room("CF1", "support")}},
		present: map[string][]string{"CF1": {"CA1"}},
		lists:   []error{status(503), status(429), errNoAnswer},
	}
	withRooms(t, retrying(4), r, func(w *world) {
		w.wantEnd(w.finish(named("support", on("CA1", mute))), "ok")
		w.wantSends(5)
	})
	r.change(func() { r.lists = []error{status(503)} })
	withRooms(t, retrying(1), r, func(w *world) {
		w.wantEnd(w.finish(named("support", on("CA1", mute))), "503, no")
		w.wantSends(1)
	})
	with(t, ordered(), func(w *world) { // The list does not end.
		p := w.deliver(w.within(time.Second), named("support", on("CA1", mute)))
		w.pass(time.Second)
		w.wantEnd(p, "deadline, no")
	})
}

// TestOrderOfNames ends the lists of two updates in the other order.
func TestOrderOfNames(t *testing.T) {
	with(t, ordered(), func(w *world) {
		older := w.start(named("support", on("CA1", mute)))
		newer := w.start(named("support", on("CA1", hold)))
		list := step{answer: &twilio.Answer{Conferences: []twilio.Conference{room("CF1", "support")}}}
		w.end(2, list)
		w.wantSends(2)
		w.end(1, list)
		w.answer(3, nil)
		w.answer(4, nil)
		w.wantSent(" GET", " GET", muteCA1, holdCA1)
		w.wantEnd(older, "ok")
		w.wantEnd(newer, "ok")
	})
}

// TestArrivalsAreBounded has a caller with more updates than its share.
func TestArrivalsAreBounded(t *testing.T) {
	cfg := ordered()
	cfg.Bounds.Queue = 2
	with(t, cfg, func(w *world) {
		var updates []*pending
		for range 3 {
			updates = append(updates, w.start(named("support", on("CA1", mute))))
		}
		w.wantEnd(updates[2], "overloaded, no")
		other := w.start(from("other", named("support", on("CA1", mute))))
		w.wantEnd(other, "pending")
		for n := range 3 {
			w.end(n+1, step{answer: new(twilio.Answer)})
		}
		w.wantEnd(updates[0], "conference not found, no")
		w.wantEnd(other, "conference not found, no")
	})
}

// times returns when each of the attempts of an operation began.
func (w *world) times(operation twilio.Operation) string {
	var at []string
	for _, c := range w.twilio.sent() {
		if c.request.Operation == operation {
			at = append(at, c.at.Sub(w.began).String())
		}
	}
	return strings.Join(at, " ")
}

func (w *world) wantTimes(operation twilio.Operation, want string) {
	w.t.Helper()
	if got := w.times(operation); got != want {
		w.t.Errorf("%s at %s, want %s", operation, got, want)
	}
}

func TestWaitForParticipant(t *testing.T) {
	for _, unordered := range []bool{false, true} {
		r := &rooms{present: map[string][]string{}}
		cfg := retrying(2)
		cfg.Unordered = unordered
		withRooms(t, cfg, r, func(w *world) {
			first, second := w.start(patient(on("CA1", mute))), w.start(patient(on("CA2", mute)))
			w.pass(5 * time.Second)
			w.wantTimes(twilio.ListParticipants, "250ms 750ms 1.75s 3.75s")
			r.change(func() { r.present["CF1"] = []string{"CA1"} })
			w.pass(time.Second)
			w.wantEnd(first, "ok")
			w.wantEnd(second, "pending")
			r.change(func() { r.present["CF1"] = []string{"CA1", "CA2"} })
			w.pass(2 * time.Second)
			w.wantEnd(second, "ok")
			w.wantTimes(twilio.ListParticipants, "250ms 750ms 1.75s 3.75s 5.75s 7.75s")
			w.wantTimes(twilio.UpdateParticipant, "0s 0s 5.75s 7.75s")
			w.pass(time.Minute)
			w.wantSends(10)
		})
	}
}

func TestWaitForConference(t *testing.T) {
	r := &rooms{present: map[string][]string{}}
	withRooms(t, ordered(), r, func(w *world) {
		older := w.start(patient(named("support", on("CA1", mute))))
		newer := w.start(patient(named("support", on("CA1", hold))))
		w.wantEnd(w.start(named("support", on("CA1", mute))), "conference not found, no")
		w.pass(time.Second)
		w.wantTimes(twilio.ListConferences, "0s 0s 0s 250ms 750ms")
		r.change(func() { r.pages = [][]twilio.Conference{{room("CF1", "support")}} })
		w.pass(time.Second)
		w.wantTimes(twilio.ListConferences, "0s 0s 0s 250ms 750ms 1.75s")
		r.change(func() { r.present["CF1"] = []string{"CA1"} })
		w.pass(time.Second)
		w.wantEnd(older, "ok")
		w.wantEnd(newer, "ok")
		sent := w.twilio.sent()
		if a, b := sent[len(sent)-2].String(), sent[len(sent)-1].String(); a != muteCA1 || b != holdCA1 {
			t.Errorf("sent %s and then %s", a, b)
		}
	})
}

// TestNameThatOthersWaitFor has an update that finds the conference before the poll.
func TestNameThatOthersWaitFor(t *testing.T) {
	r := &rooms{present: map[string][]string{"CF1": {"CA1"}}}
	withRooms(t, ordered(), r, func(w *world) {
		older := w.start(patient(named("support", on("CA1", mute))))
		r.change(func() { r.pages = [][]twilio.Conference{{room("CF1", "support")}} })
		newer := w.start(named("support", on("CA1", hold)))
		w.wantEnd(older, "ok")
		w.wantEnd(newer, "ok")
		w.wantClock(0)
		w.wantSent(" GET", " GET", " GET", muteCA1, holdCA1)
	})
}

func TestWaitEnds(t *testing.T) {
	for _, test := range []struct {
		name   string
		update *Update
		lists  []error
		cancel bool
		end    string
	}{
		{name: "the participant does not come", update: on("CA1", mute), end: "404, no"},
		{name: "the conference does not begin", update: named("support", on("CA1", mute)), end: "conference not found, no"},
		{name: "the conference is not found", update: on("CA1", mute), lists: []error{status(404), status(404)}, end: "404, no"},
		{name: "the polls fail for a time", update: on("CA1", mute), lists: []error{status(503), status(429)}, end: "404, no"},
		{name: "the polls are refused", update: on("CA1", mute), lists: []error{status(403)}, end: "403, no"},
		{name: "the caller leaves", update: on("CA1", mute), cancel: true, end: "cancelled, no"},
		{name: "the caller leaves before the conference begins", update: named("support", on("CA1", mute)), cancel: true, end: "cancelled, no"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &rooms{}
			withRooms(t, ordered(), r, func(w *world) {
				ctx, cancel := w.cancellable()
				if !test.cancel {
					ctx = w.within(10 * time.Second)
				}
				p := w.deliver(ctx, patient(test.update))
				r.change(func() { r.lists = test.lists })
				if test.cancel {
					cancel()
				} else {
					w.pass(10 * time.Second)
				}
				w.wantEnd(p, test.end)
				sends := len(w.twilio.sent())
				w.pass(time.Minute)
				w.wantSends(sends)
			})
		})
	}
}

// TestUpdateBehindOneThatWaits has updates that do not wait, in the queue of one that
// does.
func TestUpdateBehindOneThatWaits(t *testing.T) {
	r := &rooms{present: map[string][]string{}}
	withRooms(t, ordered(), r, func(w *world) {
		waits := w.start(patient(on("CA1", mute)))
		w.wantEnd(w.start(on("CA1", unmute)), "404, no")                 // It covers the other, so it is sent.
		w.wantEnd(w.start(on("CA1", hold)), "participant not found, no") // After a poll.
		w.wantClock(0)
		w.wantSent(muteCA1, unmuteCA1, " GET")
		alsoWaits := w.start(patient(on("CA1", hold)))
		w.wantEnd(alsoWaits, "pending")
		r.change(func() { r.present["CF1"] = []string{"CA1"} })
		w.wantEnd(w.start(on("CA1", announce)), "ok") // The poll finds the participant.
		w.wantEnd(waits, "ok")
		w.wantEnd(alsoWaits, "ok")
		w.wantClock(0)
		w.wantSent(muteCA1, unmuteCA1, " GET", " GET", muteCA1, holdCA1, announceCA1)
	})
	withRooms(t, ordered(), r, func(w *world) {
		r.change(func() { r.present = nil })
		w.start(patient(on("CA1", mute))) // It is sent first, or superseded.
		newer := w.start(patient(on("CA1", unmute)))
		r.change(func() { r.present = map[string][]string{"CF1": {"CA1"}} })
		w.pass(time.Second)
		w.wantEnd(newer, "ok")
		if sent := w.twilio.sent(); sent[len(sent)-1].String() != unmuteCA1 {
			t.Errorf("the last one sent is %s", sent[len(sent)-1])
		}
	})
}

func TestRemovalByNameAndLabel(t *testing.T) {
	with(t, retrying(1), func(w *world) {
		w.twilio.respond = func(c *call) step {
			if c.request.Operation == twilio.ListConferences {
				return step{answer: &twilio.Answer{Conferences: []twilio.Conference{room("CF1", "support")}}}
			}
			return answerFor("desk", desk)
		}
		removal := named("support", remove("desk"))
		w.wantEnd(w.finish(removal), "ok")
		w.wantSent(" GET", "desk GET", removeDesk)
		w.wantEnd(w.finish(named("support", on("desk", mute))), "ok")
	})
}
