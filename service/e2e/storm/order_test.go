package storm_test

import (
	"slices"
	"strconv"
	"time"

	"conferenced/service/outcome"
	"conferenced/service/sandbox"
)

// timeline is the updates of one participant, and which of them were applied, in the
// order of the journal.
type timeline struct {
	participant *sandbox.Participant
	records     []*record
	entries     []sandbox.Entry
	updates     map[int]*record
	learned     []time.Time // When answers showed both names, ascending.
}

func newTimeline(h *history, p *sandbox.Participant, updates map[int]*record) *timeline {
	l := &timeline{participant: p, updates: updates}
	for _, e := range h.journal {
		if e.CallSID == p.CallSID && updates[marker(e.Form)] != nil {
			l.entries = append(l.entries, e)
		}
	}
	for _, r := range updates {
		if r.participant.CallSID != p.CallSID {
			continue
		}
		l.records = append(l.records, r)
		for _, c := range r.calls {
			// Names learned in an outage are not shared with the other replicas.
			if c.answer.ok() && !h.during(c.end) {
				l.learned = append(l.learned, c.end)
			}
		}
	}
	slices.SortFunc(l.learned, time.Time.Compare)
	return l
}

// namesKnown reports whether the service certainly knows at that time that the label
// and the Call SID name the same participant.
func (l *timeline) namesKnown(at time.Time, b bounds) bool {
	i, _ := slices.BinarySearchFunc(l.learned, at, time.Time.Compare)
	return i > 0 && at.Sub(l.learned[i-1]) < b.retention
}

// orderKey is the attributes of an update that, apart from its time, decide whether
// it is certainly newer than another.
type orderKey struct {
	conn       int
	byLabel    bool
	namesKnown bool
}

func (l *timeline) orderKeyOf(r *record, b bounds) orderKey {
	return orderKey{conn: r.conn(), byLabel: r.byLabel, namesKnown: l.namesKnown(r.begin(), b)}
}

// isOlder reports whether the update certainly joined the queue before a newer one
// with the key that began at the time.
func (r *record) isOlder(newer orderKey, began time.Time) bool {
	if !newer.namesKnown && newer.byLabel != r.byLabel {
		return false
	}
	queuedBy := r.queuedBy(newer.conn)
	return !queuedBy.IsZero() && queuedBy.Before(began)
}

// sameQueue reports whether the two updates certainly share a queue.
func (l *timeline) sameQueue(a, b *record, bounds bounds) bool {
	return a.byLabel == b.byLabel || l.namesKnown(a.begin(), bounds) || l.namesKnown(b.begin(), bounds)
}

// shares reports whether the updates have a property in common. The order of other
// updates does not matter.
func (r *record) shares(other *record) bool {
	for key := range r.form {
		if other.form.Has(key) {
			return true
		}
	}
	return false
}

// checkOrder checks the journal for updates that share a property: an older one must
// not be applied after a newer one, a newer one must not be sent while an older one
// is in flight, and none must be applied between two applications of another.
func (v *findings) checkOrder(h *history, l *timeline) {
	applied := map[orderKey][]*record{}
	last := map[int]int{}
	for i, entry := range l.entries {
		r := l.updates[marker(entry.Form)]
		exempt := h.exempt(r)
		switch {
		case exempt:
			v.exempt++
		case entry.Time.Before(r.cutOff(h.bounds)):
			v.ordered++
			v.checkArrivalOrder(r, entry, applied)
			v.checkOneInFlight(h, l, i)
			if before, again := last[r.marker]; again && r.withinRetention(h.bounds) {
				v.checkRetries(h, l, r, l.entries[before+1:i])
			}
		default:
			v.late++
		}
		last[r.marker] = i
		if c := l.orderKeyOf(r, h.bounds); !exempt {
			applied[c] = append(applied[c], r)
		}
	}
}

func (v *findings) checkArrivalOrder(r *record, entry sandbox.Entry, applied map[orderKey][]*record) {
	for c, before := range applied {
		for _, newer := range before {
			if newer != r && newer.shares(r) && r.isOlder(c, newer.begin()) {
				v.violate(inOrder, "entry %d is of %d, after the newer %d\n\t\tolder %v\n\t\tnewer %v",
					entry.Seq, r.marker, newer.marker, r, newer)
				return
			}
		}
	}
}

// checkOneInFlight checks the updates applied between an update's first arrival and
// its application. None may be newer and share a property: the queue sends the next
// update after an attempt has ended, and after one that may have been applied nothing
// newer is sent before the retry, unless it supersedes the update. Updates with
// several calls are not checked, because it is not known which of them arrived.
func (v *findings) checkOneInFlight(h *history, l *timeline, i int) {
	r := l.updates[marker(l.entries[i].Form)]
	if len(r.calls) > 1 || r.arrived.IsZero() {
		return
	}
	for _, entry := range slices.Backward(l.entries[:i]) {
		if entry.Time.Before(r.arrived) {
			return
		}
		other := l.updates[marker(entry.Form)]
		if len(other.calls) == 1 && !h.exempt(other) && other.arrived.After(r.arrived) && l.sameQueue(r, other, h.bounds) &&
			r.shares(other) && r.isOlder(l.orderKeyOf(other, h.bounds), other.begin()) {
			v.violate(oneAtATime, "%d arrived during %d\n\t\tfirst %v\n\t\tsecond %v", other.marker, r.marker, r, other)
			return
		}
	}
}

