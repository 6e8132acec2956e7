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

// rule is a guarantee that must hold in every history.
type rule string

const (
	playedOnce           rule = "an announcement is played once"
	notPlayedInOutage    rule = "no announcement is played while Redis is down"
	okApplied            rule = "OK: applied exactly as sent"
	noNotApplied         rule = "applied=no: not applied"
	yesApplied           rule = "applied=yes: applied"
	nothingElse          rule = "only requested updates are applied"
	inOrder              rule = "an older update is not applied after a newer one"
	oneAtATime           rule = "one update of a participant is in flight at a time"
	notUndone            rule = "a retry does not undo a newer update"
	lastStays            rule = "the final state is that of the last update answered OK, or of a newer one"
	stateShown           rule = "the final state is that of the update applied last"
	supersededByCovering rule = "an update is superseded only by one that sets all its properties"
	notLost              rule = "an update is superseded only by one that was or may have been applied"
	sameAnswer           rule = "a request ID gets its first answer"
	idsKept              rule = "a request ID belongs to its content"
	inTable              rule = "every answer is in the outcome table"
)

// findings is the violations that were found, and counts of what was checked.
type findings struct {
	violations map[rule][]string
	// applications and announcements count all applied updates and announcements.
	applications, announcements int
	// ordered counts the applications whose order was checked. late ones were not
	// checked, because their attempt may have been abandoned in flight.
	ordered, late int
	// removals, removed and reads count the calls about guests: removals, those answered
	// OK, and reads.
	removals, removed, reads int
	// exempt ones were not checked because of an outage.
	exempt int
	// expired counts the updates that were played again after their request ID had
	// expired.
	expired int
}

func (v *findings) violate(r rule, format string, args ...any) {
	v.violations[r] = append(v.violations[r], fmt.Sprintf(format, args...))
}

// examine checks the history against every rule.
func examine(h *history) *findings {
	v := &findings{violations: map[rule][]string{}, applications: len(h.journal)}
	updates, unrequested := h.records()
	for _, entry := range unrequested {
		v.violate(nothingElse, "entry %d: %v", entry.Seq, entry.Form)
	}
	for _, marker := range slices.Sorted(maps.Keys(updates)) {
		r := updates[marker]
		v.checkAnnouncement(h, r)
		v.checkApplied(r)
		v.checkTable(r)
		v.checkRequestID(h, r, updates)
	}
	v.checkGuests(h)
	for _, p := range h.participants {
		tl := newTimeline(h, p, updates)
		v.checkOrder(h, tl)
		v.checkSuperseded(tl)
		v.checkFinal(h, tl)
	}
	return v
}

func (v *findings) checkAnnouncement(h *history, r *record) {
	if !r.announces() {
		return
	}
	v.announcements += len(r.applied)
	for _, entry := range r.applied {
		if h.outage.contains(r, entry) {
			v.violate(notPlayedInOutage, "update %d: %v", r.marker, r)
		}
	}
	switch {
	case len(r.applied) < 2:
	case !r.withinRetention(h.bounds):
		v.expired++
	default:
		v.violate(playedOnce, "update %d was played %d times: %v", r.marker, len(r.applied), r)
	}
}

// checkApplied compares the answers with the journal.
func (v *findings) checkApplied(r *record) {
	for _, entry := range r.applied {
		if !sameForm(entry.Form, r.form) || entry.CallSID != r.participant.CallSID {
			v.violate(okApplied, "update %d was applied to %s as %v: %v", r.marker, entry.CallSID, entry.Form, r)
		}
	}
	allNo := true
	for _, c := range r.calls {
		allNo = allNo && c.answer.answered && c.answer.applied == "no"
		if c.answer.ok() && !r.has(c.answer.requestID) {
			v.violate(okApplied, "update %d was not applied by request %q: %v", r.marker, c.answer.requestID, r)
		}
		if c.answer.answered && c.answer.applied == "yes" && len(r.applied) == 0 {
			v.violate(yesApplied, "update %d: %v", r.marker, r)
		}
	}
	if allNo && len(r.applied) > 0 {
		v.violate(noNotApplied, "update %d was applied %d times: %v", r.marker, len(r.applied), r)
	}
}

