package redisstore

import (
	"errors"
	"testing"
	"time"

	"conferenced/service/delivery"
)

// TestWithoutRedis: who goes on and who does not.
func TestWithoutRedis(t *testing.T) {
	const refusedWord, on = "state unavailable", ""
	for _, test := range []struct {
		failure               Failure
		update, event, withID string
	}{
		{Mixed, on, refusedWord, refusedWord},
		{Closed, refusedWord, refusedWord, refusedWord},
		{Open, on, on, on},
	} {
		t.Run(string(test.failure), func(t *testing.T) {
			s := dial(t, Config{URL: "redis://127.0.0.1:1", Failure: test.failure, Lease: shortLease})
			_, err := s.Claim(within(t), key("1"), content)
			wantText(t, "a request id", err, test.withID)
			if err == nil {
				wantText(t, "its attempt", s.Hold(within(t), key("1")), on)
				s.Settle(t.Context(), key("1"), nil)
			}
			for _, kind := range []struct {
				event bool
				want  string
			}{{false, test.update}, {true, test.event}} {
				ticket, err := s.Join(within(t), participant("CA1"), muted, kind.event)
				wantText(t, "a place", err, kind.want)
				if err == nil {
					wantClosed(t, "it has its turn", ticket.Turn)
					wantText(t, "its attempt", valid(t, ticket), on)
					ticket.Leave()
				}
			}
		})
	}
}

func wantText(t *testing.T, what string, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// TestRedisDiesWhileUpdatesWait: what goes on keeps its order in each replica.
func TestRedisDiesWhileUpdatesWait(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s, _ := replicas(t, b, Mixed)
		claimNew(t, s, key("1"))
		first := join(t, s, "CA1", muted)
		event := joinEvent(t, s, "CA1")
		second := join(t, s, "CA1", held)
		b.stop()

		wantClosed(t, "an event ends", event.Turn)
		wantRefused(t, valid(t, event), delivery.StateUnavailable)
		event.Leave()
		wantRefused(t, s.Hold(within(t), key("1")), delivery.StateUnavailable)
		s.Settle(t.Context(), key("1"), nil)
		if err := valid(t, first); err != nil {
			t.Errorf("the first cannot go on: %v", err)
		}
		await(t, "both are in a line of this replica", func() bool { return s.alone.Sizes().Waiting == 2 })
		wantOpen(t, "both have their turn", second.Turn)
		third := join(t, s, "CA1", held)
		wantClosed(t, "the newest takes the place of the second", second.Superseded)
		second.Leave()
		first.Leave()
		wantClosed(t, "the newest has its turn", third.Turn)
		if err := valid(t, third); err != nil {
			t.Errorf("the newest cannot go on: %v", err)
		}
		third.Leave()
	})
}

func TestRedisComesBack(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		one, other := replicas(t, b, Closed)
		join(t, one, "CA1", muted).Leave()
		b.stop()
		await(t, "updates are refused", func() bool {
			ticket, err := one.Join(within(t), participant("CA1"), muted, false)
			if err == nil {
				ticket.Leave()
			}
			return err != nil
		})
		b.start()
		for _, s := range []*Store{one, other} {
			await(t, "updates are taken again", func() bool {
				ticket, err := s.Join(within(t), participant("CA1"), muted, false)
				if err == nil {
					ticket.Leave()
				}
				return err == nil
			})
		}
		first, second := join(t, one, "CA1", muted), join(t, other, "CA1", held)
		wantClosed(t, "the first has its turn", first.Turn)
		wantOpen(t, "both have their turn", second.Turn)
		first.Leave()
		wantClosed(t, "replicas hear each other again", second.Turn)
		second.Leave()
	})
}

// TestRedisLosesEverything: what was held is not held any more, and nobody is
// told otherwise.
func TestRedisLosesEverything(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := dial(t, Config{URL: b.url, Lease: longLease})
		s.fresh = 0
		claimNew(t, s, key("1"))
		update, event := join(t, s, "CA1", muted), joinEvent(t, s, "CA2")
		b.stop()
		b.start()
		await(t, "redis is asked again", func() bool {
			ticket, err := s.Join(within(t), participant("CA3"), muted, true)
			if err == nil {
				ticket.Leave()
			}
			return err == nil
		})
		wantRefused(t, s.Hold(within(t), key("1")), delivery.StateUnavailable)
		wantRefused(t, valid(t, event), delivery.StateUnavailable)
		if err := valid(t, update); err != nil {
			t.Errorf("what goes on without Redis does not: %v", err)
		}
		update.Leave()
		event.Leave()
		s.Settle(t.Context(), key("1"), nil)
	})
}

