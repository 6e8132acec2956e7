package service

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/call"
	"conferenced/service/callers"
	"conferenced/service/delivery"
	"conferenced/service/outcome"
	"conferenced/service/property"
	"conferenced/service/sids"
	"conferenced/service/twilio"
)

// UpdateParticipants makes the same update of many participants. The request must have
// passed [Validate]. Errors are an *outcome.Error, and nothing was applied then, unless
// it says otherwise.
func (s *Service) UpdateParticipants(
	ctx context.Context, request *conferencev1.UpdateParticipantsRequest,
) (*conferencev1.UpdateParticipantsResponse, error) {
	change := &call.From(ctx).Change
	if change.Set() == 0 {
		return nil, outcome.NothingToUpdate.Err(outcome.Facts{})
	}
	account, err := s.authorize(ctx, request.GetAccountSid(), call.Update, change.Set())
	if err == nil && selects(request) {
		_, err = s.authorize(ctx, request.GetAccountSid(), call.Read, 0)
	}
	if err != nil {
		return nil, err
	}
	b := newBulk(ctx, s, account, request, change)
	b.operation, err = s.deliverer.BeginBulk(ctx, account, b.caller, request.GetRequestId(), contentOf(account, request))
	if err != nil {
		return nil, err
	}
	defer b.operation.End()
	if err := b.run(ctx); err != nil {
		return nil, err
	}
	return b.finish(ctx), nil
}

// selects reports whether the request selects participants by what a list says of them,
// so that its results reveal that.
func selects(request *conferencev1.UpdateParticipantsRequest) bool {
	return len(request.GetParticipants()) == 0 || len(request.GetExcept()) > 0 || request.GetFilter() != nil
}

// bulk is one call of UpdateParticipants.
type bulk struct {
	*Service
	request   *conferencev1.UpdateParticipantsRequest
	account   *twilio.Account
	caller    string
	change    *property.Values
	operation *delivery.Bulk
	id        string // The operation's, in audit records.

	conference string // Its SID; a name until the first list.

	handled  map[string]bool                // The Call SIDs of the participants with a result.
	answers  map[string]*twilio.Participant // Twilio's answers, by Call SID.
	listed   map[string]*twilio.Participant // The last list, by Call SID; nil if it failed.
	matched  map[string]bool                // The names in the request that are a listed participant's.
	response *conferencev1.UpdateParticipantsResponse
	applied  outcome.Applied // The maximum of the updates.
}

func newBulk(
	ctx context.Context, s *Service, account *twilio.Account, request *conferencev1.UpdateParticipantsRequest, change *property.Values,
) *bulk {
	b := &bulk{
		Service: s, request: request, account: account, caller: callers.FromContext(ctx).Key(), change: change,
		conference: request.GetConferenceSid(), id: strings.ToLower(request.GetRequestId()),
		handled: map[string]bool{}, answers: map[string]*twilio.Participant{}, matched: map[string]bool{},
		response: &conferencev1.UpdateParticipantsResponse{Complete: true},
	}
	if b.id == "" {
		b.id = uuid.NewString()
	}
	call.From(ctx).OperationID = b.id
	return b
}

// contentOf returns equal digests for requests that select and set the same.
func contentOf(account *twilio.Account, request *conferencev1.UpdateParticipantsRequest) delivery.Content {
	content := proto.CloneOf(request)
	content.AccountSid, content.RequestId, content.Confirm = account.SID, "", false
	text, err := proto.MarshalOptions{Deterministic: true}.Marshal(content)
	if err != nil {
		panic(err) // The request was read from this form, or from JSON in UTF-8.
	}
	return sha256.Sum256(text)
}

// run updates the participants until a list has no further one. Those of earlier
// operations with the request ID are updated too, which returns the recorded results. An
// error is that of the first list.
func (b *bulk) run(ctx context.Context) error {
	earlier := b.operation.Earlier()
	b.conference = cmp.Or(earlier.Conference, b.conference)
	named := sids.IsConference(b.conference) && !slices.ContainsFunc(b.request.GetParticipants(), isLabel)
	if named && !selects(b.request) {
		b.update(ctx, b.named())
		if b.request.GetConfirm() {
			_, _ = b.find(ctx) // Without the list, nothing is confirmed.
		}
		return nil
	}
	found, err := b.find(ctx)
	hasEnded := outcome.Is(err, outcome.ConferenceNotFound) && earlier.Conference != ""
	if err != nil && !hasEnded {
		return err
	}
	for found = append(found, b.rest(earlier)...); len(found) > 0; {
		b.update(ctx, found)
		found, err = b.find(ctx)
		if err != nil && !outcome.Is(err, outcome.ConferenceNotFound) { // Otherwise the conference has ended.
			b.response.Complete = false
			b.warn("INCOMPLETE", "", "the last list could not be read, so participants may have been missed: "+outcome.From(err).Reason)
		}
	}
	return nil
}

