package delivery

import (
	"fmt"
	"testing"
	"time"

	"conferenced/service/outcome"
)

const (
	bulkID  = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
	muteCA2 = "CA2 Muted=true"
	muteCA3 = "CA3 Muted=true"
)

// limitedTo is withRequestIDs with a limit of n attempts at a time.
func limitedTo(n int) Config {
	cfg := withRequestIDs()
	cfg.Limits = Limits{MaxConcurrency: n, MinConcurrency: 1, Queue: 1000}
	return cfg
}

// bulk begins an operation of the updates, and starts them.
func (w *world) bulk(requestID string, updates ...*Update) []*pending {
	w.t.Helper()
	b, err := w.BeginBulk(w.t.Context(), updates[0].Account, "caller", requestID, updates[0].content())
	if err != nil {
		w.t.Fatal(err)
	}
	defer b.End()
	group, all := b.Group(len(updates)), make([]*pending, len(updates))
	for i, u := range updates {
		u.Group, u.RequestID = group, requestID
		all[i] = w.start(u)
	}
	return all
}

func TestAllOfABulkOperationJoinBeforeTheFirstIsSent(t *testing.T) {
	with(t, ordered(), func(w *world) {
		w.twilio.respond = script()
		b, err := w.BeginBulk(w.t.Context(), on("CA1").Account, "caller", "", Content{})
		if err != nil {
			t.Fatal(err)
		}
		first, second := on("CA1", mute), on("CA2", mute)
		first.Group = b.Group(2)
		second.Group = first.Group
		ctx, cancel := w.cancellable()
		pending := w.deliver(ctx, first)
		newer := w.start(on("CA1", hold))
		w.wantSent()
		w.start(second)
		w.wantSends(3)
		w.wantEnd(pending, "ok")
		w.wantEnd(newer, "ok")
		b.End()
		cancel()
	})
}

// TestOtherUpdatesGoFirst has a bulk operation with more updates than the limit, which
// is 1, allows. Another update waits for the attempt in flight, and not for the rest of
// the operation. One of a participant whose update in the operation is older waits for
// that update too, and again for a slot.
func TestOtherUpdatesGoFirst(t *testing.T) {
	const size = 250
	tests := []struct {
		name   string
		single *Update
		before int // The attempts of the operation before it.
	}{
		{"of another participant", on("CB1", hold), 1},
		{"of another caller", from("another", on("CB1", hold)), 1},
		{"of a participant of the operation", on("CA200", hold), 3},
		{"of a participant of the operation, by label", on("label of 200", hold), 3},
		{"that covers the participant's update", on("CA200", hold, unmute), 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			with(t, limitedTo(1), func(w *world) {
				w.twilio.respond = func(c *call) step {
					s := answerFor("label of "+c.request.Path.Participant[2:], c.request.Path.Participant)
					s.after = time.Second
					return s
				}
				var updates []*Update
				for i := range size {
					u := on(fmt.Sprint("CA", i+1), mute)
					u.Label = fmt.Sprint("label of ", i+1)
					updates = append(updates, u)
				}
				w.bulk("", updates...)
				single := w.start(test.single)
				w.pass(time.Duration(test.before+1) * time.Second)
				w.wantEnd(single, "ok")
				w.pass(size * time.Second)
			})
		})
	}
}

// TestRepeatedBulk has the results of one update of an operation, and what a repetition
// of the operation makes of it.
func TestRepeatedBulk(t *testing.T) {
	tests := []struct {
		name   string
		change change
		first  error
		want   string // The result of the repetition.
		sends  int    // By both, and by another repetition.
	}{
		{"applied", mute, nil, "ok", 1},
		{"rejected", mute, status(400), "400, no", 1},
		{"not applied", mute, status(429), "ok", 2},
		{"not known", mute, status(503), "ok", 2},
		{"lost", mute, errNoAnswer, "ok", 2},
		{"applied, but the answer cannot be read", mute, unreadable(200), "answer 200, yes", 1},
		{"not known, announcing", announce, status(503), "503, maybe", 1},
		{"not applied, announcing", announce, errNotSent, "ok", 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			with(t, withRequestIDs(), func(w *world) {
				w.twilio.respond = failing(test.first)
				w.bulk(bulkID, on("CA1", test.change))
				for range 2 {
					w.wantEnd(w.bulk(bulkID, on("CA1", test.change))[0], test.want)
				}
				w.wantSends(test.sends)
			})
		})
	}
}

// TestRepeatedBulkAfterANewerUpdate: a superseded update is not repeated, although it may
// have been applied, because the newer one would be undone.
func TestRepeatedBulkAfterANewerUpdate(t *testing.T) {
	cfg := withRequestIDs()
	cfg.Retrying.Attempts = 2
	with(t, cfg, func(w *world) {
		w.twilio.respond = failing(retryAfter(503, time.Second))
		muted := w.bulk(bulkID, on("CA1", mute))[0]
		w.wantEnd(w.finish(on("CA1", unmute)), "ok")
		w.wantEnd(muted, "superseded, maybe")
		w.wantEnd(w.bulk(bulkID, on("CA1", mute))[0], "superseded, maybe")
		w.wantSent(muteCA1, unmuteCA1)
	})
}

// TestOperationsWithOneRequestID run one after the other, also if the first one's call
// has ended, and have the same content.
func TestOperationsWithOneRequestID(t *testing.T) {
	cfg := withRequestIDs()
	cfg.Grace = time.Minute
	with(t, cfg, func(w *world) {
		account, content := on("CA1").Account, on("CA1", mute).content()
		b, err := w.BeginBulk(t.Context(), account, "caller", bulkID, content)
		if err != nil {
			t.Fatal(err)
		}
		u := withID(bulkID, on("CA1", mute))
		u.Group = b.Group(1)
		ctx, cancel := w.cancellable()
		first := w.deliver(ctx, u)
		cancel()
		b.End()
		w.wantEnd(first, "cancelled, maybe")
		_, err = w.BeginBulk(w.within(time.Second), account, "caller", bulkID, content)
		if !outcome.Is(err, outcome.Deadline) || outcome.From(err).Applied != outcome.Maybe {
			t.Errorf("an operation while the first one runs: %v", err)
		}
		if _, err = w.BeginBulk(t.Context(), account, "caller", bulkID, Content{1}); !outcome.Is(err, outcome.RequestIDReused) {
			t.Errorf("another operation while the first one runs: %v", err)
		}
		w.answer(1, nil)
		w.wantEnd(w.bulk(bulkID, on("CA1", mute))[0], "ok")
		if _, err = w.BeginBulk(t.Context(), account, "caller", bulkID, Content{1}); !outcome.Is(err, outcome.RequestIDReused) {
			t.Errorf("another operation later: %v", err)
		}
		w.wantSent(muteCA1)
	})
}

func TestFollowed(t *testing.T) {
	with(t, ordered(), func(w *world) {
		w.twilio.respond = script()
		b, err := w.BeginBulk(t.Context(), on("CA1").Account, "caller", "", Content{})
		if err != nil {
			t.Fatal(err)
		}
		group := b.Group(3)
		for i := range 3 {
			u := on(fmt.Sprint("CA", i+1), mute)
			u.Group, u.Label = group, fmt.Sprint("label ", i+1)
			w.start(u)
		}
		w.finish(on("CA1", unmute))
		w.finish(on("label 2", unmute))
		for i, want := range []bool{true, true, false} {
			if sid := fmt.Sprint("CA", i+1); b.Followed(sid) != want {
				t.Errorf("%s: %t, want %t", sid, !want, want)
			}
		}
		b.End()
	})
}
