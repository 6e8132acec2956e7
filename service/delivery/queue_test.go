package delivery

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"conferenced/service/property"
)

func TestOneUpdateOfAParticipantIsInFlight(t *testing.T) {
	with(t, ordered(), func(w *world) {
		first, second, third := w.start(on("CA1", mute)), w.start(on("CA1", hold)), w.start(on("CA1", announce))
		w.wantSent(muteCA1)
		w.answer(1, nil)
		w.wantSent(muteCA1, holdCA1)
		w.answer(2, status(503))
		w.wantSent(muteCA1, holdCA1, announceCA1)
		w.answer(3, nil)
		w.wantEnd(first, "ok")
		w.wantEnd(second, "503, maybe")
		w.wantEnd(third, "ok")
	})
}

func TestParticipantsDoNotWaitForEachOther(t *testing.T) {
	other := func(change func(*Update)) *Update {
		u := on("CA1", mute)
		change(u)
		return u
	}
	updates := map[string]*Update{
		"another participant": on("CA2", mute),
		"another conference":  other(func(u *Update) { u.Path.ConferenceSID = "CF2" }),
		"another account":     at("AC2", on("CA1", mute)),
	}
	for name, update := range updates {
		t.Run(name, func(t *testing.T) {
			with(t, ordered(), func(w *world) {
				w.start(on("CA1", hold))
				p := w.start(update)
				w.wantSends(2)
				w.answer(2, nil)
				w.wantEnd(p, "ok")
				w.answer(1, nil)
			})
		})
	}
}

func TestRetriesKeepTheirPosition(t *testing.T) {
	with(t, retrying(3), func(w *world) {
		w.twilio.respond = failing(retryAfter(429, time.Second), retryAfter(503, time.Second))
		w.start(on("CA1", mute))
		w.start(on("CA1", hold))
		w.pass(2 * time.Second)
		w.wantSent(muteCA1, muteCA1, muteCA1, holdCA1)
	})
}

// TestChoice has a head and newer updates that wait while an announcement is in
// flight, and checks which update is sent next.
func TestChoice(t *testing.T) {
	other := put(property.BeepOnExit, "true")
	tests := []struct {
		name    string
		head    []change
		between [][]change
		newest  []change
		sent    string // head, between (the first of them) or newest.
	}{
		{"the same property", []change{unmute}, nil, []change{mute}, "newest"},
		{"the same property and value", []change{mute}, nil, []change{mute}, "newest"},
		{"more properties", []change{unmute}, nil, []change{mute, hold}, "newest"},
		{"fewer properties", []change{unmute, hold}, nil, []change{mute}, "head"},
		{"another property", []change{unmute}, nil, []change{hold}, "head"},
		{"some properties that are shared", []change{unmute, hold}, nil, []change{mute, announce}, "head"},
		{"an announcement by an announcement", []change{announce}, nil, []change{announce}, "head"},
		{"an announcement with a property", []change{announce, mute}, nil, []change{announce, mute}, "head"},
		{"by an announcement that sets it too", []change{unmute}, nil, []change{mute, announce}, "newest"},
		{"one between shares no property", []change{unmute}, [][]change{{other}}, []change{mute}, "newest"},
		{"one between is covered", []change{unmute}, [][]change{{mute}}, []change{mute, hold}, "newest"},
		{"one between shares a property and has another", []change{unmute}, [][]change{{mute, hold}}, []change{mute}, "between"},
		{"an announcement between", []change{unmute}, [][]change{{announce}}, []change{mute}, "newest"},
		{"an announcement with the property between", []change{unmute}, [][]change{{announce, unmute}}, []change{mute}, "between"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			with(t, ordered(), func(w *world) {
				w.start(on("CA1", unhold, announce))
				head := w.start(on("CA1", test.head...))
				for _, between := range test.between {
					w.start(on("CA1", between...))
				}
				newest := w.start(on("CA1", test.newest...))
				w.wantEnd(head, "pending")
				w.answer(1, nil)
				w.wantSends(2)
				wants := map[string][]change{"head": test.head, "newest": test.newest}
				if test.between != nil {
					wants["between"] = test.between[0]
				}
				if got, want := w.twilio.sent()[1], on("CA1", wants[test.sent]...); !reflect.DeepEqual(got.request.Change, want.Change) {
					w.t.Errorf("%s was sent", got)
				}
				w.twilio.respond = failing()
				w.answer(2, nil)
				w.wantEnd(newest, "ok")
				if test.sent != "head" {
					w.wantEnd(head, "superseded, no")
				}
			})
		})
	}
}

