package redisstore

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"conferenced/service/delivery"
	"conferenced/service/outcome"
	"conferenced/service/property"
	"conferenced/service/twilio"
)

// stores are the stores of two replicas, or the same store in memory twice.
type stores struct{ a, b delivery.Store }

// wait waits for the requests in the background.
func (s stores) wait() {
	for _, replica := range []delivery.Store{s.a, s.b} {
		if shared, ok := replica.(*Store); ok {
			shared.background.Wait()
		}
	}
}

// eachStore runs a test of what every store promises, in this version and the one before.
func eachStore(t *testing.T, test func(*testing.T, stores)) {
	t.Helper()
	eachCurrentStore(t, test)
	// During a rolling update, replicas of two versions share a Redis.
	t.Run("version before", func(t *testing.T) { eachBackend(t, shared(dialPrevious, dial, test)) })
	t.Run("version after", func(t *testing.T) { eachBackend(t, shared(dial, dialPrevious, test)) })
}

// eachCurrentStore runs a test of what every store promises in this version.
func eachCurrentStore(t *testing.T, test func(*testing.T, stores)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		memory := delivery.NewMemory(testBounds())
		test(t, stores{memory, memory})
		wantNothingWaits(t, memory)
	})
	eachBackend(t, shared(dial, dial, test))
	t.Run("cluster", func(t *testing.T) { shared(dial, dial, test)(t, cluster.use(t)) })
}

// shared returns a test of two replicas that share a Redis.
func shared(a, b func(*testing.T, Config) *Store, test func(*testing.T, stores)) func(*testing.T, *backend) {
	return func(t *testing.T, redis *backend) {
		cfg := Config{URL: redis.url, Lease: longLease}
		s := stores{a(t, cfg), b(t, cfg)}
		// From the second update of a conference on, less is done for those alone.
		join(t, s.b, "CA0", muted).Leave()
		s.wait()
		test(t, s)
		wantNothingWaits(t, s.a)
		wantNothingWaits(t, s.b)
	}
}

func wantNothingWaits(t *testing.T, s delivery.Store) {
	t.Helper()
	if left := s.Sizes(); left.Queues != 0 || left.Waiting != 0 {
		t.Errorf("left waiting: %+v", left)
	}
}

// pick returns the first of the replicas for even numbers, and the other for odd ones.
func (s stores) pick(i int) delivery.Store { return []delivery.Store{s.a, s.b}[i%2] }

func TestUpdatesAreSentInOrderOfArrival(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		var queue []delivery.Entry
		for i, sets := range []property.Set{muted, held, 1 << property.Coaching} {
			queue = append(queue, join(t, s.pick(i), "CA1", sets))
		}
		for i, e := range queue {
			wantBegins(t, "the next", e)
			for _, later := range queue[i+1:] {
				wantWaits(t, "another", later)
			}
			if err := e.Stands(); err != nil {
				t.Errorf("the turn does not stand: %v", err)
			}
			finish(e, outcome.Applied(i))
		}
	})
}

func TestParticipantsDoNotWaitForEachOther(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		one, other := join(t, s.a, "CA1", muted), join(t, s.b, "CA2", muted)
		elsewhere := queued("caller", "CA1", muted)
		elsewhere.Participant.SID = "CF2"
		third, err := s.b.Join(within(t), elsewhere)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range []delivery.Entry{one, other, third} {
			wantBegins(t, "each", e)
		}
		for _, e := range []delivery.Entry{one, other, third} {
			finish(e, outcome.No)
		}
	})
}

