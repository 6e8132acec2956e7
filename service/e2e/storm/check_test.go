package storm_test

import (
	"fmt"
	"maps"
	"net/url"
	"slices"

	"google.golang.org/grpc/codes"

	"conferenced/service/outcome"
	"conferenced/service/sandbox"
)

// rule is something that must hold of every history.
type rule string

const (
	playedOnce     rule = "an announcement is played once"
	playedTogether rule = "no announcement is played while what replicas share cannot be asked"
	okApplied      rule = "OK: applied exactly as sent"
	noNotApplied   rule = "applied=no: not applied"
	yesApplied     rule = "applied=yes: applied"
	nothingElse    rule = "nothing is applied but what was asked"
	inOrder        rule = "what came first is not applied after what came later"
	oneAtATime     rule = "one update of a participant is in flight at a time"
	notUndone      rule = "a repetition undoes nothing"
	lastStays      rule = "the final state is that of the last OK or of a newer update"
	stateShown     rule = "the final state is what was applied last"
	overtaken      rule = "only an update of all its properties supersedes another"
	notLost        rule = "an update that no newer one replaces, and that is neither rejected nor out of time, is applied"
	sameAnswer     rule = "a request id gets its first answer"
	idsKept        rule = "a request id belongs to its content"
	inTable        rule = "every answer is in the table"
)

// verdict is what was found wrong, and how much was looked at.
type verdict struct {
	broken map[rule][]string
	// applications and announcements were applied in all.
	applications, announcements int
	// ordered applications were held against those before them; late ones were
	// not, since their attempt may have been given up on the way.
	ordered, late int
	// relaxed applications were not either, for an outage.
	relaxed int
	// forgotten updates had calls that came too late for their request id.
	forgotten int
}

func (v *verdict) breach(r rule, format string, args ...any) {
	v.broken[r] = append(v.broken[r], fmt.Sprintf(format, args...))
}

// examine checks the history by every rule.
func examine(h *history) *verdict {
	v := &verdict{broken: map[rule][]string{}, applications: len(h.journal)}
	asked, unasked := h.records()
	for _, entry := range unasked {
		v.breach(nothingElse, "entry %d: %v", entry.Seq, entry.Form)
	}
	for _, marker := range slices.Sorted(maps.Keys(asked)) {
		r := asked[marker]
		v.checkAnnouncement(h, r)
		v.checkApplied(r)
		v.checkTable(r)
		v.checkRequestID(h, r, asked)
	}
	for _, p := range h.participants {
		line := newLine(h, p, asked)
		v.checkOrder(h, line)
		v.checkSuperseded(line)
		v.checkFinal(h, line)
	}
	return v
}

func (v *verdict) checkAnnouncement(h *history, r *record) {
	if !r.announces() {
		return
	}
	v.announcements += len(r.applied)
	for _, entry := range r.applied {
		if h.outage.alone(r, entry) {
			v.breach(playedTogether, "update %d: %v", r.marker, r)
		}
	}
	switch {
	case len(r.applied) < 2:
	case !r.remembered(h.bounds):
		v.forgotten++
	default:
		v.breach(playedOnce, "update %d was played %d times: %v", r.marker, len(r.applied), r)
	}
}

// checkApplied holds the answers against the journal.
func (v *verdict) checkApplied(r *record) {
	for _, entry := range r.applied {
		if !sameForm(entry.Form, r.form) || entry.CallSID != r.participant.CallSID {
			v.breach(okApplied, "update %d was applied to %s as %v: %v", r.marker, entry.CallSID, entry.Form, r)
		}
	}
	allNo := true
	for _, c := range r.calls {
		allNo = allNo && c.answer.heard && c.answer.applied == "no"
		if c.answer.ok() && !r.has(c.answer.requestID) {
			v.breach(okApplied, "update %d was not applied by request %q: %v", r.marker, c.answer.requestID, r)
		}
		if c.answer.heard && c.answer.applied == "yes" && len(r.applied) == 0 {
			v.breach(yesApplied, "update %d: %v", r.marker, r)
		}
	}
	if allNo && len(r.applied) > 0 {
		v.breach(noNotApplied, "update %d was applied %d times: %v", r.marker, len(r.applied), r)
	}
}

// has says whether a request to Twilio applied the update.
func (r *record) has(requestID string) bool {
	return slices.ContainsFunc(r.applied, func(e sandbox.Entry) bool { return e.RequestID == requestID })
}