// TestResultOfTheNewerUpdateDecides has every result of a newer update that was sent
// instead of the head.
func TestResultOfTheNewerUpdateDecides(t *testing.T) {
	tests := []struct {
		name  string
		end   error
		older string
		sent  []string // After the newer update.
	}{
		{"applied", nil, "superseded, no", nil},
		{"maybe applied", status(500), "superseded, no", nil},
		{"lost", errNoAnswer, "superseded, no", nil},
		{"applied, and the answer cannot be read", unreadable(200), "superseded, no", nil},
		{"rejected", status(400), "ok", []string{unmuteCA1}},
		{"not found", status(404), "ok", []string{unmuteCA1}},
		{"429", status(429), "ok", []string{unmuteCA1}},
		{"not sent", errNotSent, "ok", []string{unmuteCA1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			with(t, ordered(), func(w *world) {
				w.start(on("CA1", announce))
				older := w.start(on("CA1", unmute))
				w.start(on("CA1", mute))
				w.answer(1, nil)
				w.twilio.respond = failing()
				w.answer(2, test.end)
				w.wantEnd(older, test.older)
				w.wantSent(append([]string{announceCA1, muteCA1}, test.sent...)...)
			})
		})
	}
}

func TestUpdateThatIsNeverSentSupersedesNothing(t *testing.T) {
	with(t, ordered(), func(w *world) {
		w.start(on("CA1", announce))
		older := w.start(on("CA1", mute))
		for range 25 {
			newer := w.deliver(w.within(100*time.Millisecond), on("CA1", unmute))
			w.pass(100 * time.Millisecond)
			w.wantEnd(newer, "deadline, no")
			w.wantEnd(older, "pending")
		}
		w.answer(1, nil)
		w.answer(2, nil)
		w.wantEnd(older, "ok")
		w.wantSent(announceCA1, muteCA1)
	})
}

// TestNewerUpdatesDoNotStarveTheHead has newer updates that could each be sent
// instead of the head and are not applied.
func TestNewerUpdatesDoNotStarveTheHead(t *testing.T) {
	with(t, ordered(), func(w *world) {
		w.start(on("CA1", announce))
		older := w.start(on("CA1", mute))
		w.start(on("CA1", unmute))
		w.answer(1, nil) // The unmute is sent.
		w.start(on("CA1", unmute))
		w.answer(2, errNotSent)
		w.wantSent(announceCA1, unmuteCA1, muteCA1)
		w.answer(3, nil)
		w.wantEnd(older, "ok")
		w.answer(4, nil)
	})
}

// TestChoiceIsMadeWhenThereIsAPermit has a head that waits for the account's limit. A
// newer update that arrives meanwhile is sent with the head's permit.
func TestChoiceIsMadeWhenThereIsAPermit(t *testing.T) {
	cfg := ordered()
	cfg.Limits = Limits{MaxConcurrency: 1, MinConcurrency: 1, Queue: 10}
	with(t, cfg, func(w *world) {
		w.start(on("CA2", mute))
		older := w.start(on("CA1", unmute))
		w.start(on("CA3", mute)) // Waits for the limit too, behind the head.
		newer := w.deliver(w.within(time.Minute), on("CA1", mute))
		w.wantEnd(older, "pending")
		w.answer(1, nil)
		w.wantSent("CA2 Muted=true", muteCA1)
		w.answer(2, nil)
		w.wantEnd(older, "superseded, no")
		w.wantEnd(newer, "ok")
		w.answer(3, nil)
	})
}

func TestLeaderThatLeavesIsReplaced(t *testing.T) {
	cfg := ordered()
	cfg.Limits = Limits{MaxConcurrency: 1, MinConcurrency: 1, Queue: 10}
	with(t, cfg, func(w *world) {
		w.start(on("CA2", mute))
		leader := w.deliver(w.within(time.Second), on("CA1", announce))
		next := w.start(on("CA1", hold))
		w.pass(time.Second)
		w.wantEnd(leader, "deadline, no")
		w.answer(1, nil)
		w.answer(2, nil)
		w.wantEnd(next, "ok")
		w.wantSent("CA2 Muted=true", holdCA1)
	})
}

