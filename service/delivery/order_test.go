package delivery

import (
	"fmt"
	"testing"
	"time"

	"conferenced/service/twilio"
)

func TestOneUpdatePerParticipantIsOnItsWay(t *testing.T) {
	with(t, ordered(), func(w *world) {
		first, second, third := w.start(on("CA1", mute)), w.start(on("CA1", hold)), w.start(on("CA1", announce))
		w.wantSent(muteCA1)
		w.answer(1, nil)
		w.wantSent(muteCA1, holdCA1)
		w.answer(2, status(503)) // Whatever its end.
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

func TestRetriesKeepTheirPlace(t *testing.T) {
	with(t, retrying(3), func(w *world) {
		w.twilio.respond = failing(retryAfter(429, time.Second), retryAfter(503, time.Second))
		w.start(on("CA1", mute))
		w.start(on("CA1", hold))
		w.pass(2 * time.Second)
		w.wantSent(muteCA1, muteCA1, muteCA1, holdCA1)
	})
}

func TestWhoTakesWhosePlace(t *testing.T) {
	tests := []struct {
		name         string
		older, newer []change
		superseded   bool
	}{
		{"the same property", []change{unmute}, []change{mute}, true},
		{"the same property and value", []change{mute}, []change{mute}, true},
		{"more properties", []change{unmute}, []change{mute, hold}, true},
		{"fewer properties", []change{unmute, hold}, []change{mute}, false},
		{"another property", []change{unmute}, []change{hold}, false},
		{"some that are shared", []change{unmute, hold}, []change{mute, announce}, false},
		{"an announcement by an announcement", []change{announce}, []change{announce}, false},
		{"an announcement by more", []change{announce}, []change{announce, mute}, false},
		{"an announcement among others", []change{announce, mute}, []change{announce, mute}, false},
		{"by an announcement that sets it too", []change{unmute}, []change{mute, announce}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			with(t, ordered(), func(w *world) {
				w.start(on("CA1", unhold, announce)) // On the way, so that the older one waits.
				older := w.start(on("CA1", test.older...))
				newer := w.start(on("CA1", test.newer...))
				if test.superseded {
					w.wantEnd(older, "superseded, no")
				} else {
					w.wantEnd(older, "under way")
				}
				w.twilio.respond = failing()
				w.answer(1, nil)
				w.wantEnd(newer, "ok")
				sends, superseded := 3, int64(0)
				if test.superseded {
					sends, superseded = 2, 1
				} else {
					w.wantEnd(older, "ok")
				}
				w.wantSends(sends)
				if got := w.Stats().Superseded; got != superseded {
					w.t.Errorf("%d superseded, want %d", got, superseded)
				}
			})
		})
	}
}

func TestEveryPropertyCounts(t *testing.T) {
	text := "x"
	changes := []change{
		mute, hold, announce,
		func(u *twilio.ParticipantUpdate) { u.HoldURL = &text },
		func(u *twilio.ParticipantUpdate) { u.HoldMethod = "GET" },
		func(u *twilio.ParticipantUpdate) { u.AnnounceMethod = "GET" },
		func(u *twilio.ParticipantUpdate) { u.WaitURL = new("") },
		func(u *twilio.ParticipantUpdate) { u.WaitMethod = "GET" },
		func(u *twilio.ParticipantUpdate) { u.BeepOnExit = new(false) },
		func(u *twilio.ParticipantUpdate) { u.EndConferenceOnExit = new(false) },
		func(u *twilio.ParticipantUpdate) { u.Coaching = new(false) },
		func(u *twilio.ParticipantUpdate) { u.CallSIDToCoach = &text },
	}
	all := on("CA1", changes...).properties()
	for i, change := range changes {
		one := on("CA1", change).properties()
		if one == 0 || !all.Cover(one) || one.Cover(all) {
			t.Errorf("property %d is %b of %b", i, one, all)
		}
		for j, other := range changes[:i] {
			if on("CA1", other).properties() == one {
				t.Errorf("properties %d and %d are the same", i, j)
			}
		}
	}
}

func TestOneTakesThePlaceOfMany(t *testing.T) {
	with(t, ordered(), func(w *world) {
		w.start(on("CA1", announce))
		first, second, kept := w.start(on("CA1", unmute)), w.start(on("CA1", unhold)), w.start(on("CA1", announce))
		newest := w.start(on("CA1", mute, hold))
		w.wantEnd(first, "superseded, no")
		w.wantEnd(second, "superseded, no")
		w.wantEnd(kept, "under way")
		if got := w.Stats().Waiting; got != 3 {
			w.t.Errorf("%d in line, want 3", got)
		}
		w.twilio.respond = failing()
		w.answer(1, nil)
		w.wantEnd(newest, "ok")
		w.wantSent(announceCA1, announceCA1, "CA1 Muted=true&Hold=true")
	})
}

// TestSupersededOnTheWay has every end of an attempt that a newer update waits
// for: what has been answered is told, and what is not is not sent again.
func TestSupersededOnTheWay(t *testing.T) {
	tests := []struct {
		name string
		end  error
		want string
	}{
		{"it works all the same", nil, "ok"},
		{"it is rejected", status(400), "400, no"},
		{"429", status(429), "superseded, no"},
		{"not sent", errNotSent, "superseded, no"},
		{"503", status(503), "superseded, maybe"},
		{"lost", errNoAnswer, "superseded, maybe"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			with(t, retrying(3), func(w *world) {
				older := w.start(on("CA1", unmute))
				newer := w.start(on("CA1", mute))
				w.wantEnd(older, "under way") // It is on its way, so nobody knows yet.
				w.answer(1, test.end)
				w.wantEnd(older, test.want)
				w.answer(2, nil)
				w.wantEnd(newer, "ok")
				w.wantSent(unmuteCA1, muteCA1)
			})
		})
	}
}

func TestSupersededBetweenAttempts(t *testing.T) {
	for end, want := range map[int]string{429: "superseded, no", 503: "superseded, maybe"} {
		with(t, retrying(3), func(w *world) {
			w.twilio.respond = failing(retryAfter(end, time.Minute))
			older := w.start(on("CA1", unmute))
			w.pass(time.Second)
			newer := w.start(on("CA1", mute))
			w.wantEnd(older, want)
			w.wantEnd(newer, "ok")
			w.wantClock(time.Second)
			w.pass(time.Hour)
			w.wantSent(unmuteCA1, muteCA1)
		})
	}
}

func TestSupersededWhileWaitingForTheLimit(t *testing.T) {
	cfg := ordered()
	cfg.Limits = Limits{MaxConcurrency: 1, MinConcurrency: 1, Queue: 10}
	with(t, cfg, func(w *world) {
		w.start(on("CA2", mute))
		older := w.start(on("CA1", unmute))
		newer := w.start(on("CA1", mute))
		w.wantEnd(older, "superseded, no")
		w.answer(1, nil)
		w.answer(2, nil)
		w.wantEnd(newer, "ok")
		w.wantSent("CA2 Muted=true", muteCA1)
	})
}

func TestSupersedingOneIsSupersededItself(t *testing.T) {
	with(t, ordered(), func(w *world) {
		w.start(on("CA1", announce))
		first, second, third := w.start(on("CA1", mute)), w.start(on("CA1", unmute)), w.start(on("CA1", mute))
		w.wantEnd(first, "superseded, no")
		w.wantEnd(second, "superseded, no")
		w.answer(1, nil)
		w.answer(2, nil)
		w.wantEnd(third, "ok")
		w.wantSent(announceCA1, muteCA1)
	})
}

func TestCallerLeavesTheLine(t *testing.T) {
	with(t, ordered(), func(w *world) {
		w.start(on("CA1", announce))
		p := w.deliver(w.within(time.Second), on("CA1", mute))
		next := w.start(on("CA1", hold))
		w.pass(time.Second)
		w.wantEnd(p, "deadline, no")
		if got := w.Stats().Waiting; got != 2 {
			w.t.Errorf("%d in line, want the other 2", got)
		}
		w.answer(1, nil)
		w.wantSent(announceCA1, holdCA1)
		w.answer(2, nil)
		w.wantEnd(next, "ok")
	})
}

func TestLineIsFull(t *testing.T) {
	cfg := ordered()
	cfg.Bounds.LineLength = 2
	with(t, cfg, func(w *world) {
		w.start(on("CA1", announce))
		waiting := []*pending{w.start(on("CA1", hold)), w.start(on("CA1", announce))}
		w.wantEnd(w.start(on("CA1", mute)), "overloaded, no")
		if stats := w.Stats(); stats.Refused != 1 || stats.Updates != 3 {
			w.t.Errorf("%d refused of %d started, want 1 of 3", stats.Refused, stats.Updates)
		}
		w.wantEnd(waiting[0], "under way")

		// One that takes the place of another needs no more room.
		newer := w.start(on("CA1", unhold, mute))
		w.wantEnd(waiting[0], "superseded, no")
		w.twilio.respond = failing()
		w.answer(1, nil)
		w.wantEnd(waiting[1], "ok")
		w.wantEnd(newer, "ok")
		w.wantEnd(w.finish(on("CA1", mute)), "ok") // There is room again.
	})
}

// One that is on the way keeps its place in a full line, even if it is
// superseded.
func TestLineIsFullOfOneThatCannotBeTakenBack(t *testing.T) {
	cfg := ordered()
	cfg.Bounds.LineLength = 1
	with(t, cfg, func(w *world) {
		w.start(on("CA1", mute))
		w.start(on("CA1", announce))
		w.wantEnd(w.start(on("CA1", unmute)), "overloaded, no")
		w.twilio.respond = failing()
		w.answer(1, nil)
	})
}

func TestUnorderedUpdatesOvertakeEachOther(t *testing.T) {
	with(t, plain(), func(w *world) {
		older, newer := w.start(on("CA1", unmute)), w.start(on("CA1", mute))
		w.wantSent(unmuteCA1, muteCA1)
		w.end(2, known("front desk", "CA1"))
		w.wantEnd(older, "under way")
		w.wantEnd(newer, "ok")
		w.answer(1, nil)
		if got := w.Stats().Sizes; got != (Sizes{}) {
			w.t.Errorf("remembers %+v, want nothing", got)
		}
	})
}

// meet makes the label of CA1 known.
func meet(w *world) {
	w.t.Helper()
	n := len(w.twilio.sent()) + 1
	p := w.start(on("CA1", announce))
	w.end(n, known("desk", "CA1"))
	w.wantEnd(p, "ok")
}

func TestNamesOfOneParticipant(t *testing.T) {
	const muteDesk = "desk Muted=true"
	t.Run("are two until they are known", func(t *testing.T) {
		with(t, ordered(), func(w *world) {
			w.start(on("CA1", hold))
			w.start(on("desk", mute))
			w.wantSent(holdCA1, muteDesk)
			w.answer(1, nil)
			w.answer(2, nil)
		})
	})
	t.Run("share a line once they are known", func(t *testing.T) {
		with(t, ordered(), func(w *world) {
			meet(w)
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
	t.Run("are known in their conference only", func(t *testing.T) {
		with(t, ordered(), func(w *world) {
			meet(w)
			w.start(on("CA1", hold))
			elsewhere := on("desk", mute)
			elsewhere.Path.ConferenceSID = "CF2"
			w.start(elsewhere)
			w.wantSent(announceCA1, holdCA1, muteDesk)
			w.answer(2, nil)
			w.answer(3, nil)
		})
	})
	t.Run("are forgotten when they were not seen for long", func(t *testing.T) {
		cfg := ordered()
		cfg.Bounds.LabelAge = time.Minute
		with(t, cfg, func(w *world) {
			meet(w)
			w.pass(50 * time.Second)
			meet(w) // Seen again.
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
			w.twilio.respond = func(c *call) step { return known("desk of "+c.path.Participant, c.path.Participant) }
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
			for _, s := range []step{known("", "CA1"), {}} {
				w.twilio.respond = func(*call) step { return s }
				w.wantEnd(w.finish(on("CA1", mute)), "ok")
			}
			if got := w.Stats().Labels; got != 0 {
				w.t.Errorf("%d labels are known, want none", got)
			}
		})
	})
}

func TestLinesOfOneParticipantMerge(t *testing.T) {
	t.Run("each place where its arrival puts it", func(t *testing.T) {
		with(t, ordered(), func(w *world) {
			w.start(on("CA1", announce))
			w.start(on("desk", announce))
			w.start(on("desk", hold))
			w.start(on("CA1", mute))
			w.start(on("desk", announce))
			w.end(1, known("desk", "CA1"))
			w.wantSends(2) // One is still on the way to the desk, so nobody else is sent.
			w.answer(2, nil)
			w.wantSent(announceCA1, "desk AnnounceUrl=a", "desk Hold=true")
			w.answer(3, nil)
			w.answer(4, nil)
			w.answer(5, nil)
			w.wantSent(announceCA1, "desk AnnounceUrl=a", "desk Hold=true", muteCA1, "desk AnnounceUrl=a")
		})
	})
	t.Run("whichever name was learned from", func(t *testing.T) {
		with(t, ordered(), func(w *world) {
			w.start(on("CA1", announce))
			w.start(on("desk", hold))
			w.end(2, known("desk", "CA1"))
			w.start(on("desk", mute))
			w.wantSends(2)
			w.answer(1, nil)
			w.wantSent(announceCA1, "desk Hold=true", "desk Muted=true")
			w.answer(3, nil)
		})
	})
	t.Run("with one name that nobody waits under", func(t *testing.T) {
		with(t, ordered(), func(w *world) {
			w.start(on("desk", announce))
			w.start(on("desk", hold))
			w.end(1, known("desk", "CA1"))
			w.start(on("CA1", mute))
			w.wantSent("desk AnnounceUrl=a", "desk Hold=true")
			w.answer(2, nil)
			w.answer(3, nil)
			w.wantSent("desk AnnounceUrl=a", "desk Hold=true", muteCA1)
		})
	})
	t.Run("a newer update takes the place of an older one that waits", func(t *testing.T) {
		with(t, ordered(), func(w *world) {
			w.start(on("CA1", announce))
			older := w.start(on("CA1", unmute))
			newer := w.start(on("desk", mute)) // On the way.
			w.end(2, known("desk", "CA1"))
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
			w.end(2, known("desk", "CA1"))
			w.wantEnd(newer, "ok")
			w.wantEnd(older, "superseded, maybe")
			w.pass(time.Minute)
			w.wantSent(unmuteCA1, "desk Muted=true")
		})
	})
	t.Run("an older update does not take the place of a newer one", func(t *testing.T) {
		with(t, ordered(), func(w *world) {
			older := w.start(on("CA1", unmute))
			w.start(on("desk", announce))
			newer := w.start(on("desk", mute))
			w.end(1, known("desk", "CA1"))
			w.wantEnd(older, "ok")
			w.answer(2, nil)
			w.answer(3, nil)
			w.wantEnd(newer, "ok")
			w.wantSent(unmuteCA1, "desk AnnounceUrl=a", "desk Muted=true")
		})
	})
}

// TestLabelIsForgottenWhileUpdatesWaitUnderIt: those who wait and those who come
// later still share a line.
func TestLabelIsForgottenWhileUpdatesWaitUnderIt(t *testing.T) {
	cfg := ordered()
	cfg.Bounds.LabelAge = time.Minute
	with(t, cfg, func(w *world) {
		meet(w)
		w.start(on("desk", hold))
		w.pass(time.Hour)
		last := w.start(on("desk", mute))
		w.wantSent(announceCA1, "desk Hold=true")
		w.end(2, known("desk", "CA1"))
		w.answer(3, nil)
		w.wantEnd(last, "ok")
		w.wantSends(3)
	})
}

// TestLabelMovesToAnotherCall: the first call has left the conference, and the
// next one has its label.
func TestLabelMovesToAnotherCall(t *testing.T) {
	with(t, ordered(), func(w *world) {
		meet(w)
		w.start(on("desk", announce))
		waiting := w.start(on("desk", unmute))
		w.end(2, known("desk", "CA2"))
		newer := w.start(on("desk", mute))
		w.wantEnd(waiting, "under way") // It is on its way already.
		w.start(on("CA2", hold))
		w.wantSends(3) // Both wait for it.
		w.end(3, known("desk", "CA2"))
		w.end(4, known("desk", "CA2"))
		w.wantEnd(newer, "ok")
		w.end(5, known("desk", "CA2"))
		w.wantSent(announceCA1, "desk AnnounceUrl=a", "desk Muted=false", "desk Muted=true", "CA2 Hold=true")

		w.start(on("desk", hold))
		w.start(on("CA2", mute))
		w.start(on("CA1", mute))
		w.wantSends(7) // CA2 waits for its label, CA1 does not.
		w.answer(6, nil)
		w.answer(7, nil)
		w.answer(8, nil)
	})
}