// TestChoice has a head that waits while an announcement is in flight, and the updates
// behind it, at two replicas. It checks which is sent next.
func TestChoice(t *testing.T) {
	const other = property.Set(1 << property.BeepOnExit)
	tests := []struct {
		name    string
		waiting []property.Set
		sent    int // Its index.
	}{
		{"the same property", []property.Set{muted, muted}, 1},
		{"more properties", []property.Set{muted, muted | held}, 1},
		{"fewer properties", []property.Set{muted | held, muted}, 0},
		{"another property", []property.Set{muted, held}, 0},
		{"some properties that are shared", []property.Set{muted | held, muted | announce}, 0},
		{"an announcement by an announcement", []property.Set{announce, announce}, 0},
		{"by an announcement that sets it too", []property.Set{muted, muted | announce}, 1},
		{"one between shares no property", []property.Set{muted, other, muted}, 2},
		{"one between is covered", []property.Set{muted, muted, muted | held}, 2},
		{"one between shares a property and has another", []property.Set{muted, muted | held, muted}, 1},
		{"an announcement between", []property.Set{muted, announce, muted}, 2},
		{"an announcement with the property between", []property.Set{muted, announce | muted, muted}, 1},
		{"the highest property", []property.Set{1 << property.CallSIDToCoach, property.All}, 1},
	}
	eachStore(t, func(t *testing.T, s stores) {
		for _, test := range tests {
			first := join(t, s.a, "CA1", announce)
			wantBegins(t, test.name, first)
			var waiting []delivery.Entry
			for i, sets := range test.waiting {
				waiting = append(waiting, join(t, s.pick(i), "CA1", sets))
			}
			finish(first, outcome.Yes)
			s.wait()
			if sent := s.next(t, waiting); sent != test.sent {
				t.Errorf("%s: number %d was sent, want %d", test.name, sent, test.sent)
			}
			for _, e := range waiting {
				e.Leave()
			}
			s.wait()
		}
	})
}

// next returns the index of the update that begins. A turn may be refused.
func (s stores) next(t *testing.T, waiting []delivery.Entry) int {
	t.Helper()
	for ctx := within(t); ; {
		for i, e := range waiting {
			select {
			case permit := <-e.Turns():
				if permit != nil {
					return i
				}
				begun, err := e.Begin(ctx, new(delivery.Permit))
				if err != nil {
					t.Fatal(err)
				}
				if begun {
					return i
				}
			case <-ctx.Done():
				t.Fatal("none has a turn")
			case <-time.After(time.Millisecond):
			}
		}
	}
}

// TestPermitIsPassedToAnUpdateOfTheSameReplica: that is chosen with it.
func TestPermitIsPassedToAnUpdateOfTheSameReplica(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		first := join(t, s.a, "CA1", announce)
		wantBegins(t, "the first", first)
		older, newer := join(t, s.a, "CA1", muted), join(t, s.a, "CA1", muted)
		finish(first, outcome.Yes)
		if turn := <-older.Turns(); turn != nil {
			t.Fatal("a leader gets a permit")
		}
		permit := new(delivery.Permit)
		if begun, err := older.Begin(within(t), permit); begun || err != nil {
			t.Fatalf("the older update begins: %t, %v", begun, err)
		}
		if passed := <-newer.Turns(); passed != permit {
			t.Error("the newer update gets another permit")
		}
		finish(newer, outcome.Yes)
		wantOver(t, older, outcome.Superseded)
	})
}

// TestEndOfTheNewerDecides: what becomes of the older update that the newer one was sent
// instead of.
func TestEndOfTheNewerDecides(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		for _, newerAt := range []delivery.Store{s.a, s.b} {
			for _, applied := range []outcome.Applied{outcome.No, outcome.Maybe, outcome.Yes} {
				first := join(t, s.a, "CA1", announce)
				wantBegins(t, "the first", first)
				older, newer := join(t, s.a, "CA1", muted), join(t, newerAt, "CA1", muted)
				finish(first, outcome.Yes)
				s.wait()
				if s.next(t, []delivery.Entry{older, newer}) != 1 {
					t.Fatal("the older update was sent")
				}
				newest := join(t, newerAt, "CA1", muted)
				finish(newer, applied)
				if applied != outcome.No {
					wantOver(t, older, outcome.Superseded)
					send(t, "the newest", newest)
					continue
				}
				send(t, "the older, before any other newer update", older)
				send(t, "the newest", newest)
				s.wait()
			}
		}
	})
}