// TestCallerOfTheChosenUpdateLeaves has an update that is given the leader's permit
// as its caller leaves.
func TestCallerOfTheChosenUpdateLeaves(t *testing.T) {
	cfg := ordered()
	cfg.Limits = Limits{MaxConcurrency: 1, MinConcurrency: 1, Queue: 10}
	with(t, cfg, func(w *world) {
		for range 20 { // Either may happen first.
			n := len(w.twilio.sent())
			w.twilio.respond = nil
			w.start(on("CA2", mute))
			older := w.start(on("CA1", unmute))
			ctx, cancel := context.WithCancel(w.t.Context())
			w.deliver(ctx, on("CA1", mute))
			w.twilio.respond = func(*call) step { return step{err: errNotSent} }
			go cancel()
			w.answer(n+1, nil)
			if end := older.end(); end != "not sent, no" && end != "superseded, no" { // The newer may have been sent.
				w.t.Errorf("the older update's end is %q", end)
			}
		}
	})
}

func TestNewerUpdateWhileAnAttemptIsInFlight(t *testing.T) {
	tests := []struct {
		name string
		end  error
		want string
	}{
		{"applied", nil, "ok"},
		{"rejected", status(400), "400, no"},
		{"429", retryAfter(429, time.Minute), "superseded, no"},
		{"503", retryAfter(503, time.Minute), "superseded, maybe"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			with(t, retrying(3), func(w *world) {
				older := w.start(on("CA1", unmute))
				newer := w.start(on("CA1", mute))
				w.wantEnd(older, "pending")
				w.answer(1, test.end)
				w.answer(2, nil)
				w.wantEnd(older, test.want)
				w.wantEnd(newer, "ok")
				w.wantClock(0)
				w.wantSent(unmuteCA1, muteCA1)
			})
		})
	}
}

// TestNewerUpdateDoesNotWaitForARetry has a newer update that covers one that waits
// for its next attempt.
func TestNewerUpdateDoesNotWaitForARetry(t *testing.T) {
	for end, want := range map[int]string{429: "superseded, no", 503: "superseded, maybe"} {
		with(t, retrying(3), func(w *world) {
			w.twilio.respond = failing(retryAfter(end, time.Minute))
			older := w.start(on("CA1", unmute))
			w.pass(time.Second)
			newer := w.start(on("CA1", mute))
			w.wantEnd(newer, "ok")
			w.wantEnd(older, want)
			w.wantClock(time.Second)
			w.pass(time.Hour)
			w.wantSent(unmuteCA1, muteCA1)
		})
	}
}

func TestOtherUpdatesWaitForARetry(t *testing.T) {
	with(t, retrying(3), func(w *world) {
		w.twilio.respond = failing(retryAfter(503, time.Minute))
		w.start(on("CA1", unmute))
		w.start(on("CA1", hold))
		w.wantSends(1)
		w.pass(time.Minute)
		w.wantSent(unmuteCA1, unmuteCA1, holdCA1)
	})
}

func TestOneSupersedesMany(t *testing.T) {
	with(t, ordered(), func(w *world) {
		w.start(on("CA1", announce))
		first, second, kept := w.start(on("CA1", unmute)), w.start(on("CA1", unhold)), w.start(on("CA1", announce))
		newest := w.start(on("CA1", mute, hold))
		w.twilio.respond = failing()
		w.answer(1, nil)
		w.wantEnd(newest, "ok")
		w.wantEnd(first, "superseded, no")
		w.wantEnd(second, "superseded, no")
		w.wantEnd(kept, "ok")
		w.wantSent(announceCA1, "CA1 Muted=true&Hold=true", announceCA1)
	})
}

func TestCallerLeavesWhileTheUpdateWaits(t *testing.T) {
	with(t, ordered(), func(w *world) {
		w.start(on("CA1", announce))
		p := w.deliver(w.within(time.Second), on("CA1", mute))
		next := w.start(on("CA1", hold))
		w.pass(time.Second)
		w.wantEnd(p, "deadline, no")
		if got := w.Stats().Waiting; got != 2 {
			w.t.Errorf("%d queued, want the other 2", got)
		}
		w.answer(1, nil)
		w.wantSent(announceCA1, holdCA1)
		w.answer(2, nil)
		w.wantEnd(next, "ok")
	})
}

