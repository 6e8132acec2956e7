package delivery

import (
	"testing"
	"time"
)

// pool is a store whose others say nothing by themselves.
type pool struct {
	Store
	member Member
	woken  int
}

func (p *pool) Share(_ Upstream, _ Limits, member Member) (wake func(), shared bool) {
	p.member = member
	return func() { p.woken++ }, true
}

// withPool runs a test of a limiter that shares.
func withPool(t *testing.T, limits Limits, test func(*gate, *pool)) {
	t.Helper()
	withGate(t, limits, func(g *gate) {
		p := &pool{}
		g.share(p, Upstream{})
		test(g, p)
	})
}

func (p *pool) wantDemand(t *testing.T, want Demand) {
	t.Helper()
	if got := p.member.Demand(); got != want {
		t.Errorf("the demand is %+v, want %+v", got, want)
	}
}

func (p *pool) wantWoken(t *testing.T, want int) {
	t.Helper()
	if p.woken != want {
		t.Errorf("it asked %d times, want %d", p.woken, want)
	}
}

func TestSharedLimitIsWhatIsGranted(t *testing.T) {
	withPool(t, Limits{MaxConcurrency: 8, MinConcurrency: 1, Queue: 10}, func(g *gate, p *pool) {
		visits := g.enterAll(3, "a")
		g.want(0, 0, 3)
		p.wantWoken(t, 3)
		p.wantDemand(t, Demand{Wanted: 3})
		p.member.Grant(2, 1)
		g.want(2, 2, 1)
		p.wantDemand(t, Demand{Held: 2, Wanted: 3})
		p.member.Grant(1, 1)
		g.leave(visits[0])
		g.want(1, 1, 1)
		p.member.Grant(3, 1)
		g.want(3, 2, 0)
		visits = append(visits, g.enter(g.t.Context(), "a"))
		p.wantWoken(t, 3)
		for _, v := range visits[1:] {
			g.leave(v)
		}
		p.wantDemand(t, Demand{Held: 3, Wanted: 3, Successes: 3})
		p.wantDemand(t, Demand{Held: 3})
	})
}

// TestRefusalIsToldToOthers: the member does not decide by itself what follows.
func TestRefusalIsToldToOthers(t *testing.T) {
	withPool(t, Limits{MaxConcurrency: 8, MinConcurrency: 1, Queue: 10}, func(g *gate, p *pool) {
		p.member.Grant(8, 1)
		v := g.enter(g.t.Context(), "a")
		g.pass(3 * time.Second)
		g.refuse(v)
		g.want(8, 0, 0)
		p.wantWoken(t, 1)
		p.wantDemand(t, Demand{Held: 8, Wanted: 1, Refused: true, Age: 3 * time.Second})
		p.wantDemand(t, Demand{Held: 8})
	})
}

// TestLatestRefusalIsTold: an attempt that began earlier and was refused later does
// not hide one that began after the limit was last halved.
func TestLatestRefusalIsTold(t *testing.T) {
	withPool(t, Limits{MaxConcurrency: 8, MinConcurrency: 1, Queue: 10}, func(g *gate, p *pool) {
		p.member.Grant(8, 1)
		slow := g.enter(g.t.Context(), "a")
		g.pass(3 * time.Second)
		quick := g.enter(g.t.Context(), "a")
		g.pass(time.Second)
		g.refuse(quick)
		g.refuse(slow)
		p.wantDemand(t, Demand{Held: 8, Wanted: 2, Refused: true, Age: time.Second})
	})
}

func TestSharedRateIsAFraction(t *testing.T) {
	withPool(t, Limits{Rate: 10, Burst: 4, Queue: 10}, func(g *gate, p *pool) {
		p.member.Grant(100, 0.5)
		g.pass(time.Minute)
		first := g.enterAll(2, "a")
		next := g.enter(g.t.Context(), "a")
		g.want(0, 2, 1)
		g.pass(199 * time.Millisecond)
		g.want(0, 2, 1)
		g.pass(time.Millisecond)
		g.want(0, 3, 0)
		for _, v := range append(first, next) {
			g.leave(v)
		}
	})
}

