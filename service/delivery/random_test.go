package delivery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"conferenced/service/outcome"
	"conferenced/service/property"
	"conferenced/service/twilio"
)

// TestRandomly delivers many concurrent updates to a Twilio that fails at random, for
// callers that leave at random, and checks the package's guarantees.
func TestRandomly(t *testing.T) {
	ends := map[string]int{}
	for seed := range uint64(30) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			cfg := Default()
			cfg.Limits = Limits{MaxConcurrency: 12, MinConcurrency: 2, Queue: 40, Rate: 400, Burst: 20}
			cfg.Breaking.Failures, cfg.Breaking.OpenFor = 5, 100*time.Millisecond
			cfg.Bounds.Queue = 8
			with(t, cfg, func(w *world) {
				c := &chaos{world: w, random: rand.New(rand.NewPCG(seed, 1)), busy: map[string]int{}, limit: 12}
				c.run(400)
				c.check()
				for _, a := range c.requests {
					ends[a.end]++
				}
			})
		})
	}
	t.Log(ends)
	for _, end := range []string{
		"ok", "superseded", "deadline", "overloaded", "circuit open", "panicked",
		"400", "429", "501", "504", "lost", "not sent", "answer 200",
	} {
		if ends[end] == 0 {
			t.Errorf("nothing ended with %q", end)
		}
	}
}

// chaos is a Twilio that behaves at random and records the updates that it applied.
type chaos struct {
	*world
	limit int

	mu       sync.Mutex
	random   *rand.Rand
	busy     map[string]int
	inFlight int
	applied  []*property.Values
	requests []*request
}

// request is one delivery and its result.
type request struct {
	update *Update
	end    string
	result outcome.Applied
}

func (c *chaos) run(updates int) {
	c.sender = c
	var callers sync.WaitGroup
	for n := range updates {
		a := &request{update: c.update(n)}
		c.requests = append(c.requests, a)
		ctx, cancel := context.WithTimeout(c.t.Context(), c.upTo(3*time.Second))
		callers.Go(func() {
			defer cancel()
			_, err := c.Deliver(ctx, a.update)
			a.end, a.result = "ok", outcome.Yes
			if err != nil {
				a.end, a.result = cause(err), outcome.From(err).Applied
			}
		})
		synctest.Wait() // So that the order of arrival is known.
		if n%4 == 0 {
			<-time.After(c.upTo(60 * time.Millisecond))
		}
	}
	callers.Wait()
	if err := c.Wait(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

func (c *chaos) update(n int) *Update {
	change := []change{mute, unmute, hold, announce}[c.n(4)]
	u := from(fmt.Sprint("caller ", c.n(3)), on(fmt.Sprint("CA", c.n(20)), change))
	if c.n(2) == 0 {
		u.RequestID = fmt.Sprint("id", n)
	}
	return u
}

func (c *chaos) n(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.IntN(n)
}

func (c *chaos) upTo(d time.Duration) time.Duration { return time.Duration(c.n(int(d))) + 1 }

// Do applies the update or not, and answers or not.
func (c *chaos) Do(
	ctx context.Context, _ *twilio.Account, r *twilio.Request, permit func() error,
) (*twilio.Answer, error) {
	if err := permit(); err != nil {
		return nil, &twilio.TransportError{Err: err}
	}
	c.arrive(r.Path.Participant)
	defer c.depart(r.Path.Participant)
	fate := c.n(20)
	if fate == 0 {
		panic("at random")
	}
	if fate < 14 && fate%4 != 0 {
		defer c.apply(r.Change)
	}
	select {
	case <-time.After(c.upTo(100 * time.Millisecond)):
		return c.answer(fate)
	case <-ctx.Done():
		return nil, &twilio.TransportError{Sent: true, Err: ctx.Err()}
	}
}

// answer returns an answer that is consistent with the fate: updates with fates below
// 14 that are not multiples of 4 were applied.
func (c *chaos) answer(fate int) (*twilio.Answer, error) {
	switch fate {
	case 1, 4:
		return nil, status(500 + fate)
	case 2, 8:
		return nil, errNoAnswer
	case 3:
		return nil, unreadable(200)
	case 12, 14:
		return nil, errNotSent
	case 15, 16:
		return nil, status(400)
	case 17, 18, 19:
		return nil, status(429)
	default:
		return &twilio.Answer{HTTPStatus: 200}, nil
	}
}

func (c *chaos) arrive(participant string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy[participant]++
	c.inFlight++
	if c.busy[participant] > 1 || c.inFlight > c.limit {
		c.t.Errorf("%d in flight for %s, %d in all", c.busy[participant], participant, c.inFlight)
	}
}

func (c *chaos) depart(participant string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy[participant]--
	c.inFlight--
}

func (c *chaos) apply(u *property.Values) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.applied = append(c.applied, u)
}

// check compares the results that callers got with the updates that were applied.
func (c *chaos) check() {
	c.t.Helper()
	times, last := map[*property.Values]int{}, map[*property.Values]int{}
	for i, u := range c.applied {
		times[u]++
		last[u] = i
	}
	latest := map[string]*request{} // Applied, by participant and property.
	for _, a := range c.requests {
		n := times[a.update.Change]
		switch {
		case a.result == outcome.Yes && n == 0:
			c.t.Errorf("%s: reported as applied, and it was not", a.end)
		case a.result == outcome.No && n > 0:
			c.t.Errorf("%s: reported as not applied, and it was", a.end)
		case !a.update.Repeatable() && n > 1:
			c.t.Errorf("%s: an announcement was played %d times", a.end, n)
		}
		if n == 0 || !a.update.Repeatable() {
			continue
		}
		key := fmt.Sprint(a.update.Path.Participant, a.update.Change.Set())
		if older := latest[key]; older != nil && last[older.update.Change] > last[a.update.Change] {
			c.t.Errorf("%s: an older update of %s was applied after a newer one", older.end, key)
		}
		latest[key] = a
	}
}
