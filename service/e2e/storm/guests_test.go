package storm_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/outcome"
	"conferenced/service/sandbox"
)

const (
	removedAsAsked rule = "OK: the participant is removed, and no other"
	keptOtherwise  rule = "a participant is removed only by a removal that was or may have been applied"
	shownAsAsked   rule = "a read shows what was asked for"
	nothingChanged rule = "applied is always no for a read"
)

// guestLabels is the number of labels whose owner changes during the storm.
const guestLabels = 3

// guests are visits of participants that join, are updated, read and removed, while the
// storm goes on. The next guest gets the label of the one before.
type guests struct {
	world *world

	mu     sync.Mutex
	visits []*visit
}

// visit is a guest with the calls about it. All of them have ended before the next visit.
type visit struct {
	guest    sandbox.Participant
	updates  []*call
	removals []*removal
	reads    []*read
	present  bool // At the end of the calls.
}

// removal is a call that removes a guest. repeats is the removal of the guest before
// that has the same request ID, or nil.
type removal struct {
	request    *conferencev1.RemoveParticipantRequest
	begin, end time.Time
	answer     answer
	removed    string // The Call SID in the response.
	repeats    *removal
}

func (r *removal) byLabel() bool { return r.request.GetCallSid()[:2] != "CA" }

// targets returns the Call SIDs of the participants that the removal may remove or have
// removed before, if it is made while the guest is there.
func (r *removal) targets(guest string, retention time.Duration) []string {
	switch {
	case r.repeats == nil:
		return []string{guest}
	case r.end.Sub(r.repeats.begin) < retention:
		return []string{r.repeats.removed}
	default:
		return []string{r.repeats.removed, guest}
	}
}

// mayRemove reports whether the removal may have removed the guest.
func (r *removal) mayRemove(guest string, retention time.Duration) bool {
	if r.answer.ok() {
		return r.removed == guest
	}
	return (!r.answer.answered || r.answer.applied != "no") && slices.Contains(r.targets(guest, retention), guest)
}

// String describes the removal in one line.
func (r *removal) String() string {
	text := fmt.Sprintf("removal of %s at %s for %s: %v %s",
		r.request.GetCallSid(), r.begin.Format("05.000000"), r.end.Sub(r.begin), r.answer, r.removed)
	if r.repeats != nil {
		text += fmt.Sprintf("; repeats the %v", r.repeats)
	}
	return text
}

// read is a call that fetches a guest or lists all participants.
type read struct {
	list         bool
	afterRemoval bool // It began after a removal of the guest was answered OK.
	answer       answer
	shown        []string // Call SIDs.
}

// receive makes visits until the storm ends.
func (g *guests) receive(t *testing.T, s *storm, label string, script *script) {
	var before *removal // The last removal by the label with a request ID, if it was answered OK.
	for n := 0; s.left.Load() > 0; n++ {
		v := &visit{guest: s.upstream.join(t, fmt.Sprint(label, " ", n))}
		for again := true; again; {
			g.visit(t, s, v, script, before)
			before = v.repeatable()
			again = v.conclusive() && s.left.Load() > 0
			if again {
				v = &visit{guest: s.upstream.join(t, v.guest.Label)}
			}
		}
	}
}

// repeatable returns a removal by label that was answered OK and has a request ID.
func (v *visit) repeatable() *removal {
	for _, r := range v.removals {
		if r.byLabel() && r.request.GetRequestId() != "" && r.answer.ok() && r.repeats == nil {
			return r
		}
	}
	return nil
}

// conclusive reports whether no attempt of an update by label can still be in flight.
func (v *visit) conclusive() bool {
	return !slices.ContainsFunc(v.updates, func(c *call) bool {
		return c.answer.ended() || !c.answer.ok() && c.answer.applied != "no"
	})
}