func sameForm(a, b url.Values) bool { return maps.EqualFunc(a, b, slices.Equal) }

// appliedOf is what the storm's rows of the table may say of being applied. Rows
// that end an update after several attempts may say what an earlier one did, and
// a deadline may pass when Twilio's answer is just being read.
var appliedOf = map[string][]string{
	outcome.RequestIDReused.Reason:           {"no"},
	outcome.ConflictingState.Reason:          {"no", "maybe"},
	outcome.TwilioCredentialsRejected.Reason: {"no", "maybe"},
	outcome.TwilioRateLimited.Reason:         {"no", "maybe"},
	outcome.Overloaded.Reason:                {"no", "maybe"},
	outcome.TwilioUnreachable.Reason:         {"no", "maybe"},
	outcome.CircuitOpen.Reason:               {"no", "maybe"},
	outcome.StateUnavailable.Reason:          {"no", "maybe"},
	outcome.OutcomeUnknown.Reason:            {"maybe"},
	outcome.TwilioUnexpectedAnswer.Reason:    {"yes"},
	outcome.Superseded.Reason:                {"no", "maybe"},
	outcome.Deadline.Reason:                  {"no", "maybe", "yes"},
	outcome.Cancelled.Reason:                 {"no", "maybe", "yes"},
}

func (v *verdict) checkTable(r *record) {
	for _, c := range r.calls {
		a := c.answer
		switch {
		case !a.heard && c.timeout == 0 && c.cancelAfter == 0:
			v.breach(inTable, "update %d was not answered, and its caller had time: %v", r.marker, r)
		case !a.heard, a.code == codes.OK:
		case !isRow(a), !slices.Contains(appliedOf[a.reason], a.applied):
			v.breach(inTable, "update %d: %v", r.marker, r)
		case r.announces() && a.code == codes.Unavailable && a.applied != "no":
			v.breach(inTable, "announcement %d would be sent again: %v", r.marker, r)
		}
	}
}

func isRow(a answer) bool {
	return slices.ContainsFunc(outcome.Table, func(k outcome.Kind) bool {
		return k.Reason == a.reason && k.Code == a.code
	})
}

// checkRequestID holds what calls with one request id were answered against the
// first of them that was answered OK.
func (v *verdict) checkRequestID(h *history, r *record, asked map[int]*record) {
	if first := r.firstOK(); first != nil {
		for _, c := range r.calls {
			if c.begin.After(first.end) && c.end.Sub(r.begin()) < h.memory &&
				!c.answer.ended() && c.answer != first.answer && !h.excused(c.answer) {
				v.breach(sameAnswer, "update %d: %v", r.marker, r)
			}
		}
	}
	if r.impostorOf == nil {
		return
	}
	owner := asked[r.impostorOf.marker]
	if r.caller != owner.caller {
		v.checkStranger(r)
		return
	}
	first := owner.firstOK()
	if first == nil || !r.begin().After(first.end) || r.end().Sub(owner.begin()) >= h.memory {
		return
	}
	for _, c := range r.calls {
		if !c.answer.ended() && c.answer.reason != outcome.RequestIDReused.Reason && !h.excused(c.answer) {
			v.breach(idsKept, "update %d has the request id of %d: %v", r.marker, owner.marker, r)
		}
	}
}

// checkStranger looks at an update with a request id of another caller's: each
// caller has request ids of its own.
func (v *verdict) checkStranger(r *record) {
	for _, c := range r.calls {
		if c.answer.reason == outcome.RequestIDReused.Reason {
			v.breach(idsKept, "update %d has the request id of another caller: %v", r.marker, r)
		}
	}
}

func (r *record) firstOK() *call {
	for _, c := range r.calls {
		if c.answer.ok() {
			return c
		}
	}
	return nil
}

// String tells the update's story in one line.
func (r *record) String() string {
	text := r.participant.Label
	for _, c := range r.calls {
		text += fmt.Sprintf("; call on %d by label %t at %s for %s: %v",
			c.conn, c.byLabel, c.begin.Format("05.000000"), c.end.Sub(c.begin), c.answer)
	}
	if !r.arrived.IsZero() {
		text += "; first seen at " + r.arrived.Format("05.000000")
	}
	for _, e := range r.applied {
		text += fmt.Sprintf("; applied as %d at %s", e.Seq, e.Time.Format("05.000000"))
	}
	return text
}
