// Package delivery delivers updates to Twilio once and in order, and reports whether
// an update was applied, was not, or may have been.
//
// An update first claims its request ID, if it has one. If an update with that ID has
// ended before, its result is returned. Otherwise the update joins its participant's
// queue and waits until it is chosen. Each attempt needs a permit: a slot of the
// account's concurrency limit, and a closed breaker. A failed attempt is retried if a
// retry can succeed and cannot do harm.
package delivery

import (
	"cmp"
	"context"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"conferenced/service/outcome"
	"conferenced/service/sids"
	"conferenced/service/twilio"
)

// Sender makes one attempt, as *twilio.Client does. It calls permit when it has a
// connection, right before it writes the request, and writes nothing if permit
// returns an error.
type Sender interface {
	Do(ctx context.Context, account *twilio.Account, request *twilio.Request, permit func() error) (*twilio.Answer, error)
}

// Deliverer delivers updates to Twilio. It is safe for concurrent use.
type Deliverer struct {
	cfg      Config
	sender   Sender
	store    Store
	logger   *slog.Logger
	observer Observer

	running sync.WaitGroup
	counts  counters

	arrivals *arrivals
	watches  *watches

	mu        sync.Mutex
	upstreams map[upstreamKey]*upstream
}

// upstreamKey is an account at a host. Each has limits and a breaker of its own.
type upstreamKey struct{ account, host string }

// New returns a Deliverer that sends with sender and keeps its state in store. cfg
// must be valid.
func New(cfg Config, sender Sender, store Store, logger *slog.Logger) *Deliverer {
	d := &Deliverer{
		cfg: cfg, sender: sender, store: store, logger: logger, upstreams: map[upstreamKey]*upstream{},
		arrivals: &arrivals{capacity: cfg.Bounds.Queue, byID: map[Participant][]*arrival{}},
	}
	if cfg.Unordered {
		d.arrivals.capacity = math.MaxInt
	}
	d.watches = &watches{panicked: d.panicked, byID: map[Conference]*watch{}}
	return d
}

// Deliver sends the update and returns Twilio's answer. Every error is an
// *outcome.Error. It replaces a name of the conference in the update's path by the SID,
// after it has claimed the request ID, so an answer that is kept for the request ID does
// not depend on the conference that has the name later.
//
// Deliver returns at the latest when the context ends. An attempt in flight then
// continues for the grace period, and the update keeps its request ID and its
// position in the queue until that attempt ends. No further attempt is made. The
// update must therefore not be changed afterwards. The answer must not be changed
// either: other calls with the request ID get the same one.
func (d *Deliverer) Deliver(ctx context.Context, update *Update) (*twilio.Answer, error) {
	d.identify(ctx, &update.Request)
	defer d.identify(ctx, &update.Request)
	j := &job{
		d: d, update: update, claim: d.newClaim(update), upstream: d.upstream(update.Account), done: make(chan struct{}),
	}
	enter := j.enter
	if update.Group != nil {
		update.Group.bulk.running.Add(1)
		defer update.Group.bulk.running.Done()
		enter = j.enterGroup
	}
	record, err := enter(ctx)
	switch {
	case err != nil:
		return nil, j.notEntered(ctx, err)
	case record != nil:
		d.counts.replays.Add(1)
		d.observer.replayed(ctx)
		return record.result(update)
	}
	j.start(ctx)
	return j.wait(ctx)
}

// identify reports the Call SID of a participant that the request names by its label,
// if it is known.
func (d *Deliverer) identify(ctx context.Context, request *twilio.Request) {
	if sids.IsCall(request.Path.Participant) {
		return
	}
	if sid := d.store.CallSID(participantOf(&request.Path)); sid != "" {
		d.observer.identified(ctx, sid)
	}
}

// newClaim returns the update's request ID, or nil if it has none.
func (d *Deliverer) newClaim(update *Update) *claim {
	if update.RequestID == "" || d.cfg.IgnoreRequestIDs {
		return nil
	}
	if update.Group != nil {
		key := Key{Caller: update.Caller, Account: update.Account.SID, RequestID: derive(update.Group.bulk.id, update.Path.Participant)}
		return &claim{store: d.store, key: key, content: update.content()}
	}
	// The letters of a UUID may have any case, RFC 9562, section 4.
	key := Key{Caller: update.Caller, Account: update.Account.SID, RequestID: strings.ToLower(update.RequestID)}
	return &claim{store: d.store, key: key, content: update.content()}
}