// TestUpdateThatIsNeverSentSupersedesNothing: not even if it was chosen.
func TestUpdateThatIsNeverSentSupersedesNothing(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		first := join(t, s.a, "CA1", announce)
		wantBegins(t, "the first", first)
		older := join(t, s.a, "CA1", muted)
		for i := range 5 {
			newer := join(t, s.pick(i), "CA1", muted)
			wantWaits(t, "the older", older)
			newer.Leave()
			s.wait()
		}
		chosen := join(t, s.b, "CA1", muted)
		finish(first, outcome.Yes)
		wantPassedOver(t, older)
		<-chosen.Turns()
		newest := join(t, s.b, "CA1", muted)
		chosen.Leave()
		send(t, "the older, before any other newer update", older)
		send(t, "the newest", newest)
	})
}

// TestNewerUpdateDoesNotWaitForARetry of an older one that it covers.
func TestNewerUpdateDoesNotWaitForARetry(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		older := join(t, s.a, "CA1", muted)
		wantBegins(t, "the older", older)
		older.End(delivery.End{Applied: outcome.Maybe, Again: true})
		s.wait()
		newer := join(t, s.b, "CA1", muted)
		send(t, "the newer", newer)
		wantOver(t, older, outcome.Superseded)
	})
}

func TestOtherUpdatesWaitForARetry(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		older := join(t, s.a, "CA1", muted)
		wantBegins(t, "the older", older)
		newer := join(t, s.b, "CA1", held)
		for range 3 {
			older.End(delivery.End{Applied: outcome.No, Again: true})
			s.wait()
			wantWaits(t, "the newer", newer)
			older.Resume()
			wantBegins(t, "the older", older)
		}
		finish(older, outcome.Yes)
		send(t, "the newer", newer)
	})
}

func TestQueuesAreBounded(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		queue := []delivery.Entry{join(t, s.a, "CA1", announce)}
		for range testBounds().Queue {
			queue = append(queue, join(t, s.b, "CA1", announce))
		}
		_, err := s.a.Join(within(t), queued("caller", "CA1", muted))
		wantRefused(t, err, outcome.Overloaded)
		for _, e := range queue {
			send(t, "each", e)
		}
		s.wait()
		send(t, "there is room again", join(t, s.a, "CA1", muted))
	})
}

// TestOneCallerDoesNotFillAQueue: in a full queue the caller with the most updates loses
// its own newest one.
func TestOneCallerDoesNotFillAQueue(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		var noisy []delivery.Entry
		for i := range testBounds().Queue + 1 {
			noisy = append(noisy, joinAs(t, s.pick(i), "noisy", "CA1", announce))
		}
		quiet := joinAs(t, s.a, "quiet", "CA1", announce)
		wantOver(t, noisy[3], outcome.Overloaded)
		_, err := s.a.Join(within(t), queued("noisy", "CA1", announce))
		wantRefused(t, err, outcome.Overloaded)
		another := joinAs(t, s.b, "quiet", "CA1", announce)
		wantOver(t, noisy[2], outcome.Overloaded)
		_, err = s.b.Join(within(t), queued("quiet", "CA1", announce)) // As many as the other.
		wantRefused(t, err, outcome.Overloaded)
		for _, e := range []delivery.Entry{noisy[0], noisy[1], quiet, another} {
			send(t, "each", e)
		}
	})
}

// know lets an answer show the label of a Call SID, "" for none.
func (s stores) know(t *testing.T, label, sid string) {
	t.Helper()
	e := join(t, s.a, sid, 1<<property.Coaching)
	wantBegins(t, "the one that shows the label", e)
	e.End(delivery.End{Applied: outcome.Yes, CallSID: sid, Label: label})
	e.Leave()
	s.wait()
}

func TestLabelAndCallSIDShareAQueue(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		s.know(t, "desk {1}", "CA1")
		first := join(t, s.b, "desk {1}", held)
		wantBegins(t, "the first", first)
		second := join(t, s.a, "CA1", muted)
		third := join(t, s.b, "desk {1}", muted)
		wantWaits(t, "the third", third)
		finish(first, outcome.Yes)
		if s.next(t, []delivery.Entry{second, third}) != 1 {
			t.Error("the second was sent")
		}
		finish(third, outcome.Yes)
		wantOver(t, second, outcome.Superseded)
	})
}

