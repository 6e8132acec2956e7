package redisstore

import (
	"fmt"
	"strings"
	"testing"
	"time"

	miniserver "github.com/alicebob/miniredis/v2/server"

	"conferenced/service/delivery"
)

// trouble is a Redis that answers and yet cannot be used.
type trouble struct {
	cause        string // What is logged.
	begin, relax func(t *testing.T, server *node)
}

var troubles = map[string]trouble{
	"it is full": {
		cause: "OOM",
		begin: func(t *testing.T, server *node) { order(t, server.address(), "CONFIG", "SET", "maxmemory", "1") },
		relax: func(t *testing.T, server *node) { order(t, server.address(), "CONFIG", "SET", "maxmemory", "0") },
	},
	"it only reads": {
		cause: "READONLY",
		begin: func(t *testing.T, server *node) { order(t, server.address(), "REPLICAOF", "127.0.0.1", "1") },
		relax: func(t *testing.T, server *node) { order(t, server.address(), "REPLICAOF", "NO", "ONE") },
	},
	"it lacks replicas": {
		cause: "NOREPLICAS",
		begin: func(t *testing.T, server *node) {
			order(t, server.address(), "CONFIG", "SET", "min-replicas-to-write", "1")
		},
		relax: func(t *testing.T, server *node) {
			order(t, server.address(), "CONFIG", "SET", "min-replicas-to-write", "0")
		},
	},
	"it takes no scripts": {
		cause: "NOPERM",
		begin: func(t *testing.T, server *node) {
			order(t, server.address(), "ACL", "SETUSER", "default", "-eval", "-evalsha")
		},
		relax: func(t *testing.T, server *node) {
			order(t, server.address(), "ACL", "SETUSER", "default", "+eval", "+evalsha")
		},
	},
}

// TestRedisThatTakesNothing answers, but takes nothing: that is a failure like any
// other, which is logged once, however long it lasts and however much is asked.
func TestRedisThatTakesNothing(t *testing.T) {
	t.Parallel()
	for name, what := range troubles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := launchPlain(t)
			s, book := dialLogged(t, Config{URL: "redis://" + server.address(), Lease: shortLease})
			await(t, "redis is asked", func() bool { return reaches(t, s) })
			what.begin(t, server)
			for range 5 * rounds { // For some leases.
				for range tolerated {
					_, err := s.Join(within(t), participant("CA1"), muted, true)
					wantRefused(t, err, delivery.StateUnavailable)
					ticket := join(t, s, "CA1", muted)
					wantClosed(t, "an update goes on", ticket.Turn)
					ticket.Leave()
				}
				s.probe(t.Context())
			}
			what.relax(t, server)
			await(t, "redis is asked again", func() bool { return reaches(t, s) })
			if logged := book.count("redis cannot be asked"); logged != 1 || !strings.Contains(book.String(), what.cause) {
				t.Errorf("logged %d times, want once, with %s:\n%s", logged, what.cause, book)
			}
			if logged := book.count("redis answers again"); logged != 1 {
				t.Errorf("that it answers was logged %d times, want once:\n%s", logged, book)
			}
		})
	}
}

// TestReplicaThatMayNotListen sees its turns late, and says so once.
func TestReplicaThatMayNotListen(t *testing.T) {
	t.Parallel()
	server := launchPlain(t)
	order(t, server.address(), "ACL", "SETUSER", "default", "-subscribe")
	cfg := Config{URL: "redis://" + server.address(), Lease: shortLease}
	one, book := dialLogged(t, cfg)
	other := dial(t, cfg)
	const deaf = "does not let this replica listen"
	await(t, "it is logged", func() bool { return book.count(deaf) > 0 })
	for range 3 { // Each time, the second is told its turn when it renews.
		first, second := join(t, other, "CA1", muted), join(t, one, "CA1", held)
		first.Leave()
		wantClosed(t, "the second has its turn", second.Turn)
		if err := valid(t, second); err != nil {
			t.Errorf("the turn is not valid: %v", err)
		}
		second.Leave()
		one.telling.Wait()
	}
	if text := book.String(); book.count(deaf) != 1 || strings.Contains(text, "cannot be asked") {
		t.Errorf("logged:\n%s", text)
	}
	order(t, server.address(), "ACL", "SETUSER", "default", "+subscribe")
	await(t, "it listens again", func() bool { return book.count("listen again") == 1 })
}

// TestSlowRedis takes long to answer, though not too long: everything gets
// through, in order.
func TestSlowRedis(t *testing.T) {
	t.Parallel()
	b := startMini(t)
	one, book := dialLogged(t, Config{URL: b.url, Lease: longLease, Timeout: patience, Failure: Closed})
	other := dial(t, Config{URL: b.url, Lease: longLease, Timeout: patience, Failure: Closed})
	const each, latency = 8, 50 * time.Millisecond
	b.server.Server().SetPreHook(func(_ *miniserver.Peer, command string, _ ...string) bool {
		if strings.HasPrefix(command, "EVAL") { // And not what a script calls.
			<-time.After(latency)
		}
		return false
	})
	defer b.server.Server().SetPreHook(nil)
	var line []*delivery.Ticket
	for i := range each {
		line = append(line, joinEvent(t, []*Store{one, other}[i%2], fmt.Sprint("CA", i%2)))
	}
	for i, ticket := range line {
		wantClosed(t, "each has its turn", ticket.Turn)
		if i+2 < len(line) {
			wantOpen(t, "two have their turn", line[i+2].Turn)
		}
		if err := valid(t, ticket); err != nil {
			t.Errorf("the turn is not valid: %v", err)
		}
		ticket.Leave()
	}
	if book.String() != "" {
		t.Errorf("logged:\n%s", book)
	}
}