func TestParticipantQueueIsFull(t *testing.T) {
	cfg := ordered()
	cfg.Bounds.Queue = 2
	with(t, cfg, func(w *world) {
		w.start(on("CA1", announce))
		waiting := []*pending{w.start(on("CA1", hold)), w.start(on("CA1", announce))}
		w.wantEnd(w.start(on("CA1", mute)), "overloaded, no")
		if stats := w.Stats(); stats.Refused != 1 || stats.Updates != 3 {
			w.t.Errorf("%d refused of %d started, want 1 of 3", stats.Refused, stats.Updates)
		}
		w.twilio.respond = failing()
		w.answer(1, nil)
		w.wantEnd(waiting[0], "ok")
		w.wantEnd(waiting[1], "ok")
		w.wantEnd(w.finish(on("CA1", mute)), "ok") // There is room again.
	})
}

// TestOneCallerDoesNotFillAQueue checks that in a full queue the newest updates of
// the caller with the most updates are refused.
func TestOneCallerDoesNotFillAQueue(t *testing.T) {
	cfg := ordered()
	cfg.Bounds.Queue = 4
	with(t, cfg, func(w *world) {
		noisy := []*pending{}
		for range 5 {
			noisy = append(noisy, w.start(from("noisy", on("CA1", announce))))
		}
		first := w.start(from("quiet", on("CA1", mute)))
		w.wantEnd(noisy[4], "overloaded, no")
		w.wantEnd(w.start(from("noisy", on("CA1", announce))), "overloaded, no")
		second := w.start(from("quiet", on("CA1", hold)))
		w.wantEnd(noisy[3], "overloaded, no")
		w.wantEnd(w.start(from("quiet", on("CA1", hold))), "overloaded, no") // Both callers have as many.
		w.twilio.respond = failing()
		w.answer(1, nil)
		for _, p := range []*pending{first, second, noisy[0], noisy[1], noisy[2]} {
			w.wantEnd(p, "ok")
		}
	})
}

func TestUnorderedUpdatesOvertakeEachOther(t *testing.T) {
	with(t, plain(), func(w *world) {
		older, newer := w.start(on("CA1", unmute)), w.start(on("CA1", mute))
		w.wantSent(unmuteCA1, muteCA1)
		w.end(2, answerFor("front desk", "CA1"))
		w.wantEnd(older, "pending")
		w.wantEnd(newer, "ok")
		w.answer(1, nil)
		if got := w.Stats().Sizes; got != (Sizes{}) {
			w.t.Errorf("keeps %+v, want nothing", got)
		}
	})
}

// learnLabel makes the label of CA1 known.
func learnLabel(w *world) {
	w.t.Helper()
	n := len(w.twilio.sent()) + 1
	p := w.start(on("CA1", announce))
	w.end(n, answerFor("desk", "CA1"))
	w.wantEnd(p, "ok")
}

func TestNamesOfOneParticipant(t *testing.T) {
	const muteDesk = "desk Muted=true"
	t.Run("have separate queues until they are known", func(t *testing.T) {
		with(t, ordered(), func(w *world) {
			w.start(on("CA1", hold))
			w.start(on("desk", mute))
			w.wantSent(holdCA1, muteDesk)
			w.answer(1, nil)
			w.answer(2, nil)
		})
	})
	t.Run("share a queue once they are known", func(t *testing.T) {
		with(t, ordered(), func(w *world) {
			learnLabel(w)
			w.start(on("CA1", hold))
			w.start(on("desk", unmute))
			newer := w.start(on("CA1", mute))
			w.wantSent(announceCA1, holdCA1)
			w.answer(2, nil)
			w.wantSent(announceCA1, holdCA1, muteCA1)
			w.answer(3, nil)
			w.wantEnd(newer, "ok")
		})
	})
	t.Run("are known in one conference only", func(t *testing.T) {
		with(t, ordered(), func(w *world) {
			learnLabel(w)
			w.start(on("CA1", hold))
			elsewhere := on("desk", mute)
			elsewhere.Path.ConferenceSID = "CF2"
			w.start(elsewhere)
			w.wantSent(announceCA1, holdCA1, muteDesk)
			w.answer(2, nil)
			w.answer(3, nil)
		})
	})
	t.Run("expire when they are not seen", func(t *testing.T) {
		cfg := ordered()
		cfg.Bounds.LabelAge = time.Minute
		with(t, cfg, func(w *world) {
			learnLabel(w)
			w.pass(50 * time.Second)
			learnLabel(w) // Seen again.
			w.pass(50 * time.Second)
			if got := w.Stats().Labels; got != 1 {
				w.t.Errorf("%d labels are known, want 1", got)
			}
			w.pass(10 * time.Second)
			if got := w.Stats().Labels; got != 0 {
				w.t.Errorf("%d labels are known, want none", got)
			}
			w.start(on("CA1", hold))
			w.start(on("desk", mute))
			w.wantSends(4)
			w.answer(3, nil)
			w.answer(4, nil)
		})
	})
	t.Run("are bounded", func(t *testing.T) {
		cfg := ordered()
		cfg.Bounds.Labels = 2
		with(t, cfg, func(w *world) {
			w.twilio.respond = func(c *call) step {
				return answerFor("desk of "+c.request.Path.Participant, c.request.Path.Participant)
			}
			for i := range 5 {
				w.finish(on(fmt.Sprint("CA", i), mute))
			}
			if got := w.Stats().Labels; got != 2 {
				w.t.Errorf("%d labels are known, want 2", got)
			}
		})
	})
	t.Run("are not learned from an answer that names only one", func(t *testing.T) {
		with(t, ordered(), func(w *world) {
			for _, s := range []step{answerFor("", "CA1"), {}} {
				w.twilio.respond = func(*call) step { return s }
				w.wantEnd(w.finish(on("CA1", mute)), "ok")
			}
			if got := w.Stats().Labels; got != 0 {
				w.t.Errorf("%d labels are known, want none", got)
			}
		})
	})
}