// checkSuperseded checks that a superseded update has a newer one of all its
// properties that was or may have been applied.
func (v *findings) checkSuperseded(l *timeline) {
	for _, r := range l.records {
		got := slices.ContainsFunc(r.calls, func(c *call) bool { return c.answer.reason == outcome.Superseded.Reason })
		if !got {
			continue
		}
		superseding := slices.DeleteFunc(slices.Clone(l.records), func(to *record) bool { return !r.supersededBy(to) })
		if r.announces() || len(superseding) == 0 {
			v.violate(supersededByCovering, "nothing supersedes update %d: %v", r.marker, r)
		} else if len(r.applied) == 0 && !slices.ContainsFunc(superseding, (*record).mayBeApplied) {
			v.violate(notLost, "update %d was superseded by %d, which was not applied\n\t\tolder %v\n\t\tnewer %v",
				r.marker, superseding[0].marker, r, superseding[0])
		}
	}
}

// mayBeApplied reports whether the update was applied, or may have been according to
// its answers.
func (r *record) mayBeApplied() bool {
	return len(r.applied) > 0 ||
		slices.ContainsFunc(r.calls, func(c *call) bool { return !c.answer.answered || c.answer.applied != "no" })
}

// supersededBy reports whether the other update may have superseded this one. An
// update whose caller left may have joined the queue later.
func (r *record) supersededBy(to *record) bool {
	over := to.allAnswered() && to.end().Before(r.begin())
	if to == r || over || to.begin().After(r.end()) {
		return false
	}
	for key := range r.form {
		if !to.form.Has(key) {
			return false
		}
	}
	return true
}

// checkRetries checks the updates applied between two applications of an update. None
// may be of the same queue and share a property, unless it was abandoned in flight.
func (v *findings) checkRetries(h *history, l *timeline, r *record, between []sandbox.Entry) {
	for _, entry := range between {
		other := l.updates[marker(entry.Form)]
		if other != r && other.shares(r) && !h.exempt(other) && l.sameQueue(r, other, h.bounds) && entry.Time.Before(other.cutOff(h.bounds)) {
			v.violate(notUndone, "%d was applied between\n\t\trepeated %v\n\t\tbetween %v", other.marker, r, other)
			return
		}
	}
}

// checkFinal checks each property's final value: the last applied update must have
// set it, and no newer update that sets it may have been answered OK.
func (v *findings) checkFinal(h *history, l *timeline) {
	for key, value := range finalState(l.participant) {
		i := lastSetting(l.entries, key)
		if i < 0 {
			continue
		}
		r := l.updates[marker(l.entries[i].Form)]
		if want := r.form.Get(key); value != want {
			v.violate(stateShown, "%s of %s is %q, not %q", key, l.participant.Label, value, want)
		}
		if h.exempt(r) || !l.entries[i].Time.Before(r.cutOff(h.bounds)) {
			continue
		}
		for _, newer := range l.records {
			if newer != r && !h.exempt(newer) && newer.form.Has(key) && newer.firstOK() != nil &&
				r.isOlder(l.orderKeyOf(newer, h.bounds), newer.begin()) {
				v.violate(lastStays, "%s is of %d, and %d is newer\n\t\tolder %v\n\t\tnewer %v",
					key, r.marker, newer.marker, r, newer)
			}
		}
	}
}

func lastSetting(entries []sandbox.Entry, key string) int {
	for i, e := range slices.Backward(entries) {
		if e.Form.Has(key) {
			return i
		}
	}
	return -1
}

// finalState returns the participant's properties by form key. CallSidToCoach is
// omitted, because it is cleared when coaching ends.
func finalState(p *sandbox.Participant) map[string]string {
	state := map[string]string{
		"Muted":               strconv.FormatBool(p.Muted),
		"Hold":                strconv.FormatBool(p.Hold),
		"HoldUrl":             p.HoldURL,
		"HoldMethod":          p.HoldMethod,
		"WaitMethod":          p.WaitMethod,
		"BeepOnExit":          strconv.FormatBool(p.BeepOnExit),
		"EndConferenceOnExit": strconv.FormatBool(p.EndConferenceOnExit),
		"Coaching":            strconv.FormatBool(p.Coaching),
	}
	if p.WaitURL != nil {
		state["WaitUrl"] = *p.WaitURL
	}
	return state
}
