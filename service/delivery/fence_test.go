package delivery

import (
	"context"
	"testing"

	"conferenced/service/outcome"
)

// fenced is a store that takes turns and request ids away.
type fenced struct {
	Store
	// valid, hold and stands are asked before each attempt.
	valid, hold, stands func() error
}

func (f fenced) Join(ctx context.Context, update Queued) (Entry, error) {
	entry, err := f.Store.Join(ctx, update)
	return fencedEntry{entry, f}, err
}

type fencedEntry struct {
	Entry
	f fenced
}

func (e fencedEntry) Begin(ctx context.Context, permit *Permit) (bool, error) {
	if err := e.f.valid(); err != nil {
		permit.Free()
		return false, err
	}
	return e.Entry.Begin(ctx, permit)
}

func (e fencedEntry) Stands() error {
	if e.f.stands == nil {
		return nil
	}
	return e.f.stands()
}

func (f fenced) Hold(context.Context, Key) error { return f.hold() }

// after is an error from the n-th call on.
func after(n int, err error) func() error {
	return func() error {
		n--
		if n < 1 {
			return err
		}
		return nil
	}
}

func TestNothingIsSentOfWhatWasTakenAway(t *testing.T) {
	const never = 100
	gone := outcome.StateUnavailable.Err(outcome.Facts{})
	for _, test := range []struct {
		name        string
		valid, hold func() error
		sent        []string
		want        string
	}{
		{"the turn", after(1, gone), after(never, nil), nil, "state unavailable, no"},
		{"the request id", after(never, nil), after(1, gone), nil, "state unavailable, no"},
		{"the turn, before a retry", after(2, gone), after(never, nil), []string{muteCA1}, "503, maybe"},
		{"the request id, before a retry", after(never, nil), after(2, gone), []string{muteCA1}, "503, maybe"},
		{"the turn of a caller who left", after(1, context.Canceled), after(never, nil), nil, "cancelled, no"},
		{"nothing", after(never, nil), after(never, nil), []string{muteCA1, muteCA1}, "ok"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := remembering()
			cfg.Retrying.Attempts = 3
			cfg.Limits = Limits{MaxConcurrency: 1, MinConcurrency: 1}
			wrap := func(store Store) Store { return fenced{store, test.valid, test.hold, nil} }
			withStore(t, cfg, wrap, func(w *world) {
				w.twilio.respond = failing(status(503))
				w.wantEnd(w.finish(by("id", on("CA1", mute))), test.want)
				w.wantSent(test.sent...)
			})
		})
	}
}

// TestNothingIsSentOfATurnThatEndedMeanwhile: it is taken away after it was valid,
// while a connection is made.
func TestNothingIsSentOfATurnThatEndedMeanwhile(t *testing.T) {
	gone := outcome.StateUnavailable.Err(outcome.Facts{})
	for _, test := range []struct {
		name   string
		stands func() error
		sent   []string
		want   string
	}{
		{"at once", after(1, gone), nil, "state unavailable, no"},
		{"before a retry", after(2, gone), []string{muteCA1}, "503, maybe"},
		{"never", after(100, gone), []string{muteCA1, muteCA1}, "ok"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := remembering()
			cfg.Retrying.Attempts = 3
			stands := after(100, nil)
			wrap := func(store Store) Store { return fenced{store, stands, stands, test.stands} }
			withStore(t, cfg, wrap, func(w *world) {
				w.twilio.respond = failing(status(503))
				w.wantEnd(w.finish(by("id", on("CA1", mute))), test.want)
				w.wantSent(test.sent...)
			})
		})
	}
}