// visit makes the calls about a guest, most of them concurrently.
func (g *guests) visit(t *testing.T, s *storm, v *visit, script *script, before *removal) {
	ctx := t.Context()
	var calls sync.WaitGroup
	for range script.random.IntN(4) {
		u := script.next()
		u.participant = &v.guest
		u.form.Del("EndConferenceOnExit") // The conference must go on.
		c := &call{update: u, conn: script.random.IntN(connections)}
		v.updates = append(v.updates, c)
		calls.Go(func() { s.make(t, c) })
	}
	for _, r := range v.plan(script, before) {
		v.removals = append(v.removals, r)
		conn, caller := script.conn(), script.caller
		calls.Go(func() { g.remove(ctx, r, conn, caller) })
	}
	for range 1 + script.random.IntN(2) {
		r := &read{list: script.chance(30)}
		v.reads = append(v.reads, r)
		name, conn := v.name(script), script.conn()
		calls.Go(func() { g.read(ctx, r, name, conn, script.caller) })
	}
	calls.Wait()
	if slices.ContainsFunc(v.removals, func(r *removal) bool { return r.answer.ok() && r.repeats == nil }) {
		r := &read{afterRemoval: true}
		v.reads = append(v.reads, r)
		g.read(ctx, r, v.guest.CallSID, script.conn(), script.caller)
	}
	v.present = s.upstream.HangUp(sandbox.ConferenceSID, v.guest.CallSID)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.visits = append(g.visits, v)
}

// plan returns the removals of the visit: none, one, or two that are often the same.
func (v *visit) plan(script *script, before *removal) (removals []*removal) {
	if before != nil && script.chance(50) {
		removals = append(removals, &removal{request: before.request, repeats: before})
	}
	if script.chance(30) {
		return removals
	}
	request := &conferencev1.RemoveParticipantRequest{ConferenceSid: sandbox.ConferenceSID, CallSid: v.name(script)}
	if script.chance(60) {
		request.RequestId = script.uuid()
	}
	removals = append(removals, &removal{request: request})
	if script.chance(30) {
		removals = append(removals, &removal{request: request})
	}
	return removals
}

func (v *visit) name(script *script) string {
	if script.chance(60) {
		return v.guest.Label
	}
	return v.guest.CallSID
}

// conn returns a gRPC connection, or rest.
func (s *script) conn() int {
	if s.chance(30) {
		return rest
	}
	return s.random.IntN(connections)
}

func (g *guests) remove(ctx context.Context, r *removal, conn, caller int) {
	response := new(conferencev1.RemoveParticipantResponse)
	r.begin = time.Now()
	path := participantPath(url.PathEscape(r.request.GetCallSid())) + "?request_id=" + r.request.GetRequestId()
	r.answer = g.call(ctx, conn, caller, conferencev1.ConferenceService_RemoveParticipant_FullMethodName, r.request,
		http.MethodDelete, path, response)
	r.end, r.removed = time.Now(), response.GetCallSid()
}

func (g *guests) read(ctx context.Context, r *read, name string, conn, caller int) {
	if !r.list {
		response := new(conferencev1.GetParticipantResponse)
		request := &conferencev1.GetParticipantRequest{ConferenceSid: sandbox.ConferenceSID, CallSid: name}
		r.answer = g.call(ctx, conn, caller, conferencev1.ConferenceService_GetParticipant_FullMethodName, request,
			http.MethodGet, participantPath(url.PathEscape(name)), response)
		r.shown = append(r.shown, response.GetParticipant().GetCallSid())
		return
	}
	request := &conferencev1.ListParticipantsRequest{ConferenceSid: sandbox.ConferenceSID, PageSize: 7}
	for {
		response := new(conferencev1.ListParticipantsResponse)
		query := url.Values{"page_size": {"7"}, "page_token": {request.GetPageToken()}}
		r.answer = g.call(ctx, conn, caller, conferencev1.ConferenceService_ListParticipants_FullMethodName, request,
			http.MethodGet, participantPath("")[:len(participantPath(""))-1]+"?"+query.Encode(), response)
		for _, p := range response.GetParticipants() {
			r.shown = append(r.shown, p.GetCallSid())
		}
		request.PageToken = response.GetNextPageToken()
		if !r.answer.ok() || request.GetPageToken() == "" {
			return
		}
	}
}

