package redisstore

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"conferenced/service/delivery"
	"conferenced/service/outcome"
)

// masters starts a cluster of three nodes, each with a third of the slots.
func masters(t *testing.T) []*node {
	t.Helper()
	var all []*node
	for i := range 3 {
		started := launch(t, clusterArgs(t))
		const slots = 16384
		order(t, started.address(), "CLUSTER", "ADDSLOTSRANGE",
			strconv.Itoa(i*slots/3), strconv.Itoa((i+1)*slots/3-1))
		all = append(all, started)
	}
	for _, other := range all[1:] {
		order(t, other.address(), "CLUSTER", "SET-CONFIG-EPOCH", other.port)
		order(t, all[0].address(), "CLUSTER", "MEET", "127.0.0.1", other.port, other.busPort(t))
	}
	for _, each := range all {
		await(t, "the cluster is complete", func() bool {
			info := order(t, each.address(), "CLUSTER", "INFO")
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
		})
	}
	return all
}

// clusterArgs are the arguments of a cluster's node.
func clusterArgs(t *testing.T) func(port string) []string {
	return func(port string) []string {
		return []string{
			"--bind", "127.0.0.1", "--port", port, "--save", "", "--cluster-enabled", "yes",
			"--cluster-port", freePort(t), "--cluster-announce-ip", "127.0.0.1",
		}
	}
}

// busPort is the port for the other nodes.
func (n *node) busPort(t *testing.T) string {
	t.Helper()
	about := order(t, n.address(), "CLUSTER", "MYID")
	for line := range strings.Lines(order(t, n.address(), "CLUSTER", "NODES")) {
		if strings.Contains(line, about) {
			_, after, _ := strings.Cut(line, "@")
			port, _, _ := strings.Cut(after, " ")
			port, _, _ = strings.Cut(port, ",")
			return port
		}
	}
	t.Fatal("a node does not know itself")
	return ""
}

// TestClusterOfThree: conferences are on all of the nodes, and replicas notify each
// other, whichever node they are subscribed to.
func TestClusterOfThree(t *testing.T) {
	t.Parallel()
	nodes := masters(t)
	var replicas []*Store
	for _, first := range nodes {
		s := dial(t, Config{URL: "redis://" + first.address(), Lease: longLease, Timeout: patience})
		await(t, "the replica reaches Redis", func() bool { return reaches(t, s) })
		replicas = append(replicas, s)
	}
	for _, s := range replicas {
		await(t, "the replica listens", func() bool { return s.listensIn(t, nodes) })
	}
	for i := range 12 {
		p := participant("desk")
		p.SID = fmt.Sprint("CF", i)
		wantOneByOne(t, replicas, p)
		claimNew(t, replicas[i%3], key(p.SID))
		wantHeld(t, replicas[i%3], key(p.SID))
		replicas[i%3].Settle(key(p.SID), &delivery.Record{Content: content})
	}
	for _, each := range nodes {
		if order(t, each.address(), "DBSIZE") == "0" {
			t.Error("nothing is on one of the nodes")
		}
	}
}

// wantOneByOne wants the replicas to send one after the other.
func wantOneByOne(t *testing.T, replicas []*Store, p delivery.Participant) {
	t.Helper()
	var queue []delivery.Entry
	for _, s := range replicas {
		e, err := s.Join(within(t), delivery.Queued{Participant: p, Properties: announce})
		if err != nil {
			t.Fatal(err)
		}
		queue = append(queue, e)
	}
	for i, e := range queue {
		wantBegins(t, "the next", e)
		for _, later := range queue[i+1:] {
			wantWaits(t, "another", later)
		}
		finish(e, outcome.Yes)
	}
}

// listensIn reports whether the replica is subscribed at one of the nodes.
func (s *Store) listensIn(t *testing.T, nodes []*node) bool {
	t.Helper()
	for _, each := range nodes {
		if strings.Contains(order(t, each.address(), "PUBSUB", "CHANNELS"), channel(s.replica)) {
			return true
		}
	}
	return false
}
