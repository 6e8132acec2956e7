package redisstore

import (
	"bufio"
	"io"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	miniserver "github.com/alicebob/miniredis/v2/server"

	"conferenced/service/delivery"
)

// eater is a member that wants as much as the test says.
type eater struct {
	mu       sync.Mutex
	demand   delivery.Demand
	part     int
	fraction float64
	granted  bool
	alone    bool
	wake     func()
}

func (e *eater) Demand() delivery.Demand {
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.demand
	d.Held = e.part
	e.demand.Successes, e.demand.Refused = 0, false
	return d
}

func (e *eater) Grant(concurrency int, fraction float64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.granted, e.alone = true, false
	e.part, e.fraction = concurrency, fraction
}

func (e *eater) Alone() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.alone = true
}

func (e *eater) want(d delivery.Demand) {
	e.mu.Lock()
	e.demand = d
	e.mu.Unlock()
	e.wake()
}

func (e *eater) has(part int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.granted && !e.alone && e.part == part
}

// together is what two members have.
func together(one, other *eater) int {
	sum := 0
	for _, e := range []*eater{one, other} {
		e.mu.Lock()
		sum += e.part
		e.mu.Unlock()
	}
	return sum
}

func (e *eater) isAlone() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.alone
}

func (e *eater) rate() float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.fraction
}

var (
	upstream  = delivery.Upstream{Account: "AC1", Host: "https://twilio.test"}
	tenForAll = delivery.Limits{MaxConcurrency: 10, MinConcurrency: 2}
	much      = delivery.Demand{Wanted: 100}
)

// eat makes the replica a member of those that share the limits.
func eat(s *Store, limits delivery.Limits, wanted delivery.Demand) *eater {
	e := &eater{}
	e.wake, _ = s.Share(upstream, limits, e)
	e.want(wanted)
	return e
}

// eachShared runs a test on whatever replicas share.
func eachShared(t *testing.T, test func(*testing.T, *backend)) {
	t.Helper()
	eachBackend(t, test)
	t.Run("cluster", func(t *testing.T) { test(t, cluster.use(t)) })
}

func TestSharesFollowDemand(t *testing.T) {
	eachShared(t, func(t *testing.T, b *backend) {
		one, other := replicas(t, b, Mixed)
		first := eat(one, tenForAll, much)
		await(t, "all is the first's", func() bool { return first.has(10) })
		second := eat(other, tenForAll, much)
		await(t, "both have a half", func() bool { return first.has(5) && second.has(5) })
		if first.rate()+second.rate() != 1 {
			t.Errorf("the parts of the rate are %v and %v, want 1 in all", first.rate(), second.rate())
		}
		first.want(delivery.Demand{Wanted: 1})
		await(t, "the second has what the first does not want", func() bool { return second.has(9) && first.has(1) })
		first.want(delivery.Demand{})
		await(t, "the second has all", func() bool { return first.has(0) && second.has(10) })
		first.want(much)
		await(t, "both have a half again", func() bool { return first.has(5) && second.has(5) })
	})
}

// TestSomeIsLeftForTheNext: whoever comes does not wait for the others if they
// have more than they want.
func TestSomeIsLeftForTheNext(t *testing.T) {
	eachShared(t, func(t *testing.T, b *backend) {
		one, other := replicas(t, b, Mixed)
		few := delivery.Demand{Wanted: 2}
		first := eat(one, tenForAll, few)
		await(t, "the first has what it wants and half of the rest", func() bool { return first.has(6) })
		if first.rate() != 1 {
			t.Errorf("its part of the rate is %v, want all", first.rate())
		}
		second := eat(other, tenForAll, few)
		await(t, "both have what they want and a third of the rest", func() bool {
			return first.has(4) && second.has(4)
		})
	})
}

// TestRefusalIsEverybodys: a 429 to one lowers the limit of all, once for all
// that were on the way by then, and answers raise it again.
func TestRefusalIsEverybodys(t *testing.T) {
	eachShared(t, func(t *testing.T, b *backend) {
		one, other := replicas(t, b, Mixed)
		first := eat(one, tenForAll, much)
		second := eat(other, tenForAll, much)
		await(t, "both have a half", func() bool { return first.has(5) && second.has(5) })

		refused := much
		refused.Refused = true
		first.want(refused)
		await(t, "both have half as much", func() bool { return together(first, second) == 5 })
		refused.Age = patience
		second.want(refused)
		first.want(delivery.Demand{Wanted: 100, Successes: 5})
		await(t, "there is one more", func() bool { return together(first, second) == 6 })
		await(t, "the least is left", func() bool {
			// Of those that began in the same millisecond, one counts.
			refused.Age = 0
			first.want(refused)
			return first.has(1) && second.has(1)
		})
	})
}

