package delivery

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"conferenced/service/outcome"
	"conferenced/service/twilio"
)

const (
	desk      = "CA00000000000000000000000000000001" // The first owner of the label "desk".
	nextOwner = "CA00000000000000000000000000000002"

	removeDesk = desk + " DELETE"
)

// TestRemovalIsNotFound has the attempts of a removal that end with a 404.
func TestRemovalIsNotFound(t *testing.T) {
	tests := []struct {
		name string
		ends []error
		want string
	}{
		{"by the first attempt", []error{status(404)}, "404, no"},
		{"after a 429", []error{status(429), status(404)}, "404, no"},
		{"after an attempt that was not sent", []error{errNotSent, status(404)}, "404, no"},
		{"after a 503", []error{status(503), status(404)}, "ok"},
		{"after a lost answer", []error{errNoAnswer, coded(400, 20404)}, "ok"},
		{"after a lost answer and a 429", []error{errNoAnswer, status(429), status(404)}, "ok"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			with(t, retrying(4), func(w *world) {
				w.twilio.respond = failing(test.ends...)
				p := w.finish(remove(desk))
				w.wantEnd(p, test.want)
				w.wantSends(len(test.ends))
				if p.err == nil && *p.answer.Participant.CallSID != desk {
					t.Errorf("answer %+v", p.answer)
				}
			})
		})
	}
}

// TestRemovalWaits: a removal overtakes no older update and no newer one overtakes it,
// also not to spare it the wait for a retry.
func TestRemovalWaits(t *testing.T) {
	with(t, retrying(2), func(w *world) {
		w.twilio.respond = failing(retryAfter(429, time.Second))
		older := w.start(on(desk, mute))
		removal, newer := w.start(remove(desk)), w.start(on(desk, unmute))
		w.wantSends(1)
		w.pass(time.Second)
		w.wantSent(desk+" Muted=true", desk+" Muted=true", removeDesk)
		w.wantEnd(older, "ok")
		w.wantEnd(removal, "ok")
		w.wantEnd(newer, "participant not found, no")
	})
}

// TestUpdatesThatWaitForARemoval: those by the label and those by the Call SID are not
// sent any more, and later ones are.
func TestUpdatesThatWaitForARemoval(t *testing.T) {
	with(t, ordered(), func(w *world) {
		w.start(on("desk", mute))
		w.end(1, answerFor("desk", desk))
		removal := w.start(remove(desk))
		waiting := []*pending{w.start(on("desk", hold)), w.start(on(desk, unmute)), w.start(remove(desk))}
		w.end(2, step{})
		w.wantEnd(removal, "ok")
		for _, p := range waiting {
			w.wantEnd(p, "participant not found, no")
			if got := outcome.From(p.err); got.Resource == "" {
				t.Errorf("%v names no resource", got)
			}
		}
		next := w.start(on("desk", hold))
		w.wantSent("desk Muted=true", removeDesk, "desk Hold=true")
		w.end(3, answerFor("desk", nextOwner))
		w.wantEnd(next, "ok")
	})
}

// TestRemovalByLabel: the Call SID is looked up once, and every attempt is for that.
func TestRemovalByLabel(t *testing.T) {
	with(t, retrying(3), func(w *world) {
		owner := desk
		w.twilio.respond = func(c *call) step {
			switch {
			case c.request.Operation == twilio.FetchParticipant:
				defer func() { owner = nextOwner }()
				return answerFor("desk", owner)
			case c.n == 3:
				return step{err: errNoAnswer}
			case c.n == 4:
				return step{err: status(404)}
			}
			return step{after: time.Second}
		}
		busy := w.start(on("desk", mute))
		removal, waiting := w.start(remove("desk")), w.start(on("desk", hold))
		w.wantSent("desk Muted=true", "desk GET")
		w.pass(time.Second)
		w.wantSent("desk Muted=true", "desk GET", removeDesk, removeDesk)
		w.wantEnd(busy, "ok")
		w.wantEnd(removal, "ok")
		w.wantEnd(waiting, "participant not found, no")
	})
}

func TestRemovalByALabelOfNobody(t *testing.T) {
	for name, test := range map[string]struct {
		end  step
		want string
	}{
		"not found":     {step{err: status(404)}, "404, no"},
		"unreadable":    {step{err: unreadable(200)}, "answer 200, no"},
		"no Call SID":   {step{answer: &twilio.Answer{}}, "twilio unexpected answer, no"},
		"Twilio failed": {step{err: status(503)}, "503, no"},
	} {
		t.Run(name, func(t *testing.T) {
			with(t, withRequestIDs(), func(w *world) {
				w.twilio.respond = script(test.end, answerFor("desk", desk))
				w.wantEnd(w.finish(withID("id", remove("desk"))), test.want)
				w.wantEnd(w.finish(withID("id", remove("desk"))), "ok")
				w.wantSent("desk GET", "desk GET", removeDesk)
			})
		})
	}
}

// TestRemovalWithAnUnknownOutcome: the updates that wait are sent, and whether the
// caller may repeat the removal depends on how it named the participant.
func TestRemovalWithAnUnknownOutcome(t *testing.T) {
	for name, code := range map[string]codes.Code{desk: codes.Unavailable, "desk": codes.Unknown} {
		t.Run(name, func(t *testing.T) {
			with(t, withRequestIDs(), func(w *world) {
				w.twilio.respond = func(c *call) step {
					return map[string]step{
						"desk GET": answerFor("desk", desk), removeDesk: {err: errNoAnswer, after: time.Second},
					}[c.String()]
				}
				removal, waiting := w.start(withID("id", remove(name))), w.start(on(desk, mute))
				w.pass(time.Second)
				again := w.finish(withID("id", remove(name)))
				for _, p := range []*pending{removal, again} {
					w.wantEnd(p, "lost, maybe")
					if got := outcome.From(p.err); got.Code != code {
						t.Errorf("code %s, want %s", got.Code, code)
					}
				}
				w.wantEnd(waiting, "ok")
			})
		})
	}
}

func TestRequestIDsOfRemovals(t *testing.T) {
	with(t, withRequestIDs(), func(w *world) {
		w.twilio.respond = func(c *call) step {
			return map[string]step{"desk GET": answerFor("desk", desk)}[c.String()]
		}
		first, again := w.finish(withID("id", remove("desk"))), w.finish(withID("id", remove("desk")))
		w.wantEnd(first, "ok")
		w.wantEnd(again, "ok")
		if first.answer != again.answer {
			t.Error("the answers differ")
		}
		w.wantEnd(w.finish(withID("id", remove(desk))), "request id reused, no")
		w.wantEnd(w.finish(withID("id", on("desk", mute))), "request id reused, no")
		w.wantSent("desk GET", removeDesk)
	})
}