// has reports whether the request to Twilio with this ID applied the update.
func (r *record) has(requestID string) bool {
	return slices.ContainsFunc(r.applied, func(e sandbox.Entry) bool { return e.RequestID == requestID })
}

func sameForm(a, b url.Values) bool { return maps.EqualFunc(a, b, slices.Equal) }

// appliedOf maps reasons to the values that applied may have. After several attempts,
// applied may describe an earlier one, and a deadline may pass while Twilio's answer
// is being read.
var appliedOf = map[string][]string{
	outcome.RequestIDReused.Reason:           {"no"},
	outcome.ParticipantNotFound.Reason:       {"no", "maybe"},
	outcome.ConflictingState.Reason:          {"no", "maybe"},
	outcome.TwilioFailed.Reason:              {"no"},
	outcome.TwilioRejected.Reason:            {"no", "maybe"}, // A 400 whose body, with Twilio's code, is cut short.
	outcome.TwilioCredentialsRejected.Reason: {"no", "maybe"},
	outcome.TwilioRateLimited.Reason:         {"no", "maybe"},
	outcome.Overloaded.Reason:                {"no", "maybe"},
	outcome.TwilioUnreachable.Reason:         {"no", "maybe"},
	outcome.CircuitOpen.Reason:               {"no", "maybe"},
	outcome.StateUnavailable.Reason:          {"no", "maybe"},
	outcome.OutcomeUnknown.Reason:            {"maybe"},
	outcome.TwilioUnexpectedAnswer.Reason:    {"no", "yes"}, // no: of the look-up of a label.
	outcome.Superseded.Reason:                {"no", "maybe"},
	outcome.Deadline.Reason:                  {"no", "maybe", "yes"},
	outcome.Cancelled.Reason:                 {"no", "maybe", "yes"},
}

func (v *findings) checkTable(r *record) {
	for _, c := range r.calls {
		a := c.answer
		switch {
		case !a.answered && c.timeout == 0 && c.cancelAfter == 0:
			v.violate(inTable, "update %d was not answered, and its caller had no deadline: %v", r.marker, r)
		case !a.answered, a.code == codes.OK:
		case !isRow(a), !slices.Contains(appliedOf[a.reason], a.applied):
			v.violate(inTable, "update %d: %v", r.marker, r)
		case r.announces() && a.code == codes.Unavailable && a.applied != "no":
			v.violate(inTable, "announcement %d would be retried by clients: %v", r.marker, r)
		}
	}
}

func isRow(a answer) bool {
	return slices.ContainsFunc(outcome.Table, func(k outcome.Kind) bool {
		return k.Reason == a.reason && k.Code == a.code
	})
}

// checkRequestID compares the answers to calls with one request ID with the first OK
// among them.
func (v *findings) checkRequestID(h *history, r *record, updates map[int]*record) {
	if first := r.firstOK(); first != nil {
		for _, c := range r.calls {
			if c.begin.After(first.end) && c.end.Sub(r.begin()) < h.retention &&
				!c.answer.ended() && c.answer != first.answer && !h.explainedByOutage(c.answer) {
				v.violate(sameAnswer, "update %d: %v", r.marker, r)
			}
		}
	}
	if r.reusesIDOf == nil {
		return
	}
	owner := updates[r.reusesIDOf.marker]
	if r.caller != owner.caller {
		v.checkOtherCaller(r)
		return
	}
	first := owner.firstOK()
	if first == nil || !r.begin().After(first.end) || r.end().Sub(owner.begin()) >= h.retention {
		return
	}
	for _, c := range r.calls {
		if !c.answer.ended() && c.answer.reason != outcome.RequestIDReused.Reason && !h.explainedByOutage(c.answer) {
			v.violate(idsKept, "update %d has the request ID of %d: %v", r.marker, owner.marker, r)
		}
	}
}

// checkOtherCaller checks an update with a request ID of another caller. Each caller
// has its own request IDs.
func (v *findings) checkOtherCaller(r *record) {
	for _, c := range r.calls {
		if c.answer.reason == outcome.RequestIDReused.Reason {
			v.violate(idsKept, "update %d has the request ID of another caller: %v", r.marker, r)
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

// String describes the update's calls and applications in one line.
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
