package redisstore

import (
	"strings"
	"testing"

	"conferenced/service/outcome"
)

// troubles have the commands after which a Redis executes nothing, and those after which
// it does again.
var troubles = map[string]struct{ cause, begin, end string }{
	"full":             {"OOM", "CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"},
	"read-only":        {"READONLY", "REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"},
	"without replicas": {"NOREPLICAS", "CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"},
	"without scripts":  {"NOPERM", "ACL SETUSER default -eval -evalsha", "ACL SETUSER default +eval +evalsha"},
}

// TestRedisThatExecutesNothing: its errors are a failure like any other. It is logged
// once, however long it lasts.
func TestRedisThatExecutesNothing(t *testing.T) {
	t.Parallel()
	for name, what := range troubles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := launchPlain(t)
			s, book := dialLogged(t, Config{URL: "redis://" + server.address(), Lease: longLease})
			await(t, "Redis is reached", func() bool { return reaches(t, s) })
			order(t, server.address(), strings.Fields(what.begin)...)
			for range 25 { // For some leases.
				for range maxFailures {
					_, err := s.Join(within(t), queued("caller", "CA1", announce))
					wantRefused(t, err, outcome.StateUnavailable)
					send(t, "an update goes on", join(t, s, "CA1", muted))
				}
				s.round()
			}
			order(t, server.address(), strings.Fields(what.end)...)
			await(t, "Redis is reached again", func() bool { return reaches(t, s) })
			if logged := book.count("redis cannot be asked"); logged != 1 || !strings.Contains(book.String(), what.cause) {
				t.Errorf("logged %d times, want once, with %s:\n%s", logged, what.cause, book)
			}
			if logged := book.count("redis answers again"); logged != 1 {
				t.Errorf("that it answers was logged %d times, want once:\n%s", logged, book)
			}
		})
	}
}

// TestReplicaThatMayNotListen notices late, when it renews leases, that its waiters have
// their turn or are superseded, and logs the reason once.
func TestReplicaThatMayNotListen(t *testing.T) {
	t.Parallel()
	server := launchPlain(t)
	order(t, server.address(), "ACL", "SETUSER", "default", "-subscribe")
	cfg := Config{URL: "redis://" + server.address(), Lease: longLease}
	one, book := dialLogged(t, cfg)
	other := dial(t, cfg)
	const denied = "does not let this replica listen"
	await(t, "it is logged", func() bool { return book.count(denied) > 0 })
	first, older := join(t, other, "CA1", announce), join(t, one, "CA1", held)
	wantBegins(t, "the first", first)
	newer := join(t, other, "CA1", held)
	finish(first, outcome.Yes)
	wantPassedOver(t, older)
	send(t, "the newer", newer)
	wantOver(t, older, outcome.Superseded)
	if text := book.String(); book.count(denied) != 1 || strings.Contains(text, "cannot be asked") {
		t.Errorf("logged:\n%s", text)
	}
	order(t, server.address(), "ACL", "SETUSER", "default", "+subscribe")
	await(t, "the replica listens again", func() bool { return book.count("listen again") == 1 })
}
