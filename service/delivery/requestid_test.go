package delivery

import (
	"fmt"
	"testing"
	"time"
)

// TestSameRequestIDGetsTheFirstAnswer has every result that is kept. Nothing is sent
// again, and the answer is the same.
func TestSameRequestIDGetsTheFirstAnswer(t *testing.T) {
	tests := []struct {
		name   string
		change change
		end    error
		want   string
	}{
		{"applied", mute, nil, "ok"},
		{"rejected, 400", mute, status(400), "400, no"},
		{"rejected, 413", mute, status(413), "413, no"},
		{"rejected, 422", mute, status(422), "422, no"},
		{"failed", mute, status(503), "503, maybe"},
		{"failed with a code of the state", mute, coded(500, 20404), "500, maybe"},
		{"failed, announcing", announce, status(500), "500, maybe"},
		{"lost", mute, errNoAnswer, "lost, maybe"},
		{"lost, announcing", announce, errNoAnswer, "lost, maybe"},
		{"applied, but the answer cannot be read", mute, unreadable(200), "answer 200, yes"},
		{"a redirect", mute, unreadable(307), "answer 307, maybe"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			with(t, withRequestIDs(), func(w *world) {
				w.twilio.respond = failing(test.end)
				first := w.finish(withID("id", on("CA1", test.change)))
				again := w.finish(withID("id", on("CA1", test.change)))
				w.wantSends(1)
				w.wantEnd(first, test.want)
				w.wantEnd(again, test.want)
				if again.answer != first.answer {
					w.t.Errorf("the answers are %v and %v, want the same", first.answer, again.answer)
				}
				stats := w.Stats()
				if stats.Replays != 1 || stats.Updates != 1 || stats.Records != 1 {
					w.t.Errorf("%+v, want one update, replayed once and kept", stats)
				}
			})
		})
	}
}

// TestSameRequestIDIsSentAgain has every result that is not kept: a repeated call
// sends the update again.
func TestSameRequestIDIsSentAgain(t *testing.T) {
	tests := []struct {
		name string
		end  error
		want string
	}{
		{"429", status(429), "429, no"},
		{"not sent", errNotSent, "not sent, no"},
		{"no request can be made", errNoRequest, "malformed, no"},
		{"credentials", status(401), "401, no"},
		{"forbidden", status(403), "403, no"},
		{"not found", status(404), "404, no"},
		{"method", status(405), "405, no"},
		{"conflict", status(409), "409, no"},
		{"precondition", status(412), "412, no"},
		{"not found, by code", coded(400, 20404), "400, no"},
		{"no conference, by code", coded(400, 16022), "400, no"},
		{"coached participant on hold", coded(400, 16027), "400, no"},
		{"coached participant not there", coded(400, 16028), "400, no"},
		{"conference not in progress", coded(400, 16099), "400, no"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			with(t, withRequestIDs(), func(w *world) {
				w.twilio.respond = failing(test.end)
				w.wantEnd(w.finish(withID("id", on("CA1", mute))), test.want)
				if got := w.Stats().Records; got != 0 {
					w.t.Errorf("%d are kept, want none", got)
				}
				w.wantEnd(w.finish(withID("id", on("CA1", mute))), "ok")
				w.wantSends(2)
			})
		})
	}
}

func TestSameRequestIDIsSentAfterARefusal(t *testing.T) {
	cfg := withRequestIDs()
	cfg.Bounds.Queue = 1
	cfg.Limits = Limits{MaxConcurrency: 1, MinConcurrency: 1}
	with(t, cfg, func(w *world) {
		w.start(on("CA1", announce))
		w.start(on("CA1", announce))
		w.wantEnd(w.start(withID("queue", on("CA1", mute))), "overloaded, no")
		w.wantEnd(w.start(withID("limit", on("CA2", mute))), "overloaded, no")
		w.twilio.respond = failing()
		w.answer(1, nil)
		w.wantEnd(w.finish(withID("queue", on("CA1", mute))), "ok")
		w.wantEnd(w.finish(withID("limit", on("CA2", mute))), "ok")
	})
}