func TestQueuesMergeWhenALabelBecomesKnown(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		bySID, byLabel := join(t, s.a, "CA1", announce), join(t, s.b, "desk", announce)
		wantBegins(t, "one by Call SID", bySID)
		wantBegins(t, "one by label", byLabel)
		older := join(t, s.a, "CA1", held)
		newer := join(t, s.b, "desk", muted)
		newest := join(t, s.a, "CA1", announce)
		bySID.End(delivery.End{Applied: outcome.Yes, CallSID: "CA1", Label: "desk"})
		bySID.Leave()
		s.wait()
		for _, e := range []delivery.Entry{older, newer, newest} {
			wantWaits(t, "one is in flight under the other name", e)
		}
		finish(byLabel, outcome.Yes)
		for i, e := range []delivery.Entry{older, newer, newest} {
			wantBegins(t, "in order of arrival", e)
			for _, later := range []delivery.Entry{older, newer, newest}[i+1:] {
				wantWaits(t, "a later one", later)
			}
			finish(e, outcome.Yes)
		}
	})
}

func TestUpdateByTheOtherNameSupersedes(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		first := join(t, s.a, "CA1", announce)
		wantBegins(t, "the first", first)
		older, newer := join(t, s.a, "CA1", muted), join(t, s.b, "desk", muted)
		wantBegins(t, "the newer", newer)
		newer.End(delivery.End{Applied: outcome.Yes, CallSID: "CA1", Label: "desk"})
		newer.Leave()
		wantOver(t, older, outcome.Superseded)
		finish(first, outcome.Yes)
	})
}

// TestLabelMovesToAnotherCall: the updates by label do not wait for the old call.
func TestLabelMovesToAnotherCall(t *testing.T) {
	ends := map[string]delivery.End{
		"an answer shows the new call":      {Applied: outcome.Yes, CallSID: "CA2", Label: "desk"},
		"the old call has lost it":          {Applied: outcome.Yes, CallSID: "CA1"},
		"the old call has another":          {Applied: outcome.Yes, CallSID: "CA1", Label: "another"},
		"the name of the update is unknown": {NotFound: true},
	}
	eachStore(t, func(t *testing.T, s stores) {
		for what, end := range ends {
			s.know(t, "desk", "CA1")
			name := "CA1"
			if end.CallSID == "CA2" {
				name = "CA2"
			}
			old := join(t, s.a, "CA1", announce)
			wantBegins(t, what, old)
			byLabel := join(t, s.b, "desk", muted)
			wantWaits(t, what, byLabel)
			if name == "CA1" {
				old.End(end)
				old.Leave()
				old = join(t, s.b, "CA1", held)
				wantBegins(t, what, old)
			} else {
				new := join(t, s.b, name, held)
				wantBegins(t, what, new)
				new.End(end)
				new.Leave()
			}
			wantBegins(t, what, byLabel)
			later := join(t, s.a, "desk", muted)
			wantWaits(t, what, later)
			finish(byLabel, outcome.Yes)
			send(t, what, later)
			finish(old, outcome.No)
			s.wait()
		}
	})
}

func key(id string) delivery.Key {
	return delivery.Key{Caller: "caller", Account: "AC1", RequestID: id}
}

var content, otherContent = delivery.Content{1}, delivery.Content{2}

func claimNew(t *testing.T, s delivery.Store, k delivery.Key) {
	t.Helper()
	record, err := s.Claim(within(t), k, content)
	if record != nil || err != nil {
		t.Fatalf("the claim: %v, %v, want to own it", record, err)
	}
}

