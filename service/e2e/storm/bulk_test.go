package storm_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/sandbox"
)

// change is an operation of bulkStorm, or a confirmed update of one participant. Its
// marker is in the URL that it sets.
type change struct {
	marker   int
	announce bool
	only     string // The Call SID of a single update's participant; "" for an operation.
	except   string // The Call SID of an operation's exception; may be empty.
	began    time.Time
	ended    time.Time       // Of the last repetition.
	final    map[string]bool // The Call SIDs whose result is certain.
}

// bulkStorm is operations and single updates that compete, while participants join.
type bulkStorm struct {
	client  conferencev1.ConferenceServiceClient
	markers atomic.Int64

	mu        sync.Mutex
	joined    map[string]bool // The Call SIDs of the participants.
	changes   []*change
	broken    []string
	confirmed map[conferencev1.Confirmation]int
	complete  int
	repeated  int
}

func (s *bulkStorm) breaks(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = append(s.broken, fmt.Sprintf(format, args...))
}

// participants returns those who have been there since before now.
func (s *bulkStorm) participants() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.joined))
}

func (s *bulkStorm) join(t *testing.T, up *upstream, label string) {
	p := up.join(t, label)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.joined[p.CallSID] = true
}

func (s *bulkStorm) add(c *change) {
	c.marker, c.final, c.began = int(s.markers.Add(1)), map[string]bool{}, time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes = append(s.changes, c)
}

// operate makes an operation that mutes or announces to everyone but one, and sometimes
// repeats it.
func (s *bulkStorm) operate(ctx context.Context, random *rand.Rand) {
	there := s.participants()
	c := &change{announce: random.IntN(3) == 0, except: there[random.IntN(len(there))]}
	s.add(c)
	request := &conferencev1.UpdateParticipantsRequest{
		ConferenceSid: sandbox.ConferenceSID, Except: []string{c.except}, RequestId: uuid.NewString(),
		Confirm: random.IntN(2) == 0, Set: &conferencev1.ParticipantChange{Muted: proto.Bool(true)},
	}
	if c.announce {
		request.Set = &conferencev1.ParticipantChange{AnnounceUrl: proto.String(fmt.Sprint("https://media.example/announce/", c.marker))}
	} else {
		request.Set.HoldUrl = proto.String(fmt.Sprint("https://media.example/hold/", c.marker))
	}
	for range 1 + random.IntN(3) {
		s.call(ctx, c, request, s.participants())
		s.mu.Lock()
		s.repeated++
		s.mu.Unlock()
	}
}

// call makes a call of an operation. present are those who were there before it.
func (s *bulkStorm) call(ctx context.Context, c *change, request *conferencev1.UpdateParticipantsRequest, present []string) {
	response, err := s.client.UpdateParticipants(ctx, request)
	if err != nil {
		return // The first list failed.
	}
	handled := map[string]bool{c.except: true}
	s.mu.Lock()
	c.ended = time.Now()
	for _, result := range response.GetResults() {
		handled[result.GetCallSid()] = true
		c.final[result.GetCallSid()] = result.GetError().GetApplied() != "maybe"
		s.confirmed[result.GetConfirmation()]++
	}
	if response.GetComplete() {
		s.complete++
	}
	s.mu.Unlock()
	for _, sid := range present {
		if response.GetComplete() && !handled[sid] {
			s.breaks("operation %d is complete and missed %s", c.marker, sid)
		}
	}
}

// unmute unmutes one participant, or sets what no other call sets, and confirms it.
func (s *bulkStorm) unmute(ctx context.Context, random *rand.Rand) {
	there := s.participants()
	c := &change{only: there[random.IntN(len(there))]}
	s.add(c)
	request := &conferencev1.UpdateParticipantRequest{
		ConferenceSid: sandbox.ConferenceSID, CallSid: c.only, Muted: proto.Bool(false), Confirm: true,
		HoldUrl: proto.String(fmt.Sprint("https://media.example/hold/", c.marker)),
	}
	if random.IntN(3) == 0 { // All that it sets can be read.
		request.Muted, request.HoldUrl, request.EndConferenceOnExit = nil, nil, proto.Bool(true)
	}
	response, err := s.client.UpdateParticipant(ctx, request)
	s.mu.Lock()
	defer s.mu.Unlock()
	c.ended = time.Now()
	if err == nil {
		c.final[c.only] = true
		s.confirmed[response.GetConfirmation()]++
	}
}

