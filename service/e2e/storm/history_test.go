package storm_test

import (
	"net/url"
	"slices"
	"time"

	"conferenced/service/outcome"
	"conferenced/service/sandbox"
)

// history is all that happened: what was asked and answered on one side, what
// was applied on the other.
type history struct {
	bounds
	calls        []*call
	journal      []sandbox.Entry
	arrived      map[int]time.Time
	participants []*sandbox.Participant // As they are in the end.
	outage       *outage                // Nil: what replicas share could always be asked.
}

// outage is when what replicas share could not be asked: it ends when every
// replica has played an announcement again.
type outage struct {
	from, to time.Time
	// dead and alive are when it certainly could not be asked.
	dead, alive time.Time
	// goesOn says that updates go on meanwhile, but for announcements.
	goesOn bool
}

// alone says whether the update began and was applied while nobody could ask.
func (o *outage) alone(r *record, e sandbox.Entry) bool {
	return o != nil && r.begin().After(o.dead) && e.Time.Before(o.alive)
}

// during says whether there was an outage at that time.
func (h *history) during(at time.Time) bool {
	return h.outage != nil && !at.Before(h.outage.from) && !at.After(h.outage.to)
}

// relaxed says whether the update's order is not promised: it goes on without what
// replicas share, and was under way while that could not be asked. That another
// comes too early or too late for it is then no breach; between two of which
// neither is relaxed, it is.
func (h *history) relaxed(r *record) bool {
	o := h.outage
	return o != nil && o.goesOn && !r.announces() &&
		!r.begin().After(o.to) && !r.end().Add(h.grace).Before(o.from)
}

// excused says whether the answer is one that an outage explains: that nobody can
// be asked, or what became of an update when nobody could be told its end.
func (h *history) excused(a answer) bool {
	return h.outage != nil && (a.reason == outcome.StateUnavailable.Reason || a.reason == outcome.OutcomeUnknown.Reason)
}

// bounds are the times that the service was configured with.
type bounds struct {
	grace          time.Duration
	attemptTimeout time.Duration // 0: none that matters
	defaultTimeout time.Duration
	// memory is for how long request ids and labels are surely remembered.
	memory time.Duration
}

// record is an update with all that became of it.
type record struct {
	*update
	calls   []*call
	applied []sandbox.Entry
	arrived time.Time // Zero: never.
}

// records returns the updates by their markers, and what was applied without
// having been asked for.
func (h *history) records() (asked map[int]*record, unasked []sandbox.Entry) {
	asked = map[int]*record{}
	for _, c := range h.calls {
		r := asked[c.marker]
		if r == nil {
			r = &record{update: c.update, arrived: h.arrived[c.marker]}
			asked[c.marker] = r
		}
		r.calls = append(r.calls, c)
	}
	for _, r := range asked {
		slices.SortFunc(r.calls, func(a, b *call) int { return a.begin.Compare(b.begin) })
	}
	for _, entry := range h.journal {
		r := asked[marker(entry.Form)]
		if r == nil {
			unasked = append(unasked, entry)
			continue
		}
		r.applied = append(r.applied, entry)
	}
	return asked, unasked
}

func marker(form url.Values) int {
	marker, _ := markerOf(form.Get("HoldUrl"), form.Get("WaitUrl"), form.Get("AnnounceUrl"))
	return marker
}

func (r *record) begin() time.Time { return r.calls[0].begin }

// end is when the last of the calls was over.
func (r *record) end() time.Time {
	end := r.calls[0].end
	for _, c := range r.calls {
		end = later(end, c.end)
	}
	return end
}

// heard says whether every caller was told something.
func (r *record) heard() bool {
	return !slices.ContainsFunc(r.calls, func(c *call) bool { return !c.answer.heard })
}

// remembered says whether the service remembers the request id at every one of
// the calls.
func (r *record) remembered(b bounds) bool { return r.end().Sub(r.begin()) < b.memory }

// conn is the connection of the calls, or rest if they came over several.
func (r *record) conn() int {
	for _, c := range r.calls {
		if c.conn != r.calls[0].conn {
			return rest
		}
	}
	return r.calls[0].conn
}

// settled is the moment from which no update that begins on the connection can
// come before this one; zero if there is none.
//
// An update has its place in line at the latest when its first attempt arrives
// at Twilio, and nothing more is sent of it after its caller was told the end.
// Of a caller that left, the service knows once it has heard of it, which is
// certain before what comes later on the same connection.
//
// With several calls of one update, nobody can tell which of them an attempt
// belongs to, so that only their ends count.
func (r *record) settled(conn int) time.Time {
	var settled time.Time
	for _, c := range r.calls {
		if !c.answer.heard && (c.conn == rest || c.conn != conn) {
			settled = time.Time{}
			break
		}
		settled = later(settled, c.end)
	}
	if len(r.calls) == 1 && !r.arrived.IsZero() && (settled.IsZero() || r.arrived.Before(settled)) {
		return r.arrived
	}
	return settled
}

// cutOff is the earliest moment at which an attempt can have been given up while
// it was on the way. What Twilio does with it after that is beyond the service.
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

// lasts is for how long the call's context lasts at least. The service keeps a
// tenth of a deadline, or less, to answer in.
func (c *call) lasts(b bounds) time.Duration {
	lasts := b.defaultTimeout
	if c.timeout > 0 {
		lasts = c.timeout - c.timeout/10
	}
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
