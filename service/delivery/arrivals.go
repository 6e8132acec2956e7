package delivery

import (
	"context"
	"slices"
	"sync"

	"conferenced/service/outcome"
)

// arrivals keeps the order of arrival of the updates that name their conference, until
// their conference is known and they have joined the participant's queue. Reads of
// several updates of a participant can end in any order.
type arrivals struct {
	capacity int // For each participant and caller.

	mu   sync.Mutex
	byID map[Participant][]*arrival // The conference is a name.
}

// arrival is an update that has not joined its queue yet.
type arrival struct {
	all         *arrivals
	participant Participant
	caller      string
	first       chan struct{} // Closed when no older update is left.
}

// arrive adds an update. The error is the outcome Overloaded.
func (a *arrivals) arrive(update Queued) (*arrival, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	older := a.byID[update.Participant]
	count := 0
	for _, one := range older {
		if one.caller == update.Caller {
			count++
		}
	}
	if count >= a.capacity {
		return nil, outcome.Overloaded.Err(outcome.Facts{})
	}
	arrived := &arrival{all: a, participant: update.Participant, caller: update.Caller, first: make(chan struct{})}
	if len(older) == 0 {
		close(arrived.first)
	}
	a.byID[update.Participant] = append(older, arrived)
	return arrived, nil
}

// await returns when no older update is left, or the context's error.
func (a *arrival) await(ctx context.Context) error {
	select {
	case <-a.first:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leave removes the update.
func (a *arrival) leave() {
	a.all.mu.Lock()
	defer a.all.mu.Unlock()
	left := a.all.byID[a.participant]
	wasFirst := left[0] == a
	left = slices.DeleteFunc(left, func(other *arrival) bool { return other == a })
	a.all.byID[a.participant] = left
	switch {
	case len(left) == 0:
		delete(a.all.byID, a.participant)
	case wasFirst:
		close(left[0].first)
	}
}
