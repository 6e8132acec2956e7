package delivery

import (
	"testing"
	"time"

	"conferenced/service/outcome"
	"conferenced/service/property"
	"conferenced/service/twilio"
)

// confirmed returns the update with Confirm.
func confirmed(u *Update) *Update {
	u.Confirm = true
	return u
}

// reading answers reads after a second, and with a participant who has the label "read".
func reading(err error) func(*call) step {
	return func(c *call) step {
		s := answerFor("agent", "CA1")
		if c.request.Operation == twilio.FetchParticipant {
			s = answerFor("read", "CA1")
			s.after, s.err = time.Second, err
		}
		return s
	}
}

func TestConfirmedBeforeTheNextUpdate(t *testing.T) {
	with(t, withRequestIDs(), func(w *world) {
		w.twilio.respond = reading(nil)
		first := w.start(confirmed(withID("id", on("CA1", mute))))
		next := w.start(on("CA1", unmute))
		w.wantSent(muteCA1, "CA1 GET")
		w.pass(time.Second)
		w.wantSent(muteCA1, "CA1 GET", unmuteCA1)
		w.wantEnd(next, "ok")
		if after := first.answer.After; after == nil || *after.Label != "read" || *first.answer.Participant.Label != "agent" {
			t.Errorf("%+v", first.answer)
		}
		if again := w.finish(confirmed(withID("id", on("CA1", mute)))); again.answer != first.answer {
			t.Errorf("the same request ID gets %+v", again.answer)
		}
	})
}

// TestNotConfirmed: neither a failed read nor a deadline during the read is an error of
// the update, which was applied.
func TestNotConfirmed(t *testing.T) {
	with(t, ordered(), func(w *world) {
		w.twilio.respond = reading(status(503))
		failed := w.start(confirmed(on("CA1", mute)))
		late := w.deliver(w.within(1500*time.Millisecond), confirmed(on("CA1", hold)))
		w.pass(2 * time.Second)
		for _, p := range []*pending{failed, late} {
			w.wantEnd(p, "ok")
			if p.err == nil && p.answer.After != nil {
				t.Errorf("%+v", p.answer)
			}
		}
		u := confirmed(on("CA1", mute))
		u.Change.Put(property.AnnounceURL, "a")
		w.twilio.respond = func(*call) step { return step{err: errNotSent} }
		if p := w.finish(u); !outcome.Is(p.err, outcome.TwilioUnreachable) {
			t.Errorf("an update that is not applied: %v", p.err)
		}
	})
}