// target is a participant to update.
type target struct {
	sid, label string
	listed     bool
}

func isLabel(name string) bool { return !sids.IsCall(name) }

// named returns the participants that the request names by their Call SIDs.
func (b *bulk) named() (named []target) {
	for _, sid := range b.request.GetParticipants() {
		b.matched[sid] = true
		same := func(t target) bool { return strings.EqualFold(t.sid, sid) }
		if !slices.ContainsFunc(named, same) {
			b.handled[sid] = true
			named = append(named, target{sid: sid})
		}
	}
	return named
}

// rest returns the participants of earlier operations who were not found.
func (b *bulk) rest(earlier delivery.Handled) (rest []target) {
	for _, sid := range slices.Sorted(maps.Keys(earlier.Labels)) {
		if !b.handled[sid] {
			label := earlier.Labels[sid]
			b.handled[sid] = true
			b.names(b.request.GetParticipants(), &twilio.Participant{CallSID: &sid, Label: &label})
			rest = append(rest, target{sid: sid, label: label, listed: true})
		}
	}
	return rest
}

// find lists the conference, and returns the selected participants that have not been
// updated.
func (b *bulk) find(ctx context.Context) (found []target, err error) {
	b.listed = nil
	listed := map[string]*twilio.Participant{}
	list := &twilio.Request{
		Operation: twilio.ListParticipants,
		Path:      twilio.Path{AccountSID: b.account.SID, ConferenceSID: b.conference},
		Query:     url.Values{"PageSize": {strconv.Itoa(maxPageSize)}},
	}
	for {
		answer, err := b.read(ctx, b.account, list)
		if err != nil {
			return nil, err
		}
		b.conference = list.Path.ConferenceSID // The list has replaced a name.
		for i := range answer.Participants {
			p := &answer.Participants[i]
			listed[valueOf(p.CallSID)] = p
			if b.selected(p) && !b.handled[*p.CallSID] {
				b.handled[*p.CallSID] = true
				found = append(found, target{sid: *p.CallSID, label: valueOf(p.Label), listed: true})
			}
		}
		if len(answer.Next) == 0 {
			b.listed = listed
			return found, nil
		}
		next := *list
		next.Query = maps.Clone(list.Query)
		maps.Copy(next.Query, answer.Next)
		list = &next
	}
}

// selected reports whether the request selects a listed participant, and notes the names
// in the request that are the participant's.
func (b *bulk) selected(p *twilio.Participant) bool {
	if p.CallSID == nil || !sids.IsCall(*p.CallSID) {
		return false
	}
	filter := cmp.Or(b.request.GetFilter(), new(conferencev1.ParticipantFilter))
	named := b.names(b.request.GetParticipants(), p)
	excepted := b.names(b.request.GetExcept(), p)
	return (named || len(b.request.GetParticipants()) == 0) && !excepted &&
		matches(filter.Muted, p.Muted) && matches(filter.Hold, p.Hold) && matches(filter.Coaching, p.Coaching)
}

// names reports whether one of the names is the participant's. A Call SID in other
// letter case counts, so that an exception never fails for that.
func (b *bulk) names(names []string, p *twilio.Participant) bool {
	found := false
	for _, name := range names {
		if strings.EqualFold(name, *p.CallSID) || name == valueOf(p.Label) {
			b.matched[name], found = true, true
		}
	}
	return found
}

// matches reports whether a filter, which may be unset, matches a value.
func matches(filter, value *bool) bool {
	return filter == nil || value != nil && *value == *filter
}

