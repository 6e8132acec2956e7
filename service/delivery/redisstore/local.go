package redisstore

import (
	"context"

	"conferenced/service/delivery"
)

// separate lets the updates of a conference that go on without Redis do so. The others
// may still be sent if Redis answers before their leases end. It is called under the
// lock.
func (s *Store) separate(c delivery.Conference) {
	for _, e := range s.sharedEntries() {
		if e.update.Participant.Conference == c && s.goesOn(announces(e.update)) {
			e.lapse()
		}
	}
}

// lapse ends the update's place in Redis. The update goes on in a queue of this process
// if the configuration says so, unless the lease has ended while the process was
// stopped.
func (e *entry) lapse() {
	s := e.store
	switch {
	case s.endedInStop(e.until):
		e.lose()
		return
	case !s.goesOn(announces(e.update)):
		e.end(unavailable())
		return
	case e.state == waiting || e.state == asking:
		local, err := s.local.Join(context.Background(), e.update)
		if err != nil {
			e.end(err)
			return
		}
		e.local = local
	default:
		e.local = s.local.Adopt(e.update, e.state == inFlight)
	}
	s.redis.observer.Separated()
	s.loops.Go(e.follow)
}

// follow passes on what happens in the queue of this process. It takes the lock.
func (e *entry) follow() {
	for {
		select {
		case permit := <-e.local.Turns():
			e.pass(permit)
		case <-e.local.Over():
			e.store.mu.Lock()
			e.end(e.local.Err())
			e.store.mu.Unlock()
			return
		case <-e.left:
			return
		}
	}
}

// pass passes on a turn in the queue of this process. It takes the lock.
func (e *entry) pass(permit *delivery.Permit) {
	e.store.mu.Lock()
	defer e.store.mu.Unlock()
	switch {
	case permit == nil:
		e.signalTurn()
	case e.state == departed:
		permit.Free()
	default:
		e.takePermit()
		e.turns <- permit
	}
}