func TestSupersededAfterAnAttemptIsKept(t *testing.T) {
	with(t, func() Config { cfg := withRequestIDs(); cfg.Retrying.Attempts = 2; return cfg }(), func(w *world) {
		older := w.start(withID("id", on("CA1", unmute)))
		w.start(on("CA1", mute))
		w.answer(1, status(503))
		w.answer(2, nil)
		w.wantEnd(older, "superseded, maybe")
		w.wantEnd(w.finish(withID("id", on("CA1", unmute))), "superseded, maybe")
		w.wantSent(unmuteCA1, muteCA1)
	})
}

// TestDuplicateOfASupersededUpdateIsNotSent has a duplicate that would undo the newer
// update if it were sent after it.
func TestDuplicateOfASupersededUpdateIsNotSent(t *testing.T) {
	with(t, withRequestIDs(), func(w *world) {
		w.start(on("CA1", hold))
		older := w.start(withID("id", on("CA1", unmute)))
		duplicate := w.start(withID("id", on("CA1", unmute)))
		newer := w.start(on("CA1", mute))
		w.answer(1, nil)
		w.answer(2, nil)
		w.wantEnd(newer, "ok")
		w.wantEnd(older, "superseded, no")
		w.wantEnd(duplicate, "superseded, no")
		w.wantEnd(w.finish(withID("id", on("CA1", unmute))), "superseded, no")
		w.wantSent("CA1 Hold=true", muteCA1)
	})
}

func TestDuplicatesWaitForTheFirstAnswer(t *testing.T) {
	with(t, withRequestIDs(), func(w *world) {
		first := w.start(withID("id", on("CA1", mute)))
		second, third := w.start(withID("id", on("CA1", mute))), w.start(withID("id", on("CA1", mute)))
		w.wantEnd(second, "pending")
		if got := w.Stats(); got.Records != 1 || got.Waiting != 1 {
			w.t.Errorf("%+v, want one request ID and one update in the queue", got)
		}
		w.answer(1, nil)
		for _, p := range []*pending{first, second, third} {
			w.wantEnd(p, "ok")
			if p.answer != first.answer {
				w.t.Errorf("the answers are %v and %v, want the same", first.answer, p.answer)
			}
		}
		w.wantSends(1)
	})
}

func TestDuplicateWaitsUntilItsOwnDeadline(t *testing.T) {
	with(t, withRequestIDs(), func(w *world) {
		w.start(withID("id", on("CA1", mute)))
		p := w.deliver(w.within(time.Second), withID("id", on("CA1", mute)))
		w.pass(time.Second)
		w.wantEnd(p, "deadline, maybe") // The first may still be applied.
		w.answer(1, nil)
	})
}

func TestRequestIDWithOtherContent(t *testing.T) {
	elsewhere := on("CA1", mute)
	elsewhere.Path.ConferenceSID = "CF2"
	others := map[string]*Update{
		"another value":       on("CA1", unmute),
		"another property":    on("CA1", mute, hold),
		"another participant": on("CA2", mute),
		"another conference":  elsewhere,
	}
	for name, other := range others {
		t.Run(name, func(t *testing.T) {
			with(t, withRequestIDs(), func(w *world) {
				first := w.start(withID("id", on("CA1", mute)))
				w.wantEnd(w.start(withID("id", other)), "request id reused, no") // While the first is pending.
				w.answer(1, nil)
				w.wantEnd(first, "ok")
				w.wantEnd(w.start(withID("id", other)), "request id reused, no") // After its result is kept.
				w.wantEnd(w.finish(withID("id", on("CA1", mute))), "ok")
				w.wantSends(1)
			})
		})
	}
}

func TestRequestIDsBelongToACallerAndAnAccount(t *testing.T) {
	with(t, withRequestIDs(), func(w *world) {
		w.twilio.respond = failing()
		for _, update := range []*Update{
			on("CA1", mute), from("another caller", on("CA1", mute)), at("AC2", on("CA1", mute)), on("CA1", mute),
		} {
			w.wantEnd(w.finish(withID("id", update)), "ok")
		}
		w.wantSends(3)
	})
}