// check compares what Twilio applied with the rules.
func (s *bulkStorm) check(journal []sandbox.Entry) {
	byMarker := map[int]*change{}
	for _, c := range s.changes {
		byMarker[c.marker] = c
	}
	played := map[string]int{}
	last := map[string]*change{} // The newest that was applied, by Call SID.
	for _, e := range journal {
		marker, marked := markerOf(e.Form.Get("HoldUrl"), e.Form.Get("AnnounceUrl"))
		if !marked || e.Kind != "request" || !e.Applied {
			continue
		}
		c := byMarker[marker]
		switch {
		case c.except == e.CallSID:
			s.breaks("operation %d changed %s, whom it excepts", marker, e.CallSID)
		case c.announce:
			name := fmt.Sprint(e.CallSID, " ", marker)
			if played[name]++; played[name] > 1 {
				s.breaks("operation %d was announced to %s twice", marker, e.CallSID)
			}
		default:
			if newer := last[e.CallSID]; newer != nil && c.final[e.CallSID] && !c.ended.IsZero() && newer.began.After(c.ended) {
				s.breaks("change %d of %s was applied after %d, which began after its end", marker, e.CallSID, newer.marker)
			}
			if newer := last[e.CallSID]; newer == nil || c.began.After(newer.began) {
				last[e.CallSID] = c
			}
		}
	}
}

// TestStormOfBulkOperations has operations of many participants, which are repeated, and
// confirmed updates of one, while Twilio fails and participants join. A mute that is
// repeated does not undo a newer update that is known to have been applied, nobody who is
// excepted is changed, an announcement is played once, and a complete operation has missed
// nobody who was there.
func TestStormOfBulkOperations(t *testing.T) {
	seed := firstSeed()
	setup := stormSetup(profiles[0], longRetention*10)
	// On a busy machine, an attempt of a call whose deadline has passed could still be applied.
	setup.defaultTimeout = 2 * time.Second
	up := newUpstream(t, newFaultCycle(rand.New(rand.NewPCG(seed, 0))))
	w := newWorld(t, setup, up)
	s := &bulkStorm{
		client: conferencev1.NewConferenceServiceClient(w.conns[0]),
		joined: map[string]bool{}, confirmed: map[conferencev1.Confirmation]int{},
	}
	for _, label := range labels {
		s.join(t, up, label)
	}
	up.faults.enabled.Store(true)
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", authorizationOf(i%callerCount))
			random := rand.New(rand.NewPCG(seed, uint64(i+1)))
			for n := range 12 {
				if i < 3 {
					s.operate(ctx, random)
				} else {
					s.unmute(ctx, random)
				}
				if i == 7 && n%3 == 0 {
					s.join(t, up, fmt.Sprint("joining ", n))
				}
			}
		})
	}
	callers.Wait()
	w.await(t, "the service is idle", idle)
	w.close(t)
	s.check(up.Journal())
	t.Logf("seed %d: %d changes, %d calls of operations, %d complete, confirmations %v",
		seed, len(s.changes), s.repeated, s.complete, s.confirmed)
	for _, broken := range s.broken {
		t.Error(broken)
	}
	if n := s.confirmed[conferencev1.Confirmation_CONFIRMATION_DIFFERS]; n > 0 {
		t.Errorf("%d updates are not in effect, although nothing else changes participants", n)
	}
	if s.complete == 0 || s.confirmed[conferencev1.Confirmation_CONFIRMATION_CONFIRMED] == 0 {
		t.Error("nothing was complete or confirmed")
	}
}