func valueOf(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// update updates the participants, all at once.
func (b *bulk) update(ctx context.Context, targets []target) {
	group := b.operation.Group(len(targets))
	outcomes := make([]*conferencev1.ParticipantResult, len(targets))
	answers := make([]*twilio.Participant, len(targets))
	applied := make([]outcome.Applied, len(targets))
	var all sync.WaitGroup
	for i, t := range targets {
		all.Go(func() { outcomes[i], answers[i], applied[i] = b.updateOne(ctx, group, t) })
	}
	all.Wait()
	for i, t := range targets {
		b.answers[t.sid] = answers[i]
	}
	b.response.Results = append(b.response.Results, outcomes...)
	b.applied = max(b.applied, slices.Max(applied))
}

// updateOne makes one update of the operation as a call of its own.
func (b *bulk) updateOne(
	ctx context.Context, group *delivery.Group, t target,
) (result *conferencev1.ParticipantResult, answer *twilio.Participant, applied outcome.Applied) {
	update := &delivery.Update{
		Request: twilio.Request{
			Operation: twilio.UpdateParticipant, Change: b.change,
			Path: twilio.Path{AccountSID: b.account.SID, ConferenceSID: b.conference, Participant: t.sid},
		},
		Account: b.account, Caller: b.caller, RequestID: b.request.GetRequestId(), Group: group, Label: t.label,
	}
	ctx, c := call.Member(ctx, t.sid)
	response, err := b.each(ctx, b.request, &grpc.UnaryServerInfo{FullMethod: c.Method}, func(ctx context.Context, _ any) (any, error) {
		answer, err := b.deliverer.Deliver(ctx, update)
		record(ctx, update.Path.ConferenceSID, answer, err)
		return answer, err
	})
	result = &conferencev1.ParticipantResult{CallSid: t.sid, Label: t.label}
	switch failed := outcome.From(err); {
	case err == nil:
		answer := response.(*twilio.Answer)
		own := responseOf(answer, b.change)
		result.Participant, result.Warnings, result.Label = own.Participant, own.Warnings, own.Participant.GetLabel()
		return result, &answer.Participant, outcome.Yes
	case failed.Kind == outcome.ParticipantNotFound && t.listed:
		result.Gone = true
		return result, nil, failed.Applied
	default:
		result.Error = errorOf(failed)
		return result, nil, failed.Applied
	}
}

// finish returns the response, with what is about the whole operation.
func (b *bulk) finish(ctx context.Context) *conferencev1.UpdateParticipantsResponse {
	for _, name := range b.request.GetExcept() {
		if !b.matched[name] {
			b.warn("EXCEPT_UNKNOWN", "except", fmt.Sprintf("%q names no participant", name))
		}
	}
	for _, name := range b.request.GetParticipants() {
		if b.matched[name] {
			continue
		}
		b.matched[name] = true // A name may be given twice.
		result := &conferencev1.ParticipantResult{Error: errorOf(outcome.ParticipantNotFound.Err(outcome.Facts{}))}
		if isLabel(name) {
			result.Label = name
		} else {
			result.CallSid = name
		}
		b.response.Results = append(b.response.Results, result)
	}
	if len(b.handled) == 0 {
		b.warn("NO_PARTICIPANT", "", "no participant is selected, and nothing was changed")
	}
	for _, result := range b.response.GetResults() {
		switch {
		case result.GetParticipant() != nil:
			b.response.Updated++
			if b.request.GetConfirm() {
				sid := result.GetCallSid()
				result.Confirmation, result.Differs = confirm(b.change, b.answers[sid], b.listed[sid], b.operation.Followed(sid))
			}
		case result.GetError() != nil:
			b.response.Failed++
		}
	}
	call.From(ctx).Bulk = &call.Bulk{
		Participants: len(b.response.GetResults()), Updated: int(b.response.GetUpdated()),
		Failed: int(b.response.GetFailed()), Applied: b.applied,
	}
	return b.response
}

func (b *bulk) warn(code, field, message string) {
	b.response.Warnings = append(b.response.Warnings, &conferencev1.Warning{Code: code, Field: field, Message: message})
}

// errorOf converts the outcome of an update to the API's type.
func errorOf(failed *outcome.Error) *conferencev1.UpdateError {
	return &conferencev1.UpdateError{
		Code: int32(failed.Code), Reason: failed.Reason, Applied: failed.Applied.String(), //nolint:gosec // At most 16.
		Message: failed.Message(), Metadata: failed.Metadata(),
	}
}