func TestRequestIDBelongsToItsContentAndCaller(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		claimNew(t, s.a, key("1"))
		for _, replica := range []delivery.Store{s.a, s.b} {
			_, err := replica.Claim(within(t), key("1"), otherContent)
			wantRefused(t, err, outcome.RequestIDReused)
		}
		another := key("1")
		another.Caller = "another"
		claimNew(t, s.b, another)
		s.b.Settle(another, nil)
		s.a.Settle(key("1"), &delivery.Record{Content: content})
		_, err := s.b.Claim(within(t), key("1"), otherContent)
		wantRefused(t, err, outcome.RequestIDReused)
	})
}

func TestRequestIDIsFreeAgainWithoutARecord(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		claimNew(t, s.a, key("1"))
		if err := s.a.Hold(within(t), key("1")); err != nil {
			t.Fatal(err)
		}
		s.a.Settle(key("1"), nil)
		claimNew(t, s.b, key("1"))
		s.b.Settle(key("1"), nil)
	})
}

func TestRecordsAreKept(t *testing.T) {
	records := map[string]*delivery.Record{
		"answer": {Answer: &twilio.Answer{
			HTTPStatus: 200, RequestID: "RQ1",
			Participant: twilio.Participant{Label: new("café {1}"), CallSID: new("CA1"), Muted: new(false)},
		}},
		"rejected": {Err: outcome.TwilioRejected.Err(outcome.Facts{
			Detail: "no", Twilio: &outcome.TwilioAnswer{HTTPStatus: 400, Code: 20001, RequestID: "RQ2", MoreInfo: "url"},
		})},
		"unknown":      {Err: outcome.OutcomeUnknown.Err(outcome.Facts{Applied: outcome.Maybe})},
		"announcement": {Err: outcome.UnrepeatableOutcomeUnknown.Err(outcome.Facts{Applied: outcome.Maybe})},
		"superseded":   {Err: outcome.Superseded.Err(outcome.Facts{RetryAfter: time.Second, Resource: "path"})},
		"nothing":      {},
	}
	for _, record := range records {
		record.Content = content
	}
	eachStore(t, func(t *testing.T, s stores) {
		for id, record := range records {
			claimNew(t, s.a, key(id))
			s.a.Settle(key(id), record)
			s.wait()
			got, err := s.b.Claim(within(t), key(id), content)
			if err != nil || !reflect.DeepEqual(got, record) {
				t.Errorf("%s: %v, %s", id, err, cmp.Diff(record, got))
			}
		}
	})
}

// TestRecordThatCannotBeRead: another version wrote it.
func TestRecordThatCannotBeRead(t *testing.T) {
	s := &Store{logger: quiet}
	for _, text := range []string{"", "{", `{"Reason":"NEW","Code":2,"Facts":{}}`, `{"Reason":"SUPERSEDED","Code":10}`} {
		if got := s.decode(content, text); got.Answer != nil || got.Err != nil || got.Content != content {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func TestCauseOfAnErrorIsNotKept(t *testing.T) {
	failed := outcome.TwilioUnexpectedAnswer.Err(outcome.Facts{Cause: errors.New("quotes a label")})
	text := encode(&delivery.Record{Err: failed})
	if got := new(Store).decode(content, text); got.Err == nil || got.Err.Cause != nil || failed.Cause == nil {
		t.Errorf("kept: %s", text)
	}
}

func TestOneUpstreamCallForOneRequestID(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		claimNew(t, s.a, key("1"))
		answers := make(chan string)
		for _, replica := range []delivery.Store{s.a, s.b, s.b} {
			go func() {
				record, err := replica.Claim(within(t), key("1"), content)
				answers <- fmt.Sprint(record != nil && record.Answer == nil && record.Err == nil, err)
			}()
		}
		s.a.Settle(key("1"), &delivery.Record{Content: content})
		for range 3 {
			if got := <-answers; got != "true <nil>" {
				t.Errorf("the answer is %s, want the first one", got)
			}
		}
	})
}

func TestWaitForAnotherEndsWithTheContext(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		claimNew(t, s.a, key("1"))
		for _, replica := range []delivery.Store{s.a, s.b} {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			_, err := replica.Claim(ctx, key("1"), content)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the wait ended with %v", err)
			}
		}
		s.a.Settle(key("1"), nil)
	})
}
