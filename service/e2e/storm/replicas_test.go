package storm_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"go.uber.org/goleak"

	"conferenced/service/delivery/redisstore"
	"conferenced/service/delivery/redisstore/redistest"
)

// replicaCount is how many servers share one Redis.
const replicaCount = 3

// TestStormReplicas lets callers of three replicas through the storm: what holds
// for one must hold for all together.
func TestStormReplicas(t *testing.T) {
	calls := *callsFlag / 4
	slow := calls / 2 // The imitation of Redis is.
	total := newReport()
	t.Run("miniredis", func(t *testing.T) {
		stormReplicas(t, total, redistest.StartMini(t).URL, slow, nil)
	})
	t.Run("redis", func(t *testing.T) {
		stormReplicas(t, total, newRedis(t).URL, calls, nil)
	})
	for _, failure := range []redisstore.Failure{redisstore.Closed, redisstore.Mixed} {
		t.Run("redis that is killed, "+string(failure), func(t *testing.T) {
			redis := newRedis(t)
			redis.failure = failure
			stormReplicas(t, total, redis.URL, 2*calls, redis)
		})
	}
	total.print(t, "three replicas")
}

// TestStormReplicasApart lets callers of three replicas that share nothing through
// the storm. What the checks find there is what sharing is for.
func TestStormReplicasApart(t *testing.T) {
	const calls = 600
	s := stormSetup(profiles[0], patience)
	s.replicas = replicaCount
	seed := firstSeed()
	up := newUpstream(t, newDeck(rand.New(rand.NewPCG(seed, 0))))
	w := newWorld(t, s, up)
	storm := newStorm(t, up, seed, w.send)
	storm.patient = true
	storm.rage(t, calls)
	w.await(t, "nothing is on the way", idle)
	w.close(t)
	h := storm.history(s.bounds())
	v := examine(h)
	seen := newReport()
	seen.add(fmt.Sprint(seed), h, v)
	seen.addUpstream(up)
	seen.print(t, "three replicas apart")
	for _, rule := range []rule{playedOnce, oneAtATime} {
		if len(v.broken[rule]) == 0 {
			t.Errorf("not found: %s", rule)
		}
	}
}

// stormReplicas is stormOnce for replicas. A Redis that is given is killed while
// the storm rages.
func stormReplicas(t *testing.T, total *report, url string, calls int, killed *redis) {
	ignored := goleak.IgnoreCurrent()
	s := stormSetup(profiles[0], longRetention)
	s.replicas = replicaCount
	s.redis = redisstore.Config{URL: url, Failure: redisstore.Closed, Lease: 5 * time.Second, Timeout: 4 * time.Second}
	if killed != nil {
		s.redis.Failure = killed.failure
	}
	seed := firstSeed()
	up := newUpstream(t, newDeck(rand.New(rand.NewPCG(seed, 0))))
	w := newWorld(t, s, up)
	storm := newStorm(t, up, seed, w.send)
	storm.introduce(t)
	outages := make(chan *outage, 1)
	if killed != nil {
		go func() { outages <- killed.killWhile(t, storm, int64(calls)) }()
	} else {
		outages <- nil
	}
	storm.rage(t, calls)
	outage := <-outages
	stats := w.await(t, "everything is forgotten after the retention", forgotten).Delivery
	w.close(t)

	h := storm.history(s.bounds())
	h.outage = outage
	v := examine(h)
	v.require(t)
	if outage != nil && outage.goesOn && v.relaxed == 0 {
		t.Error("nothing went on in the outage")
	}
	total.add(fmt.Sprint(seed), h, v)
	total.addUpstream(up)
	total.addStats(stats)
	goleak.VerifyNone(t, ignored, redistest.Delays)
}

// redis is a real one, which keeps what it was told when it is killed.
type redis struct {
	*redistest.Server
	failure redisstore.Failure // What becomes of updates while it is killed.
}

func newRedis(t *testing.T) *redis {
	t.Helper()
	return &redis{Server: redistest.StartServer(t, "--save", "", "--appendonly", "yes", "--appendfsync", "always")}
}

// killWhile kills Redis when a third of the calls have been made, and starts it
// again when two thirds have.
func (r *redis) killWhile(t *testing.T, s *storm, calls int64) *outage {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for s.left.Load() > 2*calls/3 || s.left.Load() == 0 {
		<-ticker.C
	}
	o := &outage{from: time.Now(), goesOn: r.failure == redisstore.Mixed}
	r.Kill()
	o.dead = time.Now()
	for s.left.Load() > calls/3 {
		<-ticker.C
	}
	o.alive = time.Now()
	if err := r.Start(); err != nil {
		t.Error(err)
	}
	script := s.script(1<<32, 0)
	for conn := range connections {
		s.announce(t, script, conn)
	}
	o.to = time.Now()
	return o
}

// announce asks the replica of a connection for announcements until one is played,
// which takes what replicas share.
func (s *storm) announce(t *testing.T, script *script, conn int) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for ctx.Err() == nil {
		u := script.next()
		if !u.announces() {
			continue
		}
		c := &call{update: u, conn: conn}
		s.make(t, c)
		if c.answer.ok() {
			return
		}
	}
	t.Error("no announcement is played any more")
}