// TestAlone: without the others, the member keeps what it had, or all, and adapts
// by itself.
func TestAlone(t *testing.T) {
	limits := Limits{MaxConcurrency: 8, MinConcurrency: 1, Queue: 10}
	for _, test := range []struct {
		name    string
		granted []int
		want    int
	}{
		{"nothing granted", nil, 8},
		{"some granted", []int{4}, 4},
		{"some granted and given back", []int{4, 0}, 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			withPool(t, limits, func(g *gate, p *pool) {
				for _, part := range test.granted {
					p.member.Grant(part, 1)
				}
				p.member.Alone()
				g.want(test.want, 0, 0)
				g.pass(time.Second)
				g.refuse(g.enter(g.t.Context(), "a"))
				g.want(test.want/2, 0, 0)
				p.member.Alone()
				g.want(test.want/2, 0, 0)
				p.member.Grant(3, 1)
				g.want(3, 0, 0)
			})
		})
	}
}

// TestRefusalOfOneAloneIsToldToOthers once they can be asked again. Successes are not.
func TestRefusalOfOneAloneIsToldToOthers(t *testing.T) {
	withPool(t, Limits{MaxConcurrency: 8, MinConcurrency: 1, Queue: 10}, func(g *gate, p *pool) {
		p.member.Grant(2, 1)
		p.member.Alone()
		refused, answered := g.enter(g.t.Context(), "a"), g.enter(g.t.Context(), "a")
		g.pass(time.Second)
		g.leave(answered)
		g.refuse(refused)
		g.want(1, 0, 0)
		p.wantDemand(t, Demand{Held: 1, Wanted: 2, Refused: true, Age: time.Second})
	})
}

// TestRefusalThatOthersDidNotHear halves the limit of the one who got it, once.
func TestRefusalThatOthersDidNotHear(t *testing.T) {
	demand := func(_ *gate, p *pool) { p.member.Demand() }
	grant := func(_ *gate, p *pool) { p.member.Grant(8, 1) }
	refuse := func(g *gate, _ *pool) {
		v := g.enter(g.t.Context(), "a")
		g.pass(time.Second)
		g.refuse(v)
	}
	for _, test := range []struct {
		name  string
		steps []func(*gate, *pool)
		want  int
	}{
		{"it was to be told", []func(*gate, *pool){refuse, demand}, 4},
		{"it came while they were asked", []func(*gate, *pool){demand, refuse}, 4},
		{"one was to be told and another came", []func(*gate, *pool){refuse, demand, refuse}, 4},
		{"it was heard", []func(*gate, *pool){refuse, demand, grant, demand}, 8},
	} {
		t.Run(test.name, func(t *testing.T) {
			withPool(t, Limits{MaxConcurrency: 8, MinConcurrency: 1, Queue: 10}, func(g *gate, p *pool) {
				grant(g, p)
				for _, step := range test.steps {
					step(g, p)
				}
				p.member.Alone()
				g.want(test.want, 0, 0)
				p.member.Demand()
				p.member.Alone()
				g.want(test.want, 0, 0)
			})
		})
	}
}

func TestAloneWithoutALimitOfConcurrency(t *testing.T) {
	withPool(t, Limits{Rate: 100, Burst: 10, Queue: 10}, func(g *gate, p *pool) {
		p.member.Alone()
		v := g.enter(g.t.Context(), "a")
		p.wantDemand(t, Demand{Held: 1, Wanted: 1})
		g.leave(v)
	})
}

// TestNothingToShare: neither a store in memory nor a limiter without limits asks.
func TestNothingToShare(t *testing.T) {
	withGate(t, Limits{MaxConcurrency: 8, MinConcurrency: 1}, func(g *gate) {
		g.share(NewMemory(Bounds{}), Upstream{})
		g.want(8, 0, 0)
	})
	withPool(t, Limits{}, func(_ *gate, p *pool) {
		if p.member != nil {
			t.Error("without limits, it shares")
		}
	})
}
