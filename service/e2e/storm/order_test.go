package storm_test

import (
	"slices"
	"strconv"
	"time"

	"conferenced/service/outcome"
	"conferenced/service/sandbox"
)

// line is what was asked of one participant and what was applied to it, in the
// order of the journal.
type line struct {
	participant *sandbox.Participant
	records     []*record
	entries     []sandbox.Entry
	asked       map[int]*record
	known       []time.Time // When an answer told which label is whose, ascending.
}

func newLine(h *history, p *sandbox.Participant, asked map[int]*record) *line {
	l := &line{participant: p, asked: asked}
	for _, e := range h.journal {
		if e.CallSID == p.CallSID && asked[marker(e.Form)] != nil {
			l.entries = append(l.entries, e)
		}
	}
	for _, r := range asked {
		if r.participant.CallSID != p.CallSID {
			continue
		}
		l.records = append(l.records, r)
		for _, c := range r.calls {
			// What is learnt in an outage, the others are not told.
			if c.answer.ok() && !h.during(c.end) {
				l.known = append(l.known, c.end)
			}
		}
	}
	slices.SortFunc(l.known, time.Time.Compare)
	return l
}

// oneName says whether the service surely knows at that time that the label and
// the Call SID are the same participant.
func (l *line) oneName(at time.Time, b bounds) bool {
	i, _ := slices.BinarySearchFunc(l.known, at, time.Time.Compare)
	return i > 0 && at.Sub(l.known[i-1]) < b.memory
}

// class is what decides whether an update is known to be newer than another,
// apart from when it began.
type class struct {
	conn    int
	byLabel bool
	oneName bool
}

func (l *line) classOf(r *record, b bounds) class {
	return class{conn: r.conn(), byLabel: r.byLabel, oneName: l.oneName(r.begin(), b)}
}

// isOlder says whether the update had its place in line before the one of the
// class that began at the time.
func (r *record) isOlder(newer class, began time.Time) bool {
	if !newer.oneName && newer.byLabel != r.byLabel {
		return false
	}
	settled := r.settled(newer.conn)
	return !settled.IsZero() && settled.Before(began)
}

// sameLine says whether the two surely stand in one line, by their names.
func (l *line) sameLine(a, b *record, bounds bounds) bool {
	return a.byLabel == b.byLabel || l.oneName(a.begin(), bounds) || l.oneName(b.begin(), bounds)
}

// shares says whether the updates set a property in common. The order of others does
// not matter: one may be sent past the other.
func (r *record) shares(other *record) bool {
	for key := range r.form {
		if other.form.Has(key) {
			return true
		}
	}
	return false
}

// checkOrder goes through the journal: nothing older may come after anything newer
// with which it shares a property, no newer one is sent while an older is in flight,
// and nothing that shares a property comes between two applications of one update.
func (v *verdict) checkOrder(h *history, l *line) {
	applied := map[class][]*record{}
	last := map[int]int{}
	for i, entry := range l.entries {
		r := l.asked[marker(entry.Form)]
		relaxed := h.relaxed(r)
		switch {
		case relaxed:
			v.relaxed++
		case entry.Time.Before(r.cutOff(h.bounds)):
			v.ordered++
			v.checkPlace(r, entry, applied)
			v.checkAlone(h, l, i)
			if before, again := last[r.marker]; again && r.remembered(h.bounds) {
				v.checkRepetition(h, l, r, l.entries[before+1:i])
			}
		default:
			v.late++
		}
		last[r.marker] = i
		if c := l.classOf(r, h.bounds); !relaxed {
			applied[c] = append(applied[c], r)
		}
	}
}

func (v *verdict) checkPlace(r *record, entry sandbox.Entry, applied map[class][]*record) {
	for c, before := range applied {
		for _, newer := range before {
			if newer != r && newer.shares(r) && r.isOlder(c, newer.begin()) {
				v.breach(inOrder, "entry %d is of %d, after the newer %d\n\t\told %v\n\t\tnew %v",
					entry.Seq, r.marker, newer.marker, r, newer)
				return
			}
		}
	}
}