// call makes a call over gRPC or REST.
func (g *guests) call(
	ctx context.Context, conn, caller int, name string, request proto.Message, method, path string, response proto.Message,
) answer {
	if conn != rest {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", authorizationOf(caller))
		return answerOf(g.world.conns[conn].Invoke(ctx, name, request, response, grpc.WaitForReady(false)))
	}
	outgoing, err := http.NewRequestWithContext(ctx, method, "http://"+g.world.servers[0].HTTP.String()+path, http.NoBody)
	if err != nil {
		return answer{answered: true, code: codes.Internal, reason: err.Error()}
	}
	outgoing.Header.Set("Authorization", authorizationOf(caller))
	incoming, err := g.world.http.Do(outgoing)
	if err != nil {
		return answer{}
	}
	defer incoming.Body.Close()
	body, err := io.ReadAll(incoming.Body)
	if err != nil {
		return answer{}
	}
	got := restAnswer(incoming, body)
	if got.ok() && protojson.Unmarshal(body, response) != nil {
		return answer{answered: true, code: codes.Internal, reason: "unreadable"}
	}
	return got
}

// checkGuests checks the removals and the reads. The participants that stay are in
// every list.
func (v *findings) checkGuests(h *history) {
	for _, visit := range h.visits {
		v.checkRemovals(h, visit)
		for _, r := range visit.reads {
			v.checkRead(h, visit, r)
		}
	}
}

func (v *findings) checkRemovals(h *history, visit *visit) {
	mayRemove := false
	for _, r := range visit.removals {
		v.removals++
		guest := visit.guest.CallSID
		mayRemove = mayRemove || r.mayRemove(guest, h.retention)
		switch a := r.answer; {
		case a.ok() && (!slices.Contains(r.targets(guest, h.retention), r.removed) || r.removed == guest && visit.present):
			v.violate(removedAsAsked, "%s, present %v: %v", guest, visit.present, r)
		case a.ok():
			v.removed++
		case a.answered && (!isRow(a) || !slices.Contains(appliedOf[a.reason], a.applied)),
			a.code == codes.Unavailable && a.applied != "no" && r.byLabel():
			v.violate(inTable, "%v", r)
		}
	}
	if !visit.present && !mayRemove {
		v.violate(keptOtherwise, "%s is gone: %v", visit.guest.CallSID, visit.removals)
	}
}

func (v *findings) checkRead(h *history, visit *visit, r *read) {
	v.reads++
	removed := slices.ContainsFunc(visit.removals, func(r *removal) bool { return r.mayRemove(visit.guest.CallSID, h.retention) })
	switch a := r.answer; {
	case a.ok() && r.list:
		for _, p := range h.participants {
			if n := len(slices.DeleteFunc(slices.Clone(r.shown), func(sid string) bool { return sid != p.CallSID })); n != 1 {
				v.violate(shownAsAsked, "%s is %d times in a list", p.CallSID, n)
			}
		}
	case a.ok() && (r.afterRemoval || !slices.Equal(r.shown, []string{visit.guest.CallSID})),
		a.reason == outcome.ParticipantNotFound.Reason && !removed:
		v.violate(shownAsAsked, "%s: %v %v, after its removal: %v", visit.guest.CallSID, a, r.shown, r.afterRemoval)
	case a.answered && !a.ok() && (!isRow(a) || a.applied != "no"):
		v.violate(nothingChanged, "%v", a)
	}
}

// TestGuestsDiffer checks that a guest does not have the Call SID of the one before.
func TestGuestsDiffer(t *testing.T) {
	up := newUpstream(t, nil)
	defer up.close()
	first := up.join(t, "guest")
	up.HangUp(sandbox.ConferenceSID, first.CallSID)
	if second := up.join(t, "guest"); second.CallSID == first.CallSID {
		t.Errorf("both have the Call SID %s", first.CallSID)
	}
}

