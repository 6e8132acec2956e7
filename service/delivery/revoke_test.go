package delivery

import (
	"context"
	"testing"

	"conferenced/service/outcome"
)

// revokingStore is a store that revokes queue positions and request IDs.
type revokingStore struct {
	Store
	// valid, hold and stands are called before each attempt.
	valid, hold, stands func() error
}

func (f revokingStore) Enter(ctx context.Context, key Key, content Content, update Queued) (Entry, *Record, error) {
	entry, record, err := f.Store.Enter(ctx, key, content, update)
	return revokingEntry{entry, f}, record, err
}

type revokingEntry struct {
	Entry
	f revokingStore
}

func (e revokingEntry) Begin(ctx context.Context, permit *Permit) (bool, error) {
	if err := e.f.valid(); err != nil {
		permit.Free()
		return false, err
	}
	return e.Entry.Begin(ctx, permit)
}

func (e revokingEntry) Stands() error {
	if e.f.stands == nil {
		return nil
	}
	return e.f.stands()
}

func (f revokingStore) Hold(context.Context, Key) error { return f.hold() }

// after returns a function that returns err from its n-th call on.
func after(n int, err error) func() error {
	return func() error {
		n--
		if n < 1 {
			return err
		}
		return nil
	}
}

func TestRevokedUpdateIsNotSent(t *testing.T) {
	const never = 100
	gone := outcome.StateUnavailable.Err(outcome.Facts{})
	for _, test := range []struct {
		name        string
		valid, hold func() error
		sent        []string
		want        string
	}{
		{"the queue position", after(1, gone), after(never, nil), nil, "state unavailable, no"},
		{"the request ID", after(never, nil), after(1, gone), nil, "state unavailable, no"},
		{"the queue position, before a retry", after(2, gone), after(never, nil), []string{muteCA1}, "503, maybe"},
		{"the request ID, before a retry", after(never, nil), after(2, gone), []string{muteCA1}, "503, maybe"},
		{"the queue position, after the caller left", after(1, context.Canceled), after(never, nil), nil, "cancelled, no"},
		{"nothing", after(never, nil), after(never, nil), []string{muteCA1, muteCA1}, "ok"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := withRequestIDs()
			cfg.Retrying.Attempts = 3
			cfg.Limits = Limits{MaxConcurrency: 1, MinConcurrency: 1}
			wrap := func(store Store) Store { return revokingStore{store, test.valid, test.hold, nil} }
			withStore(t, cfg, wrap, func(w *world) {
				w.twilio.respond = failing(status(503))
				w.wantEnd(w.finish(withID("id", on("CA1", mute))), test.want)
				w.wantSent(test.sent...)
			})
		})
	}
}

// TestUpdateRevokedWhileConnectingIsNotSent revokes the queue position after Begin,
// while a connection is made.
func TestUpdateRevokedWhileConnectingIsNotSent(t *testing.T) {
	gone := outcome.StateUnavailable.Err(outcome.Facts{})
	for _, test := range []struct {
		name   string
		stands func() error
		sent   []string
		want   string
	}{
		{"before the first attempt", after(1, gone), nil, "state unavailable, no"},
		{"before a retry", after(2, gone), []string{muteCA1}, "503, maybe"},
		{"never", after(100, gone), []string{muteCA1, muteCA1}, "ok"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := withRequestIDs()
			cfg.Retrying.Attempts = 3
			stands := after(100, nil)
			wrap := func(store Store) Store { return revokingStore{store, stands, stands, test.stands} }
			withStore(t, cfg, wrap, func(w *world) {
				w.twilio.respond = failing(status(503))
				w.wantEnd(w.finish(withID("id", on("CA1", mute))), test.want)
				w.wantSent(test.sent...)
			})
		})
	}
}
