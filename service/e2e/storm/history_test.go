package storm_test

import (
	"net/url"
	"slices"
	"time"

	"conferenced/service/outcome"
	"conferenced/service/sandbox"
)

// history is all calls with their answers, and all updates that were applied.
type history struct {
	bounds
	calls        []*call
	journal      []sandbox.Entry
	arrived      map[int]time.Time
	participants []*sandbox.Participant // In their final state.
	visits       []*visit
	outage       *outage // nil if Redis was never down.
}

// outage is a time in which Redis was down. It ends when every replica has played an
// announcement again.
type outage struct {
	from, to time.Time
	// Redis was certainly down between downFrom and downTo.
	downFrom, downTo time.Time
	// continues says that updates go on meanwhile, but for announcements.
	continues bool
}

// contains reports whether the update began and was applied while Redis was down.
func (o *outage) contains(r *record, e sandbox.Entry) bool {
	return o != nil && r.begin().After(o.downFrom) && e.Time.Before(o.downTo)
}

// during reports whether there was an outage at that time.
func (h *history) during(at time.Time) bool {
	return h.outage != nil && !at.Before(h.outage.from) && !at.After(h.outage.to)
}

// exempt reports whether the update's order is not guaranteed, because it was or may
// have been sent in an outage without Redis. Order is checked only between updates
// that are not exempt.
func (h *history) exempt(r *record) bool {
	o := h.outage
	return o != nil && o.continues && !r.announces() &&
		!r.begin().After(o.to) && !r.end().Add(h.grace).Before(o.from)
}

// explainedByOutage reports whether an outage explains the answer: Redis could not be
// reached, or the result of the first call with the request ID could not be stored.
func (h *history) explainedByOutage(a answer) bool {
	return h.outage != nil && (a.reason == outcome.StateUnavailable.Reason || a.reason == outcome.OutcomeUnknown.Reason)
}

// bounds is the service's configured times.
type bounds struct {
	grace          time.Duration
	attemptTimeout time.Duration // 0: longer than the other bounds.
	defaultTimeout time.Duration
	// retention is how long request IDs and labels are certainly kept.
	retention time.Duration
}

// record is an update with its calls and applications.
type record struct {
	*update
	calls   []*call
	applied []sandbox.Entry
	arrived time.Time // At Twilio, the first time; zero if never.
}

// records returns the updates by marker, and the applied entries without a call.
func (h *history) records() (updates map[int]*record, unrequested []sandbox.Entry) {
	updates = map[int]*record{}
	for _, c := range h.calls {
		r := updates[c.marker]
		if r == nil {
			r = &record{update: c.update, arrived: h.arrived[c.marker]}
			updates[c.marker] = r
		}
		r.calls = append(r.calls, c)
	}
	for _, r := range updates {
		slices.SortFunc(r.calls, func(a, b *call) int { return a.begin.Compare(b.begin) })
	}
	for _, entry := range h.journal {
		r := updates[marker(entry.Form)]
		if r == nil {
			unrequested = append(unrequested, entry)
			continue
		}
		r.applied = append(r.applied, entry)
	}
	return updates, unrequested
}

func marker(form url.Values) int {
	marker, _ := markerOf(form.Get("HoldUrl"), form.Get("WaitUrl"), form.Get("AnnounceUrl"))
	return marker
}

func (r *record) begin() time.Time { return r.calls[0].begin }

// end returns when the last of the calls ended.
func (r *record) end() time.Time {
	end := r.calls[0].end
	for _, c := range r.calls {
		end = later(end, c.end)
	}
	return end
}

// allAnswered reports whether every call was answered.
func (r *record) allAnswered() bool {
	return !slices.ContainsFunc(r.calls, func(c *call) bool { return !c.answer.answered })
}

// withinRetention reports whether the request ID was kept during all of the calls.
func (r *record) withinRetention(b bounds) bool { return r.end().Sub(r.begin()) < b.retention }

// conn returns the connection of the calls, or rest if they used several.
func (r *record) conn() int {
	for _, c := range r.calls {
		if c.conn != r.calls[0].conn {
			return rest
		}
	}
	return r.calls[0].conn
}

// queuedBy is the moment from which no update that begins on the connection can
// come before this one; zero if there is none.
//
// An update is in its queue at the latest when its first attempt arrives at Twilio,
// and is not sent any more after its caller was answered. If the caller left, the
// service certainly noticed that before a later call on the same connection.
//
// If an update has several calls, it is not known which of them an attempt belongs
// to, so only their ends count.
func (r *record) queuedBy(conn int) time.Time {
	var queuedBy time.Time
	for _, c := range r.calls {
		if !c.answer.answered && (c.conn == rest || c.conn != conn) {
			queuedBy = time.Time{}
			break
		}
		queuedBy = later(queuedBy, c.end)
	}
	if len(r.calls) == 1 && !r.arrived.IsZero() && (queuedBy.IsZero() || r.arrived.Before(queuedBy)) {
		return r.arrived
	}
	return queuedBy
}

// cutOff returns the earliest time at which an attempt may have been abandoned in
// flight. The service does not control what Twilio does with it after that.
func (r *record) cutOff(b bounds) time.Time {
	var earliest time.Time
	for _, c := range r.calls {
		cut := c.begin.Add(c.lasts(b) + b.grace)
		if b.attemptTimeout > 0 && c.begin.Add(b.attemptTimeout).Before(cut) {
			cut = c.begin.Add(b.attemptTimeout)
		}
		if earliest.IsZero() || cut.Before(earliest) {
			earliest = cut
		}
	}
	return earliest
}

// lasts returns the minimum duration of the call's context. The service reserves at
// most a tenth of a deadline to answer in.
func (c *call) lasts(b bounds) time.Duration {
	lasts := b.defaultTimeout
	if c.timeout > 0 {
		lasts = c.timeout
	}
	lasts -= lasts / 10
	if c.cancelAfter > 0 {
		lasts = min(lasts, c.cancelAfter)
	}
	return lasts
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
