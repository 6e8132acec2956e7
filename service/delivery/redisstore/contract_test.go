package redisstore

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"conferenced/service/delivery"
	"conferenced/service/twilio"
)

// stores are the stores of two replicas, or the same store in memory twice.
type stores struct{ a, b delivery.Store }

// awaitLeaves waits until Redis knows which waiters have left.
func (s stores) awaitLeaves() {
	for _, replica := range []delivery.Store{s.a, s.b} {
		if shared, ok := replica.(*Store); ok {
			shared.leaving.Wait()
		}
	}
}

// eachStore runs a test of what every store promises.
func eachStore(t *testing.T, test func(*testing.T, stores)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		memory := delivery.NewMemory(testBounds())
		test(t, stores{memory, memory})
		wantNothingWaits(t, memory)
	})
	shared := func(t *testing.T, b *backend) {
		cfg := Config{URL: b.url, Lease: longLease}
		s := stores{dial(t, cfg), dial(t, cfg)}
		test(t, s)
		wantNothingWaits(t, s.a)
		wantNothingWaits(t, s.b)
	}
	eachBackend(t, shared)
	t.Run("cluster", func(t *testing.T) { shared(t, cluster.use(t)) })
}

func wantNothingWaits(t *testing.T, s delivery.Store) {
	t.Helper()
	if left := s.Sizes(); left.Lines != 0 || left.Waiting != 0 {
		t.Errorf("left waiting: %+v", left)
	}
}

const (
	muted delivery.Properties = 1 << iota
	held
)

func TestUpdatesAreSentInOrderOfArrival(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		var queue []*delivery.Ticket
		for i, sets := range []delivery.Properties{muted, held, 1 << 2} {
			queue = append(queue, join(t, []delivery.Store{s.a, s.b}[i%2], "CA1", sets))
		}
		for i, ticket := range queue {
			wantClosed(t, "the next has its turn", ticket.Turn)
			for _, later := range queue[i+1:] {
				wantOpen(t, "another has its turn too", later.Turn)
			}
			if err := valid(t, ticket); err != nil {
				t.Errorf("the turn is not valid: %v", err)
			}
			ticket.Leave()
		}
	})
}

func TestParticipantsDoNotWaitForEachOther(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		one, other := join(t, s.a, "CA1", muted), join(t, s.b, "CA2", muted)
		elsewhere := participant("CA1")
		elsewhere.SID = "CF2"
		third, err := s.b.Join(within(t), elsewhere, muted, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, ticket := range []*delivery.Ticket{one, other, third} {
			wantClosed(t, "each has a turn", ticket.Turn)
			ticket.Leave()
		}
	})
}

func TestNewerUpdateSupersedesOlderOnes(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		first := join(t, s.a, "CA1", muted)
		waiting, partly := join(t, s.a, "CA1", muted), join(t, s.b, "CA1", held|muted)
		wantClosed(t, "the one that waits is superseded", waiting.Superseded)
		wantClosed(t, "the one that has its turn is superseded", first.Superseded)
		waiting.Leave()
		event := joinEvent(t, s.a, "CA1")
		all := join(t, s.b, "CA1", 1<<12-1)
		wantClosed(t, "the newest covers it", partly.Superseded)
		partly.Leave()
		first.Leave()
		wantClosed(t, "the event has its turn", event.Turn)
		wantOpen(t, "an event is superseded", event.Superseded)
		event.Leave()
		wantClosed(t, "the newest has its turn", all.Turn)
		all.Leave()
	})
}

func TestQueuesAreBounded(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		queue := []*delivery.Ticket{joinEvent(t, s.a, "CA1")}
		for range testBounds().LineLength {
			queue = append(queue, joinEvent(t, s.b, "CA1"))
		}
		_, err := s.a.Join(within(t), participant("CA1"), muted, false)
		wantRefused(t, err, delivery.Overloaded)
		for _, ticket := range queue {
			wantClosed(t, "each has its turn", ticket.Turn)
			ticket.Leave()
		}
		join(t, s.a, "CA1", muted).Leave()
	})
}

func TestLabelAndCallSIDShareAQueue(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		s.a.Know(t.Context(), participant("desk {1}"), "CA1")
		first := join(t, s.b, "desk {1}", held)
		second := join(t, s.a, "CA1", muted)
		third := join(t, s.b, "desk {1}", muted)
		wantClosed(t, "a newer one by label covers it", second.Superseded)
		second.Leave()
		wantOpen(t, "two have their turn", third.Turn)
		first.Leave()
		wantClosed(t, "the last has its turn", third.Turn)
		third.Leave()
	})
}