func TestQueuesOfOneParticipantMerge(t *testing.T) {
	t.Run("in order of arrival", func(t *testing.T) {
		with(t, ordered(), func(w *world) {
			w.start(on("CA1", announce))
			w.start(on("desk", announce))
			w.start(on("desk", hold))
			w.start(on("CA1", mute))
			w.start(on("desk", announce))
			w.end(1, answerFor("desk", "CA1"))
			w.wantSends(2) // An update of the desk is still in flight, so no other is sent.
			w.answer(2, nil)
			w.wantSent(announceCA1, "desk AnnounceUrl=a", "desk Hold=true")
			w.answer(3, nil)
			w.answer(4, nil)
			w.answer(5, nil)
			w.wantSent(announceCA1, "desk AnnounceUrl=a", "desk Hold=true", muteCA1, "desk AnnounceUrl=a")
		})
	})
	t.Run("learned from an answer to the label", func(t *testing.T) {
		with(t, ordered(), func(w *world) {
			w.start(on("CA1", announce))
			w.start(on("desk", hold))
			w.end(2, answerFor("desk", "CA1"))
			w.start(on("desk", mute))
			w.wantSends(2)
			w.answer(1, nil)
			w.wantSent(announceCA1, "desk Hold=true", "desk Muted=true")
			w.answer(3, nil)
		})
	})
	t.Run("when no update has one of the names", func(t *testing.T) {
		with(t, ordered(), func(w *world) {
			w.start(on("desk", announce))
			w.start(on("desk", hold))
			w.end(1, answerFor("desk", "CA1"))
			w.start(on("CA1", mute))
			w.wantSent("desk AnnounceUrl=a", "desk Hold=true")
			w.answer(2, nil)
			w.answer(3, nil)
			w.wantSent("desk AnnounceUrl=a", "desk Hold=true", muteCA1)
		})
	})
	t.Run("a newer update supersedes an older one that waits", func(t *testing.T) {
		with(t, ordered(), func(w *world) {
			w.start(on("CA1", announce))
			older := w.start(on("CA1", unmute))
			newer := w.start(on("desk", mute)) // In flight.
			w.end(2, answerFor("desk", "CA1"))
			w.wantEnd(newer, "ok")
			w.wantEnd(older, "superseded, no")
			w.answer(1, nil)
			w.wantSent(announceCA1, "desk Muted=true")
		})
	})
	t.Run("a newer update stops the retries of an older one", func(t *testing.T) {
		with(t, retrying(3), func(w *world) {
			older := w.start(on("CA1", unmute))
			w.answer(1, retryAfter(503, time.Second))
			newer := w.start(on("desk", mute))
			w.end(2, answerFor("desk", "CA1"))
			w.wantEnd(newer, "ok")
			w.wantEnd(older, "superseded, maybe")
			w.pass(time.Minute)
			w.wantSent(unmuteCA1, "desk Muted=true")
		})
	})
	t.Run("an older update does not supersede a newer one", func(t *testing.T) {
		with(t, ordered(), func(w *world) {
			older := w.start(on("CA1", unmute))
			w.start(on("desk", announce))
			newer := w.start(on("desk", mute))
			w.end(1, answerFor("desk", "CA1"))
			w.wantEnd(older, "ok")
			w.answer(2, nil)
			w.answer(3, nil)
			w.wantEnd(newer, "ok")
			w.wantSent(unmuteCA1, "desk AnnounceUrl=a", "desk Muted=true")
		})
	})
}

