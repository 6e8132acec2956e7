package redisstore

import (
	"testing"

	"conferenced/service/delivery"
	"conferenced/service/outcome"
	"conferenced/service/property"
)

func joinRemoval(t *testing.T, s delivery.Store, name, label string) delivery.Entry {
	t.Helper()
	removal := delivery.Queued{Participant: participant(name), Label: label, Removal: true, Caller: "caller"}
	e, err := s.Join(within(t), removal)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestNothingOvertakesARemoval: it waits for the older update, although that waits for a
// retry and a newer one covers it.
func TestNothingOvertakesARemoval(t *testing.T) {
	eachCurrentStore(t, func(t *testing.T, s stores) {
		older := join(t, s.a, "CA1", muted)
		wantBegins(t, "the first", older)
		removal, newer := joinRemoval(t, s.b, "CA1", ""), join(t, s.a, "CA1", muted)
		older.End(delivery.End{Applied: outcome.No, Again: true})
		s.wait()
		wantWaits(t, "the removal", removal)
		wantWaits(t, "the newer one", newer)
		older.Resume()
		send(t, "the first, again", older)
		wantBegins(t, "the removal", removal)
		finish(removal, outcome.No) // Not found.
		send(t, "the newer one", newer)
	})
}

// TestARemovalSupersedesNothing, and nothing supersedes a removal.
func TestARemovalSupersedesNothing(t *testing.T) {
	eachCurrentStore(t, func(t *testing.T, s stores) {
		busy := join(t, s.a, "CA1", held)
		wantBegins(t, "the first", busy)
		older, removal := join(t, s.b, "CA1", muted), joinRemoval(t, s.a, "CA1", "")
		newer := join(t, s.b, "CA1", property.All)
		finish(busy, outcome.Yes)
		for _, e := range []delivery.Entry{older, removal, newer} {
			wantBegins(t, "the next", e)
			finish(e, outcome.Maybe)
		}
	})
}

// TestUpdatesThatWaitForARemovalEnd: those by either name, at either replica. The label
// is free for another participant then.
func TestUpdatesThatWaitForARemovalEnd(t *testing.T) {
	eachCurrentStore(t, func(t *testing.T, s stores) {
		older := join(t, s.a, "desk", muted)
		wantBegins(t, "the first", older)
		removal := joinRemoval(t, s.b, "CA1", "desk")
		waiting := []delivery.Entry{join(t, s.a, "desk", muted), joinRemoval(t, s.b, "CA1", "desk")}
		wantWaits(t, "the removal", removal)
		finish(older, outcome.Yes)
		wantBegins(t, "the removal", removal)
		removal.End(delivery.End{Applied: outcome.Yes, Removed: true})
		removal.Leave()
		for _, e := range waiting {
			wantOver(t, e, outcome.ParticipantNotFound)
		}
		s.wait()
		next, other := join(t, s.a, "desk", muted), join(t, s.b, "CA1", muted)
		wantBegins(t, "the label's next owner", next)
		wantBegins(t, "the Call SID", other)
		finish(next, outcome.Yes)
		finish(other, outcome.No)
	})
}