// TestGuestRules checks that the checks of visits find each violation.
func TestGuestRules(t *testing.T) {
	const sid, other, before = "CA1", "CA2", "CA3"
	host := &sandbox.Participant{CallSID: other}
	request := &conferencev1.RemoveParticipantRequest{CallSid: "guest"}
	failed := func(kind outcome.Kind, applied string) answer {
		return answer{answered: true, code: kind.Code, reason: kind.Reason, applied: applied}
	}
	ok, refused := answer{answered: true}, failed(outcome.Overloaded, "no")
	removed := &removal{request: request, answer: ok, removed: sid}
	first := &removal{request: request, answer: ok, removed: before}
	expired := time.Time{}.Add(time.Hour)
	for name, c := range map[string]struct {
		visit  visit
		broken []rule
	}{
		"removed": {visit{removals: []*removal{removed}, reads: []*read{
			{answer: failed(outcome.ParticipantNotFound, "no"), afterRemoval: true},
		}}, nil},
		"read and listed": {visit{present: true, reads: []*read{
			{answer: ok, shown: []string{sid}}, {answer: ok, list: true, shown: []string{other, sid}},
			{answer: failed(outcome.TwilioFailed, "no")}, {},
		}}, nil},
		"the outcome is unknown":  {visit{removals: []*removal{{request: request, answer: failed(outcome.UnrepeatableOutcomeUnknown, "maybe")}}}, nil},
		"OK and not removed":      {visit{removals: []*removal{removed}, present: true}, []rule{removedAsAsked}},
		"OK and another removed":  {visit{removals: []*removal{{request: request, answer: ok, removed: other}}, present: true}, []rule{removedAsAsked}},
		"not applied and removed": {visit{removals: []*removal{{request: request, answer: refused}}}, []rule{keptOtherwise}},
		"removed by nobody":       {visit{}, []rule{keptOtherwise}},
		"repeated":                {visit{removals: []*removal{{request: request, answer: ok, removed: before, repeats: first}}, present: true}, nil},
		"removed by a repeated removal whose request ID has expired": {visit{
			removals: []*removal{{request: request, answer: ok, removed: sid, repeats: first, end: expired}},
		}, nil},
		"removed by a repeated removal":  {visit{removals: []*removal{{request: request, answer: ok, removed: sid, repeats: first}}}, []rule{removedAsAsked}},
		"repeated and gone":              {visit{removals: []*removal{{request: request, answer: ok, removed: before, repeats: first}}}, []rule{keptOtherwise}},
		"a status that clients repeat":   {visit{removals: []*removal{{request: request, answer: failed(outcome.OutcomeUnknown, "maybe")}}}, []rule{inTable}},
		"another is shown":               {visit{present: true, reads: []*read{{answer: ok, shown: []string{other}}}}, []rule{shownAsAsked}},
		"shown after its removal":        {visit{removals: []*removal{removed}, reads: []*read{{answer: ok, shown: []string{sid}, afterRemoval: true}}}, []rule{shownAsAsked}},
		"not found and present":          {visit{present: true, reads: []*read{{answer: failed(outcome.ParticipantNotFound, "no")}}}, []rule{shownAsAsked}},
		"missing in a list":              {visit{present: true, reads: []*read{{answer: ok, list: true, shown: []string{sid}}}}, []rule{shownAsAsked}},
		"a read that may have an effect": {visit{present: true, reads: []*read{{answer: failed(outcome.OutcomeUnknown, "maybe")}}}, []rule{nothingChanged}},
	} {
		t.Run(name, func(t *testing.T) {
			c.visit.guest.CallSID = sid
			v := &findings{violations: map[rule][]string{}}
			v.checkGuests(&history{
				bounds: bounds{retention: time.Minute}, visits: []*visit{&c.visit}, participants: []*sandbox.Participant{host},
			})
			for _, rule := range c.broken {
				if len(v.violations[rule]) == 0 {
					t.Errorf("not found: %s", rule)
				}
				delete(v.violations, rule)
			}
			v.require(t)
		})
	}
}