// TestLabelExpiresWhileItsUpdatesWait checks that waiting and later updates still
// share a queue.
func TestLabelExpiresWhileItsUpdatesWait(t *testing.T) {
	cfg := ordered()
	cfg.Bounds.LabelAge = time.Minute
	with(t, cfg, func(w *world) {
		learnLabel(w)
		w.start(on("desk", hold))
		w.pass(time.Hour)
		last := w.start(on("desk", mute))
		w.wantSent(announceCA1, "desk Hold=true")
		w.end(2, answerFor("desk", "CA1"))
		w.answer(3, nil)
		w.wantEnd(last, "ok")
		w.wantSends(3)
	})
}

// TestLabelMovesToAnotherCall has a call that left the conference, and a newer call
// with its label.
func TestLabelMovesToAnotherCall(t *testing.T) {
	const muteDesk, unmuteDesk = "desk Muted=true", "desk Muted=false"
	t.Run("an answer shows the new call", func(t *testing.T) {
		with(t, ordered(), func(w *world) {
			learnLabel(w)
			w.start(on("desk", announce))
			w.start(on("CA1", hold))
			w.end(2, answerFor("desk", "CA2"))
			w.wantSent(announceCA1, "desk AnnounceUrl=a", holdCA1)
			w.start(on("desk", mute)) // Does not wait for the old call.
			w.start(on("CA2", mute))
			w.wantSends(4)
			w.answer(3, nil)
			w.answer(4, nil)
			w.answer(5, nil)
		})
	})
	t.Run("the old call is not found", func(t *testing.T) {
		with(t, ordered(), func(w *world) {
			learnLabel(w)
			w.start(on("CA1", announce))
			byLabel, bySID := w.start(on("desk", mute)), w.start(on("CA1", unmute))
			w.answer(2, nil)
			w.wantSent(announceCA1, announceCA1, unmuteCA1)
			w.answer(3, status(404))
			w.wantEnd(bySID, "404, no")
			w.answer(4, nil)
			w.wantEnd(byLabel, "ok")
			w.wantSent(announceCA1, announceCA1, unmuteCA1, muteDesk)
		})
	})
	t.Run("after the old call was not found", func(t *testing.T) {
		with(t, ordered(), func(w *world) {
			learnLabel(w)
			w.start(on("CA1", hold))
			w.answer(2, status(404))
			w.start(on("CA1", hold))
			byLabel := w.start(on("desk", mute))
			bySID := w.start(on("CA1", unmute))
			w.wantSent(announceCA1, holdCA1, holdCA1, muteDesk)
			w.answer(4, nil)
			w.wantEnd(byLabel, "ok")
			w.answer(3, status(404))
			w.answer(5, status(404))
			w.wantEnd(bySID, "404, no")
		})
	})
	t.Run("the label is not found", func(t *testing.T) {
		with(t, ordered(), func(w *world) {
			learnLabel(w)
			w.start(on("desk", hold))
			waiting := w.start(on("desk", unmute))
			w.start(on("CA1", mute))
			w.answer(2, status(404))
			w.wantSends(4) // There are two queues now, in flight at the same time.
			byLabel, bySID := 3, 4
			if w.twilio.sent()[3].String() == unmuteDesk {
				byLabel, bySID = 4, 3
			}
			w.answer(bySID, nil)
			w.wantEnd(waiting, "pending")
			w.answer(byLabel, status(404))
			w.wantEnd(waiting, "404, no")
		})
	})
	t.Run("the old call has no label any more", func(t *testing.T) {
		with(t, ordered(), func(w *world) {
			learnLabel(w)
			w.start(on("CA1", hold))
			byLabel := w.start(on("desk", mute))
			w.end(2, answerFor("", "CA1"))
			w.start(on("CA1", unmute))
			w.wantSent(announceCA1, holdCA1, muteDesk, unmuteCA1)
			w.answer(3, nil)
			w.wantEnd(byLabel, "ok")
			w.answer(4, nil)
		})
	})
}
