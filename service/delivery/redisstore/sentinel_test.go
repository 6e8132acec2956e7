package redisstore

import (
	"strings"
	"testing"

	"conferenced/service/outcome"
)

// watched is a master and its replica, with a sentinel.
type watched struct {
	master, replica *node
	url             string // Names two sentinels, one of which is down.
}

// watch starts them. The replica takes over soon after the master stops to answer.
func watch(t *testing.T) *watched {
	t.Helper()
	w := &watched{master: launchPlain(t, "--repl-diskless-sync-delay", "0")}
	w.replica = launchPlain(t, "--replicaof", "127.0.0.1 "+w.master.port)
	await(t, "the replica is in sync", func() bool {
		return strings.Contains(order(t, w.replica.address(), "INFO", "replication"), "master_link_status:up")
	})
	sentinel := launchSentinel(t, w.master.port)
	await(t, "the sentinel knows the replica", func() bool {
		return strings.Contains(order(t, sentinel.address(), "INFO", "sentinel"), "slaves=1")
	})
	w.url = "redis://127.0.0.1:" + freePort(t) + "?master_set=conferences&addr=" + sentinel.address()
	return w
}

// launchSentinel starts a sentinel with a quorum of one.
func launchSentinel(t *testing.T, masterPort string) *node {
	t.Helper()
	sentinel := launch(t, func(port string) []string {
		return []string{writeFile(t, strings.Join([]string{
			"bind 127.0.0.1", "port " + port, "sentinel monitor conferences 127.0.0.1 " + masterPort + " 1",
			"sentinel down-after-milliseconds conferences 2000", "sentinel failover-timeout conferences 1000", "",
		}, "\n")), "--sentinel"}
	})
	// The default is every few seconds. Old versions do not know the command.
	_, _ = command(t, sentinel.address(), "SENTINEL", "DEBUG", "INFO-PERIOD", "100",
		"PUBLISH-PERIOD", "100", "ELECTION-TIMEOUT", "1000")
	return sentinel
}

// TestFailover: when the master dies, its replica takes over, updates go on there, and
// leases that were replicated still hold.
func TestFailover(t *testing.T) {
	t.Parallel()
	w := watch(t)
	cfg := Config{URL: w.url, Lease: longLease, Timeout: shortLease, Failure: Closed}
	one, other := dial(t, cfg), dial(t, cfg)
	wantShared(t, one, other)
	claimNew(t, one, key("2"))
	first, second := join(t, one, "CA1", muted), join(t, other, "CA1", held)
	order(t, w.master.address(), "WAIT", "1", "0")

	w.master.Kill()
	for _, replica := range []*Store{one, other} {
		await(t, "updates go on", func() bool { return reaches(t, replica) })
	}
	wantBegins(t, "the first", first)
	wantWaits(t, "the second", second)
	finish(first, outcome.Yes)
	send(t, "the second", second)
	wantHeld(t, one, key("2"))
	one.Settle(key("2"), nil)
	await(t, "both listen", func() bool { return one.listens(t) && other.listens(t) })
	wantShared(t, one, other)
}