// TestNobodyGetsAheadWithoutRedis: the lease of the first ends later, since it was
// renewed before an attempt.
func TestNobodyGetsAheadWithoutRedis(t *testing.T) {
	s := dial(t, Config{URL: "redis://127.0.0.1:1", Lease: longLease})
	s.freeze()
	stand := func(arrival int64, sets delivery.Properties, until time.Time) *place {
		p := s.enter(participant("CA1"), sets, false)
		p.born, p.arrival, p.until = "1", arrival, until
		return p
	}
	now := time.Now()
	first, second := stand(1, muted, now.Add(longLease)), stand(2, held, now)
	third := stand(3, 1<<2, now.Add(longLease))
	s.lapseAll()
	if first.alone == nil || second.alone == nil || third.alone != nil {
		t.Fatalf("in a line of this replica: %v, %v, %v, want the first two", first.alone, second.alone, third.alone)
	}
	wantClosed(t, "the first has its turn", first.alone.Turn)
	wantOpen(t, "both have their turn", second.alone.Turn)
	for _, p := range []*place{first, second} {
		s.leave(p)
	}
	s.forget(third)
}

// TestRedisLosesTheLatest comes back with what it was a while ago, as after a
// failover to a replica that lagged behind. Who came since has lost its place, and
// was not superseded by anybody.
func TestRedisLosesTheLatest(t *testing.T) {
	t.Parallel()
	b := startReal(t)
	s := dial(t, Config{URL: b.url, Lease: longLease, Failure: Closed})
	first := join(t, s, "CA1", muted)
	wantClosed(t, "the first has its turn", first.Turn)
	client := *s.client.Load()
	if err := client.Do(t.Context(), client.B().Save().Build()).Error(); err != nil {
		t.Fatal(err)
	}
	update, event := join(t, s, "CA1", held), joinEvent(t, s, "CA1")
	claimNew(t, s, key("1"))
	b.stop()
	b.start()
	await(t, "redis is asked again", func() bool { return reaches(t, s) })

	if err := valid(t, first); err != nil {
		t.Errorf("what was kept is not valid: %v", err)
	}
	first.Leave()
	for _, lost := range []*delivery.Ticket{update, event} {
		wantRefused(t, valid(t, lost), delivery.StateUnavailable)
		wantOpen(t, "what was lost is superseded", lost.Superseded)
		lost.Leave()
	}
	wantRefused(t, s.Hold(within(t), key("1")), delivery.StateUnavailable)
	s.Settle(t.Context(), key("1"), nil)
}

// TestMissedSuperseding: one that was not told that a newer one takes its place
// sees it when it renews its lease.
func TestMissedSuperseding(t *testing.T) {
	t.Parallel()
	b := startReal(t)
	deaf := dial(t, Config{URL: b.url, Lease: longLease})
	deaf.freeze()
	other := dial(t, Config{URL: b.url, Lease: longLease})
	first := joinEvent(t, other, "CA1")
	waiting := join(t, deaf, "CA1", muted)
	newer := join(t, other, "CA1", muted)
	wantOpen(t, "it was told", waiting.Superseded)
	deaf.renewPlaces(t.Context(), true)
	wantClosed(t, "it is superseded", waiting.Superseded)
	wantOpen(t, "it has its turn", waiting.Turn)
	waiting.Leave()
	first.Leave()
	wantClosed(t, "the newer has its turn", newer.Turn)
	newer.Leave()
}

// TestOpenGoesOnApart: without Redis, everything goes on in each replica by itself.
// Once it is back, what comes then is shared again; what went on apart is not.
func TestOpenGoesOnApart(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		one, other := replicas(t, b, Open)
		join(t, one, "CA1", muted).Leave()
		b.stop()
		for _, s := range []*Store{one, other} {
			first, second := joinEvent(t, s, "CA1"), joinEvent(t, s, "CA1")
			wantClosed(t, "the first has its turn", first.Turn)
			wantOpen(t, "two of a replica have their turn", second.Turn)
			first.Leave()
			wantClosed(t, "the second has its turn", second.Turn)
			second.Leave()
			claimNew(t, s, key("1")) // In each of them.
			if err := s.Hold(within(t), key("1")); err != nil {
				t.Errorf("the request id is not held: %v", err)
			}
		}
		b.start()
		for _, s := range []*Store{one, other} {
			await(t, "redis is asked again", func() bool { return !s.down() && s.listens(t) })
			s.Settle(t.Context(), key("1"), &delivery.Record{Content: content, Lost: true})
		}
		first, second := joinEvent(t, one, "CA1"), joinEvent(t, other, "CA1")
		wantClosed(t, "the first has its turn", first.Turn)
		wantOpen(t, "both have their turn", second.Turn)
		first.Leave()
		wantClosed(t, "the second has its turn", second.Turn)
		second.Leave()
		claimNew(t, one, key("2"))
		if _, err := other.look(within(t), key("2"), content); !errors.Is(err, errBusy) {
			t.Errorf("a request id that another has: %v", err)
		}
		one.Settle(t.Context(), key("2"), nil)
	})
}