// TestRefusalIsToldAgain: a 429 that was to be told when Redis failed is told by the
// next ask. It halves the limit once, also if Redis had heard it before.
func TestRefusalIsToldAgain(t *testing.T) {
	t.Parallel()
	for name, heard := range map[string]bool{"the ask is lost": false, "the answer is lost": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startMini(t)
			one, other := replicas(t, b, Mixed)
			first, second := eat(one, tenForAll, much), eat(other, tenForAll, much)
			await(t, "both have a half", func() bool { return first.has(5) && second.has(5) })

			told := failOnRefusal(b.server, heard)
			first.want(delivery.Demand{Wanted: 100, Refused: true, Age: patience})
			await(t, "it is told again", func() bool { return told.Load() == 2 })
			await(t, "both have half as much", func() bool {
				return !first.isAlone() && together(first, second) == 5
			})
		})
	}
}

// failOnRefusal lets the first ask fail that tells of a 429, before or after it is
// heard, and counts those that do.
func failOnRefusal(server *miniredis.Miniredis, heard bool) (told *atomic.Int64) {
	told = new(atomic.Int64)
	nobody := miniserver.NewPeer(bufio.NewWriter(io.Discard))
	server.Server().SetPreHook(func(peer *miniserver.Peer, command string, args ...string) bool {
		tells := command == "EVALSHA" && slices.Contains(args, "ask") && args[len(args)-1] != "-1"
		if peer == nobody || !tells || told.Add(1) > 1 {
			return false
		}
		if heard {
			server.Server().Dispatch(nobody, append([]string{command}, args...))
		}
		peer.WriteError("ERR it fails")
		return true
	})
	return told
}

func TestShareOfTheDeadIsFreeAgain(t *testing.T) {
	eachShared(t, func(t *testing.T, b *backend) {
		one, other := replicas(t, b, Mixed)
		first := eat(one, tenForAll, much)
		second := eat(other, tenForAll, much)
		await(t, "both have a half", func() bool { return first.has(5) && second.has(5) })
		one.freeze()
		await(t, "the living has all", func() bool { return second.has(10) })
	})
}

// TestClosedStoreGivesItsShareBack at once: with a lease of a minute, nothing else
// can have given it back.
func TestClosedStoreGivesItsShareBack(t *testing.T) {
	eachShared(t, func(t *testing.T, b *backend) {
		cfg := Config{URL: b.url, Lease: longLease}
		leaving, err := Dial(cfg, testBounds(), quiet)
		if err != nil {
			t.Fatal(err)
		}
		first := eat(leaving, tenForAll, much)
		await(t, "it has all", func() bool { return first.has(10) })
		leaving.Close()
		second := eat(dial(t, cfg), tenForAll, much)
		await(t, "the other has all", func() bool { return second.has(10) })
	})
}

func TestShareWithoutRedis(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s, _ := replicas(t, b, Mixed)
		first := eat(s, tenForAll, much)
		await(t, "it has all", func() bool { return first.has(10) })
		b.stop()
		await(t, "it is on its own", first.isAlone)
		b.start()
		await(t, "it has all", func() bool { return first.has(10) })
	})
}

func TestShareOfARateAlone(t *testing.T) {
	eachShared(t, func(t *testing.T, b *backend) {
		one, other := replicas(t, b, Mixed)
		limits := delivery.Limits{Rate: 10, Burst: 1}
		first, second := eat(one, limits, much), eat(other, limits, much)
		await(t, "both have half of the rate", func() bool {
			return math.Round(100*first.rate()) == 50 && math.Round(100*second.rate()) == 50
		})
	})
}

// TestDeliverersShareALimit: what two deliverers have on the way together is never
// more than one may have.
func TestDeliverersShareALimit(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		const limit, updates = 4, 80
		twilio := &crowd{}
		cfg := delivery.Default()
		cfg.Limits = delivery.Limits{MaxConcurrency: limit, MinConcurrency: 1, Queue: updates}
		var all sync.WaitGroup
		for range 2 {
			s := dial(t, Config{URL: b.url, Lease: longLease, Timeout: patience})
			d := delivery.New(cfg, twilio, s, quiet)
			for n := range updates {
				update := announcement(n)
				update.RequestID = ""
				update.Path.Participant = time.Duration(n).String()
				all.Go(func() {
					if _, err := d.Deliver(within(t), update); err != nil {
						t.Error(err)
					}
				})
			}
		}
		all.Wait()
		if most := twilio.most.Load(); most > limit {
			t.Errorf("%d were on the way at once, want at most %d", most, limit)
		}
	})
}