// claim is the request ID of an update, which owns it once it has entered its queue. nil
// means that the update has no request ID.
type claim struct {
	store   Store
	key     Key
	content Content
}

func (c *claim) hold(ctx context.Context) error {
	if c == nil {
		return nil
	}
	return c.store.Hold(ctx, c.key)
}

func (c *claim) settle(answer *twilio.Answer, err *outcome.Error) {
	if c != nil {
		c.store.Settle(c.key, recordOf(c.content, answer, err))
	}
}

// Wait returns when no delivery is in progress, or when the context ends. Deliver
// must not be called after Wait.
func (d *Deliverer) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.running.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// upstream returns the upstream of the account, and creates it on first use. The
// number of upstreams is bounded by the number of configured accounts.
func (d *Deliverer) upstream(account *twilio.Account) *upstream {
	key := upstreamKey{account: account.SID, host: account.BaseURL}
	d.mu.Lock()
	defer d.mu.Unlock()
	if known := d.upstreams[key]; known != nil {
		return known
	}
	u := &upstream{
		limiter: newLimiter(d.cfg.Limits),
		breaker: newBreaker(d.cfg.Breaking, account, d.logger),
	}
	if u.breaker != nil {
		u.changed = d.observer.breakerChanged
	}
	d.upstreams[key] = u
	return u
}

// counters counts events since the start.
type counters struct {
	updates, attempts, retries, superseded, replays, refused, abandoned atomic.Int64
}

// Stats counts the events since the start and the state that is kept.
type Stats struct {
	// Updates is the number of updates that joined a queue. It does not include replays.
	Updates int64 `json:"updates"`
	// Attempts is the number of attempts; Retries is how many of them were not an
	// update's first.
	Attempts int64 `json:"attempts"`
	Retries  int64 `json:"retries"`
	// Superseded is the number of updates that ended because a newer one was sent
	// instead.
	Superseded int64 `json:"superseded"`
	// Replays is the number of updates that got the first answer for their request ID.
	Replays int64 `json:"replays"`
	// Refused is the number of updates that this package refused, see Refusals, apart
	// from the superseded ones.
	Refused int64 `json:"refused"`
	// Abandoned is the number of updates that were in flight when their caller left.
	Abandoned int64 `json:"abandoned"`
	Sizes
}

// Stats returns the current counts.
func (d *Deliverer) Stats() Stats {
	return Stats{
		Updates:    d.counts.updates.Load(),
		Attempts:   d.counts.attempts.Load(),
		Retries:    d.counts.retries.Load(),
		Superseded: d.counts.superseded.Load(),
		Replays:    d.counts.replays.Load(),
		Refused:    d.counts.refused.Load(),
		Abandoned:  d.counts.abandoned.Load(),
		Sizes:      d.store.Sizes(),
	}
}

// UpstreamState is the state of the limiter and the breaker of one account at one
// host.
type UpstreamState struct {
	AccountSID string `json:"account_sid"`
	Host       string `json:"host"`
	// Breaker is `closed`, `open`, `half-open` or `off`.
	Breaker string `json:"breaker"`
	// ConcurrencyLimit is the limit in force; 0 means no limit.
	ConcurrencyLimit int `json:"concurrency_limit"`
	// InFlight is the number of attempts in flight, Waiting the number of updates that
	// wait for the limits. Both are 0 if nothing is limited.
	InFlight int `json:"in_flight"`
	Waiting  int `json:"waiting"`
	// ConcurrentRequests is how many requests of the account were running, by all its
	// users, as Twilio's last answer to this replica says; 0 if it never said so.
	ConcurrentRequests int `json:"concurrent_requests"`
}

// Upstreams returns the state of every upstream used so far, sorted by account and
// host. It is never nil.
func (d *Deliverer) Upstreams() []UpstreamState {
	d.mu.Lock()
	defer d.mu.Unlock()
	states := []UpstreamState{}
	for key, u := range d.upstreams {
		state := UpstreamState{AccountSID: key.account, Host: key.host, Breaker: u.breaker.state()}
		state.ConcurrencyLimit, state.InFlight, state.Waiting = u.limiter.load()
		state.ConcurrentRequests = int(u.concurrent.Load())
		states = append(states, state)
	}
	slices.SortFunc(states, func(a, b UpstreamState) int {
		return cmp.Or(cmp.Compare(a.AccountSID, b.AccountSID), cmp.Compare(a.Host, b.Host))
	})
	return states
}
