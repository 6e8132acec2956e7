package redisstore

import (
	"context"
	"slices"
	"time"

	"conferenced/service/delivery"
	"conferenced/service/outcome"
)

// report makes a request about the entry after the earlier ones, without waiting for
// it. If Redis cannot be reached, the lease ends.
func (e *entry) report(op string, args ...string) {
	e.reports = append(e.reports, e.request(op, args...))
	e.store.background.Go(func() {
		if e.sendReports(context.Background()) != nil {
			e.store.sendLater(e.store.cfg.Lease, e.sendReports)
		}
	})
}

// reportFinish reports the end of an attempt, or that the update has left. If the update
// was alone in its queue, nothing waits for that.
func (e *entry) reportFinish(args ...string) {
	if e.stored == "" || e.state != departed || len(e.reports) > 0 {
		e.report("finish", args...)
		return
	}
	e.store.post(e.request("finish", args...), e.store.cfg.Lease)
}

// sendReports makes the requests in their order. It takes the lock.
func (e *entry) sendReports(ctx context.Context) error {
	select {
	case e.reporting <- struct{}{}:
		defer func() { <-e.reporting }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		report, ok := e.nextReport()
		if !ok {
			return nil
		}
		r := e.store.redis.run(ctx, report)
		if r.err != nil {
			return r.err
		}
		e.reported(r)
	}
}

// nextReport takes the lock.
func (e *entry) nextReport() (report request, ok bool) {
	e.store.mu.Lock()
	defer e.store.mu.Unlock()
	if len(e.reports) == 0 {
		return request{}, false
	}
	return e.reports[0], true
}

// reported handles the answer to a report. It takes the lock.
func (e *entry) reported(r reply) {
	e.store.mu.Lock()
	defer e.store.mu.Unlock()
	e.reports = e.reports[1:]
	if r.answer[0] == scriptInFlight && e.state == waiting {
		e.attempt, e.freshUntil = r.answer[1], r.asked.Add(e.store.fresh)
	}
	e.handleAnswer(r.answer[0], last(r.answer), r.asked)
}

// handleAnswer handles the state of the update in the answer to a request made then,
// which has renewed the lease.
func (e *entry) handleAnswer(state, born string, asked time.Time) {
	if e.shared() && slices.Contains([]string{scriptWaiting, scriptLeading, scriptPaused, scriptInFlight}, state) {
		e.until = e.store.leaseEnd(asked)
	}
	e.handleState(state, born)
}

// removed is the reason for which the script takes out an update whose participant was
// removed.
const removed = "removed"

// takenOut has the reasons for which the script takes an update out of its queue, and the
// outcomes of the update.
var takenOut = map[string]error{
	"superseded": outcome.Superseded.Err(outcome.Facts{}),
	"evicted":    outcome.Overloaded.Err(outcome.Facts{}),
	removed:      delivery.Removed(),
}

// handleState handles the state of the update in an answer or a notification, which may
// come while Join waits for its answer.
func (e *entry) handleState(state, born string) {
	if e.local != nil || e.err != nil || e.state == departed {
		return
	}
	if err, ended := takenOut[state]; ended {
		e.end(err)
		return
	}
	switch state {
	case scriptGone:
		e.handleGone(born)
	case scriptLeading, scriptInFlight:
		if e.state == waiting || e.state == asking {
			e.signalTurn()
		}
	}
}

// handleGone handles an update that Redis does not know: its lease has ended, or Redis has
// lost all data or the latest.
func (e *entry) handleGone(born string) {
	if born != e.born && time.Now().Before(e.until) {
		e.lapse()
		return
	}
	e.lose()
}
