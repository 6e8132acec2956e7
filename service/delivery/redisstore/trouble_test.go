package redisstore

import (
	"strings"
	"testing"

	"conferenced/service/delivery"
)

// trouble makes a Redis answer that it executes nothing.
type trouble struct {
	cause        string // It is logged.
	begin, relax func(t *testing.T, server *node)
}

var troubles = map[string]trouble{
	"full": {
		cause: "OOM",
		begin: func(t *testing.T, server *node) { order(t, server.address(), "CONFIG", "SET", "maxmemory", "1") },
		relax: func(t *testing.T, server *node) { order(t, server.address(), "CONFIG", "SET", "maxmemory", "0") },
	},
	"read-only": {
		cause: "READONLY",
		begin: func(t *testing.T, server *node) { order(t, server.address(), "REPLICAOF", "127.0.0.1", "1") },
		relax: func(t *testing.T, server *node) { order(t, server.address(), "REPLICAOF", "NO", "ONE") },
	},
	"without replicas": {
		cause: "NOREPLICAS",
		begin: func(t *testing.T, server *node) {
			order(t, server.address(), "CONFIG", "SET", "min-replicas-to-write", "1")
		},
		relax: func(t *testing.T, server *node) {
			order(t, server.address(), "CONFIG", "SET", "min-replicas-to-write", "0")
		},
	},
	"without scripts": {
		cause: "NOPERM",
		begin: func(t *testing.T, server *node) {
			order(t, server.address(), "ACL", "SETUSER", "default", "-eval", "-evalsha")
		},
		relax: func(t *testing.T, server *node) {
			order(t, server.address(), "ACL", "SETUSER", "default", "+eval", "+evalsha")
		},
	},
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
			what.begin(t, server)
			for range 25 { // For some leases.
				for range maxFailures {
					_, err := s.Join(within(t), participant("CA1"), muted, true)
					wantRefused(t, err, delivery.StateUnavailable)
					ticket := join(t, s, "CA1", muted)
					wantClosed(t, "an update goes on", ticket.Turn)
					ticket.Leave()
				}
				s.round()
			}
			what.relax(t, server)
			await(t, "Redis is reached again", func() bool { return reaches(t, s) })
			if logged := book.count("redis cannot be asked"); logged != 1 || !strings.Contains(book.String(), what.cause) {
				t.Errorf("logged %d times, want once, with %s:\n%s", logged, what.cause, book)
			}
			await(t, "it is logged once", func() bool { return book.count("redis answers again") == 1 })
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
	first, superseded := joinEvent(t, other, "CA1"), join(t, one, "CA1", held)
	second := join(t, one, "CA1", held)
	wantClosed(t, "the newer update supersedes the older one", superseded.Superseded)
	wantOpen(t, "two have their turn", superseded.Turn)
	superseded.Leave()
	first.Leave()
	wantClosed(t, "the second has its turn", second.Turn)
	if err := valid(t, second); err != nil {
		t.Errorf("the turn is not valid: %v", err)
	}
	second.Leave()
	if text := book.String(); book.count(denied) != 1 || strings.Contains(text, "cannot be asked") {
		t.Errorf("logged:\n%s", text)
	}
	order(t, server.address(), "ACL", "SETUSER", "default", "+subscribe")
	await(t, "the replica listens again", func() bool { return book.count("listen again") == 1 })
}