// checkAlone looks at what was applied between an update's first arrival and its
// application: no newer one that shares a property, for the queue goes on only when an
// attempt has ended, and after one that may have been applied nothing newer is sent
// before its retry but what supersedes it. Of several calls it cannot be told which
// arrived.
func (v *verdict) checkAlone(h *history, l *line, i int) {
	r := l.asked[marker(l.entries[i].Form)]
	if len(r.calls) > 1 || r.arrived.IsZero() {
		return
	}
	for _, entry := range slices.Backward(l.entries[:i]) {
		if entry.Time.Before(r.arrived) {
			return
		}
		other := l.asked[marker(entry.Form)]
		if len(other.calls) == 1 && !h.relaxed(other) && other.arrived.After(r.arrived) && l.sameLine(r, other, h.bounds) &&
			r.shares(other) && r.isOlder(l.classOf(other, h.bounds), other.begin()) {
			v.breach(oneAtATime, "%d arrived during %d\n\t\tfirst %v\n\t\tsecond %v", other.marker, r.marker, r, other)
			return
		}
	}
}

// checkSuperseded looks for what superseded the updates that were told so: a newer one
// of all their properties that was or may have been applied.
func (v *verdict) checkSuperseded(l *line) {
	for _, r := range l.records {
		told := slices.ContainsFunc(r.calls, func(c *call) bool { return c.answer.reason == outcome.Superseded.Reason })
		if !told {
			continue
		}
		superseding := slices.DeleteFunc(slices.Clone(l.records), func(to *record) bool { return !r.yields(to) })
		if r.announces() || len(superseding) == 0 {
			v.breach(overtaken, "nothing supersedes update %d: %v", r.marker, r)
		} else if len(r.applied) == 0 && !slices.ContainsFunc(superseding, (*record).mayBeApplied) {
			v.breach(notLost, "update %d was superseded by %d, which was not applied\n\t\told %v\n\t\tnew %v",
				r.marker, superseding[0].marker, r, superseding[0])
		}
	}
}

// mayBeApplied says whether the update was applied, as far as its callers know.
func (r *record) mayBeApplied() bool {
	return len(r.applied) > 0 ||
		slices.ContainsFunc(r.calls, func(c *call) bool { return !c.answer.heard || c.answer.applied != "no" })
}

// yields says whether the other update may have superseded this one. One whose caller
// left may have joined the queue after that.
func (r *record) yields(to *record) bool {
	over := to.heard() && to.end().Before(r.begin())
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

// checkRepetition looks at what was applied between two applications of an
// update: nothing of the same queue that shares a property, unless it was given up in
// flight.
func (v *verdict) checkRepetition(h *history, l *line, r *record, between []sandbox.Entry) {
	for _, entry := range between {
		other := l.asked[marker(entry.Form)]
		if other != r && other.shares(r) && !h.relaxed(other) && l.sameLine(r, other, h.bounds) && entry.Time.Before(other.cutOff(h.bounds)) {
			v.breach(notUndone, "%d was applied between\n\t\trepeated %v\n\t\tbetween %v", other.marker, r, other)
			return
		}
	}
}

// checkFinal looks at each property in the end: it must be as the last update
// set it, and no newer one that was answered OK may have set it.
func (v *verdict) checkFinal(h *history, l *line) {
	for key, value := range finalState(l.participant) {
		i := lastSetting(l.entries, key)
		if i < 0 {
			continue
		}
		r := l.asked[marker(l.entries[i].Form)]
		if want := r.form.Get(key); value != want {
			v.breach(stateShown, "%s of %s is %q, not %q", key, l.participant.Label, value, want)
		}
		if h.relaxed(r) || !l.entries[i].Time.Before(r.cutOff(h.bounds)) {
			continue
		}
		for _, newer := range l.records {
			if newer != r && !h.relaxed(newer) && newer.form.Has(key) && newer.firstOK() != nil &&
				r.isOlder(l.classOf(newer, h.bounds), newer.begin()) {
				v.breach(lastStays, "%s is of %d, and %d is newer\n\t\told %v\n\t\tnew %v",
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

// finalState is the participant's properties under their names in a form. Who is
// coached is left out, since it is not kept when coaching ends.
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