func TestIgnoredRequestIDsDoNotStopUpdates(t *testing.T) {
	with(t, ordered(), func(w *world) {
		w.twilio.respond = failing()
		w.wantEnd(w.finish(withID("id", on("CA1", mute))), "ok")
		w.wantEnd(w.finish(withID("id", on("CA1", unmute))), "ok")
		w.wantSends(2)
	})
}

func TestRecordsAreKeptForTheRetention(t *testing.T) {
	cfg := withRequestIDs()
	cfg.Bounds.Retention = time.Minute
	with(t, cfg, func(w *world) {
		w.twilio.respond = failing()
		w.finish(withID("id", on("CA1", mute)))
		w.pass(time.Minute - 1)
		w.finish(withID("id", on("CA1", mute))) // A replay does not extend the retention.
		w.wantSends(1)
		w.pass(1)
		if got := w.Stats().Records; got != 0 {
			w.t.Errorf("%d are kept, want none", got)
		}
		w.wantEnd(w.finish(withID("id", on("CA1", unmute))), "ok") // The request ID is free again.
		w.wantSends(2)
	})
}

func TestRecordsAreBounded(t *testing.T) {
	cfg := withRequestIDs()
	cfg.Bounds.Records = 3
	with(t, cfg, func(w *world) {
		w.twilio.respond = failing()
		for i := range 10 {
			w.finish(withID(fmt.Sprint("id", i), on("CA1", mute)))
		}
		if got := w.Stats().Records; got != 3 {
			w.t.Errorf("%d are kept, want 3", got)
		}
		w.finish(withID("id7", on("CA1", mute)))
		w.wantSends(10)
		w.finish(withID("id6", on("CA1", mute)))
		w.finish(withID("id8", on("CA1", mute))) // The oldest record was evicted, although it was the last one used.
		w.wantSends(11)
	})
}

func TestDuplicateIsSentIfTheFirstCallerLeft(t *testing.T) {
	with(t, withRequestIDs(), func(w *world) {
		w.start(on("CA1", announce))
		ctx, cancel := w.cancellable()
		first := w.deliver(ctx, withID("id", on("CA1", mute)))
		second, third := w.start(withID("id", on("CA1", mute))), w.start(withID("id", on("CA1", mute)))
		cancel()
		w.wantEnd(first, "cancelled, no")
		w.wantEnd(second, "pending")
		w.answer(1, nil)
		w.answer(2, nil)
		w.wantEnd(second, "ok")
		w.wantEnd(third, "ok")
		w.wantSent(announceCA1, muteCA1)
	})
}

func TestDuplicateGetsTheAnswerOfAnAbandonedAttempt(t *testing.T) {
	cfg := withRequestIDs()
	cfg.Grace = time.Second
	with(t, cfg, func(w *world) {
		ctx, cancel := w.cancellable()
		first := w.deliver(ctx, withID("id", on("CA1", announce)))
		second := w.start(withID("id", on("CA1", announce)))
		cancel()
		w.wantEnd(first, "cancelled, maybe")
		w.wantEnd(second, "pending")
		w.answer(1, nil)
		w.wantEnd(second, "ok")
		w.wantSends(1)
	})
}

// TestRequestIDIsKnownWhenDeliverReturns checks that a repeated call is a duplicate at once.
func TestRequestIDIsKnownWhenDeliverReturns(t *testing.T) {
	with(t, withRequestIDs(), func(w *world) {
		w.twilio.respond = failing()
		for i := range 100 {
			id := fmt.Sprint("id", i)
			if _, err := w.Deliver(w.t.Context(), withID(id, on("CA1", mute))); err != nil {
				w.t.Fatal(err)
			}
			if got := w.Stats().Records; got != i+1 {
				w.t.Fatalf("%d are kept, want %d", got, i+1)
			}
		}
	})
}

func TestRequestIDsIgnoreTheCaseOfLetters(t *testing.T) {
	with(t, withRequestIDs(), func(w *world) {
		w.twilio.respond = failing()
		w.wantEnd(w.finish(withID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", on("CA1", announce))), "ok")
		w.wantEnd(w.finish(withID("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", on("CA1", announce))), "ok")
		w.wantSends(1)
	})
}
