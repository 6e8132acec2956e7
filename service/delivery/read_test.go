package delivery

import (
	"testing"
	"time"

	"conferenced/service/twilio"
)

// TestReadRetries has the results of the attempts of a read.
func TestReadRetries(t *testing.T) {
	foreign := &twilio.AnswerError{HTTPStatus: 200, Foreign: true}
	tests := []struct {
		name  string
		ends  []error // Of the attempts, in order; further attempts succeed.
		sends int
		end   string
	}{
		{"success", nil, 1, "ok"},
		{"429, 503 and a lost answer", []error{status(429), status(503), errNoAnswer}, 4, "ok"},
		{"not sent, and the answer to another request", []error{errNotSent, foreign}, 3, "ok"},
		{"503 until the last attempt", []error{status(503), status(503), status(503), status(503)}, 4, "503, no"},
		{"lost until the last attempt", []error{errNoAnswer, errNoAnswer, errNoAnswer, errNoAnswer}, 4, "twilio failed, no"},
		{"not found", []error{status(404)}, 1, "404, no"},
		{"an answer that cannot be read", []error{unreadable(200)}, 1, "answer 200, no"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			with(t, retrying(4), func(w *world) {
				w.twilio.respond = failing(test.ends...)
				p := w.read(w.t.Context(), fetch("CA1"))
				<-p.done
				w.wantEnd(p, test.end)
				w.wantSends(test.sends)
			})
		})
	}
}

func TestReadIsNotQueued(t *testing.T) {
	with(t, ordered(), func(w *world) {
		updating := w.start(on("CA1", mute))
		reading := w.read(w.t.Context(), fetch("CA1"))
		w.wantSent(muteCA1, "CA1 GET")
		w.end(2, step{})
		w.wantEnd(reading, "ok")
		w.wantEnd(updating, "pending")
		w.end(1, step{})
	})
}

func TestReadNeedsAPermit(t *testing.T) {
	cfg := retrying(1)
	cfg.Limits = Limits{MaxConcurrency: 1, MinConcurrency: 1, Queue: 1}
	cfg.Breaking = Breaking{Failures: 1, OpenFor: time.Minute, Probes: 1}
	with(t, cfg, func(w *world) {
		first, second := w.read(w.t.Context(), fetch("CA1")), w.read(w.t.Context(), list("CF1"))
		w.wantSent("CA1 GET")
		w.wantEnd(w.read(w.t.Context(), fetch("CA2")), "overloaded, no")
		w.answer(1, status(503))
		w.wantEnd(first, "503, no")
		w.wantEnd(second, "circuit open, no")
		w.wantEnd(w.start(on("CA1", mute)), "circuit open, no")
	})
}

func TestReadEndsWithItsContext(t *testing.T) {
	with(t, retrying(4), func(w *world) {
		inFlight := w.read(w.within(time.Second), fetch("CA1"))
		w.pass(time.Second)
		w.wantEnd(inFlight, "deadline, no")
		ctx, cancel := w.cancellable()
		cancelled := w.read(ctx, fetch("CA1"))
		cancel()
		w.wantEnd(cancelled, "cancelled, no")
	})
	cfg := retrying(4)
	cfg.Retrying.Base, cfg.Retrying.Cap = time.Minute, time.Minute
	with(t, cfg, func(w *world) {
		w.twilio.respond = failing(retryAfter(429, time.Hour))
		w.wantEnd(w.read(w.within(time.Second), fetch("CA1")), "429, no")
		w.wantClock(0)
	})
}