func TestQueuesMergeWhenALabelBecomesKnown(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		bySID, byLabel := joinEvent(t, s.a, "CA1"), joinEvent(t, s.b, "desk")
		wantClosed(t, "both have a turn", byLabel.Turn)
		older := join(t, s.a, "CA1", muted)
		between := join(t, s.b, "desk", held)
		newer := join(t, s.b, "desk", muted)
		s.b.Know(t.Context(), participant("desk"), "CA1")
		wantClosed(t, "a newer one in the other queue covers it", older.Superseded)
		older.Leave()
		bySID.Leave()
		wantOpen(t, "one is in flight under the other name", between.Turn)
		byLabel.Leave()
		wantClosed(t, "the next in order of arrival", between.Turn)
		wantOpen(t, "two have their turn", newer.Turn)
		between.Leave()
		wantClosed(t, "the last", newer.Turn)
		newer.Leave()
	})
}

func TestLabelMovesToAnotherCall(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		s.a.Know(t.Context(), participant("desk"), "CA1")
		first := joinEvent(t, s.a, "desk")
		s.b.Know(t.Context(), participant("desk"), "CA2")
		second := joinEvent(t, s.b, "CA2")
		wantOpen(t, "two have their turn", second.Turn)
		first.Leave()
		wantClosed(t, "the second has its turn", second.Turn)
		second.Leave()
		s.awaitLeaves()
		old, moved := joinEvent(t, s.a, "CA1"), joinEvent(t, s.b, "desk")
		wantClosed(t, "the first call is another participant now", old.Turn)
		wantClosed(t, "the label is the second call's", moved.Turn)
		old.Leave()
		moved.Leave()
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
			wantRefused(t, err, delivery.RequestIDReused)
		}
		another := key("1")
		another.Caller = "another"
		claimNew(t, s.b, another)
		s.b.Settle(t.Context(), another, nil)
		s.a.Settle(t.Context(), key("1"), &delivery.Record{Content: content, Lost: true})
		_, err := s.b.Claim(within(t), key("1"), otherContent)
		wantRefused(t, err, delivery.RequestIDReused)
	})
}

func TestRequestIDIsFreeAgainWithoutARecord(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		claimNew(t, s.a, key("1"))
		if err := s.a.Hold(within(t), key("1")); err != nil {
			t.Fatal(err)
		}
		s.a.Settle(t.Context(), key("1"), nil)
		claimNew(t, s.b, key("1"))
		s.b.Settle(t.Context(), key("1"), nil)
	})
}

func TestRecordsAreKept(t *testing.T) {
	records := map[string]*delivery.Record{
		"answer": {Applied: delivery.Yes, Answer: &twilio.Answer{
			HTTPStatus: 200, RequestID: "RQ1",
			Participant: twilio.Participant{Label: new("café {1}"), CallSID: new("CA1"), Muted: new(false)},
		}},
		"error": {Applied: delivery.No, Error: &twilio.Error{
			HTTPStatus: 400, Code: 20001, Message: "no", RetryAfter: time.Second, HasRetryAfter: true,
		}},
		"unexpected": {Applied: delivery.Yes, Unexpected: &twilio.AnswerError{HTTPStatus: 200, Reason: "no JSON"}},
		"lost":       {Applied: delivery.Maybe, Lost: true},
		"superseded": {Applied: delivery.Maybe, Superseded: true},
	}
	for _, record := range records {
		record.Content = content
	}
	eachStore(t, func(t *testing.T, s stores) {
		for id, record := range records {
			claimNew(t, s.a, key(id))
			s.a.Settle(t.Context(), key(id), record)
			got, err := s.b.Claim(within(t), key(id), content)
			if err != nil || !cmp.Equal(got, record) {
				t.Errorf("%s: %v, %s", id, err, cmp.Diff(record, got))
			}
		}
	})
}

func TestCauseOfAnUnreadableAnswerIsNotKept(t *testing.T) {
	record := &delivery.Record{Unexpected: &twilio.AnswerError{HTTPStatus: 200, Err: errors.New("quotes a label")}}
	got := new(Store).decode(content, encode(record))
	if got.Unexpected == nil || got.Unexpected.Err != nil || record.Unexpected.Err == nil {
		t.Errorf("kept: %+v", got.Unexpected)
	}
}

func TestOneUpstreamCallForOneRequestID(t *testing.T) {
	eachStore(t, func(t *testing.T, s stores) {
		claimNew(t, s.a, key("1"))
		answers := make(chan string)
		for _, replica := range []delivery.Store{s.a, s.b, s.b} {
			go func() {
				record, err := replica.Claim(within(t), key("1"), content)
				answers <- fmt.Sprint(record != nil && record.Lost, err)
			}()
		}
		s.a.Settle(t.Context(), key("1"), &delivery.Record{Content: content, Lost: true})
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
		s.a.Settle(t.Context(), key("1"), nil)
	})
}
