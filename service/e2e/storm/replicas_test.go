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
	"conferenced/service/leaktest"
)

// replicaCount is the number of servers that share one Redis.
const replicaCount = 3

// TestStormReplicas is TestStorm with three replicas. The guarantees must hold across
// replicas.
func TestStormReplicas(t *testing.T) {
	calls := *callsFlag / 4
	slow := calls / 2 // miniredis is slower than Redis.
	total := newReport()
	t.Run("miniredis", func(t *testing.T) {
		mini := redistest.StartMini(t)
		// With protocol 2, rueidis leaves the subscribed connection open if the other one
		// has broken. The server's end ends it.
		stormReplicas(t, total, mini.URL, slow, nil, mini.Close)
	})
	t.Run("redis", func(t *testing.T) {
		stormReplicas(t, total, newRedis(t).URL, calls, nil, func() {})
	})
	for _, failure := range []redisstore.Failure{redisstore.Closed, redisstore.Mixed} {
		t.Run("redis that is killed, "+string(failure), func(t *testing.T) {
			redis := newRedis(t)
			redis.failure = failure
			stormReplicas(t, total, redis.URL, 2*calls, redis, func() {})
		})
	}
	total.print(t, "three replicas")
}

// TestStormIndependentReplicas runs the storm on three replicas without Redis, and
// expects the violations that sharing prevents.
func TestStormIndependentReplicas(t *testing.T) {
	s := stormSetup(profiles[0], waitTimeout)
	s.replicas = replicaCount
	findViolations(t, "three independent replicas", []rule{playedOnce, oneAtATime},
		func(seed uint64) (*history, *upstream) { return stormWithoutDeadlines(t, s, seed) })
}

// stormReplicas is stormOnce for replicas. If killed is set, that Redis is killed and
// restarted during the storm. end is called before the check for leaks.
func stormReplicas(t *testing.T, total *report, url string, calls int, killed *redis, end func()) {
	ignored := goleak.IgnoreCurrent()
	s := stormSetup(profiles[0], longRetention)
	s.replicas = replicaCount
	s.redis = redisstore.Config{URL: url, Failure: redisstore.Closed, Lease: 5 * time.Second, Timeout: 4 * time.Second}
	if killed != nil {
		s.redis.Failure = killed.failure
	}
	seed := firstSeed()
	up := newUpstream(t, newFaultCycle(rand.New(rand.NewPCG(seed, 0))))
	w := newWorld(t, s, up)
	storm := newStorm(t, up, seed, w.send)
	storm.guests = &guests{world: w}
	storm.learnLabels(t)
	outages := make(chan *outage, 1)
	if killed != nil {
		go func() { outages <- killed.killWhile(t, storm, int64(calls)) }()
	} else {
		outages <- nil
	}
	storm.run(t, calls)
	outage := <-outages
	stats := w.await(t, "all state expires after the retention", expired).Delivery
	w.close(t)

	h := storm.history(s.bounds())
	h.outage = outage
	v := examine(h)
	v.require(t)
	if outage != nil && outage.continues && v.exempt == 0 {
		t.Error("no update was sent in the outage")
	}
	total.add(fmt.Sprint(seed), h, v)
	total.addUpstream(up)
	total.addStats(stats)
	end()
	leaktest.Check(t, ignored, redistest.Delays)
}

// redis is a Redis server that persists every write, so that it loses nothing when it
// is killed.
type redis struct {
	*redistest.Server
	failure redisstore.Failure // The configured behaviour while Redis is down.
}

func newRedis(t *testing.T) *redis {
	t.Helper()
	return &redis{Server: redistest.StartServer(t, "--save", "", "--appendonly", "yes", "--appendfsync", "always")}
}

// killWhile kills Redis after a third of the calls, and starts it again after two
// thirds.
func (r *redis) killWhile(t *testing.T, s *storm, calls int64) *outage {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for s.left.Load() > 2*calls/3 || s.left.Load() == 0 {
		<-ticker.C
	}
	o := &outage{from: time.Now(), continues: r.failure == redisstore.Mixed}
	r.Kill()
	o.downFrom = time.Now()
	for s.left.Load() > calls/3 {
		<-ticker.C
	}
	o.downTo = time.Now()
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

// announce sends announcements to the connection's replica until one is played, which
// requires Redis.
func (s *storm) announce(t *testing.T, script *script, conn int) {
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
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
	t.Error("no announcement was played after the outage")
}
