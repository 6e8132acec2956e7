// Package delivery delivers updates to Twilio: once, in order, or with an exact
// account of what is not known.
//
// An update first claims its request id, if it has one; an update that was delivered
// before ends there with its first answer. It joins its participant's queue and waits
// until it is the one to be sent. Each attempt needs a permit: a slot of the account's
// limit, and the consent of the account's breaker. An attempt that failed is repeated
// for as long as that can help and does no harm.
package delivery

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"conferenced/service/outcome"
	"conferenced/service/property"
	"conferenced/service/twilio"
)

// Sender makes one attempt, as *twilio.Client does. It asks permit when it has a
// connection, right before it writes, and writes nothing if that returns an error.
type Sender interface {
	UpdateParticipant(
		ctx context.Context, account *twilio.Account, path *twilio.ParticipantPath, change *property.Values,
		permit func() error,
	) (*twilio.Answer, error)
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

	mu        sync.Mutex
	upstreams map[upstreamKey]*upstream
}

// upstreamKey is an account at a host: Twilio limits and fails each by itself.
type upstreamKey struct{ account, host string }

// New returns a deliverer that sends through the sender and remembers in the
// store. The configuration must be valid.
func New(cfg Config, sender Sender, store Store, logger *slog.Logger) *Deliverer {
	return &Deliverer{
		cfg: cfg, sender: sender, store: store, logger: logger, upstreams: map[upstreamKey]*upstream{},
	}
}

// Deliver sends the update and returns Twilio's answer. Every error is an
// *outcome.Error.
//
// It returns when the context ends. An attempt in flight then goes on for the grace,
// and the update's request id and its place in the queue are held until it has ended;
// nothing more is sent. So the update must not be changed afterwards; nor must the
// answer, which other calls with the request id get too.
func (d *Deliverer) Deliver(ctx context.Context, update *Update) (*twilio.Answer, error) {
	id, record, err := d.claim(ctx, update)
	switch {
	case err != nil:
		return nil, err
	case record != nil:
		d.counts.replays.Add(1)
		d.observer.replayed(ctx)
		return record.result(update)
	}
	j, failed := d.start(ctx, update, id)
	if failed != nil {
		return nil, failed
	}
	return j.wait(ctx)
}

// claim claims the update's request id. It returns the record if the update was
// delivered before. An update without a request id has no claim.
func (d *Deliverer) claim(ctx context.Context, update *Update) (*claim, *Record, error) {
	if update.RequestID == "" || d.cfg.Forgetful {
		return nil, nil, nil
	}
	// The letters of a UUID may have any case, RFC 9562, section 4.
	key := Key{Caller: update.Caller, Account: update.Account.SID, RequestID: strings.ToLower(update.RequestID)}
	content := update.content()
	record, err := d.store.Claim(ctx, key, content)
	if err != nil {
		return nil, nil, d.unclaimed(ctx, err)
	}
	return &claim{store: d.store, key: key, content: content}, record, nil
}

// claim is a request id that an update owns; nil: the update has none.
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

// unclaimed returns the outcome of an update that did not get its request id. If
// it waited for the first update with that id, that one may have been applied.
func (d *Deliverer) unclaimed(ctx context.Context, err error) *outcome.Error {
	if isContext(err) {
		return contextError(err, outcome.Maybe)
	}
	failed := outcome.From(err)
	d.observer.refused(ctx, failed.Kind)
	return failed
}

// Wait returns when nothing is on the way any more, or when the context ends.
// Nothing may be delivered after it was called.
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

// upstream returns the upstream of the account. There are as many as accounts are
// configured.
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

// counters count events since the start.
type counters struct {
	updates, attempts, retries, superseded, replays, refused, abandoned atomic.Int64
}

// Stats is what was done since the start, and what is remembered.
type Stats struct {
	// Updates were started, replays not among them.
	Updates int64 `json:"updates"`
	// Attempts were sent to Twilio, Retries are those of them that were not an
	// update's first.
	Attempts int64 `json:"attempts"`
	Retries  int64 `json:"retries"`
	// Superseded updates ended because a newer one took their place.
	Superseded int64 `json:"superseded"`
	// Replays were answered with the first answer to their request id.
	Replays int64 `json:"replays"`
	// Refused updates were not sent: overloaded, or the breaker open.
	Refused int64 `json:"refused"`
	// Abandoned updates were on the way when the one who asked for them left.
	Abandoned int64 `json:"abandoned"`
	Sizes
}

// Stats counts what was done.
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

// Lane is the state of the way to one account at one host.
type Lane struct {
	AccountSID string `json:"account_sid"`
	Host       string `json:"host"`
	// Breaker is `closed`, `open`, `half-open` or `off`.
	Breaker string `json:"breaker"`
	// ConcurrencyLimit is the limit in force; 0: none.
	ConcurrencyLimit int `json:"concurrency_limit"`
	// InFlight attempts are on the way, Waiting updates wait for the limit. They
	// are not counted if there is no limit at all.
	InFlight int `json:"in_flight"`
	Waiting  int `json:"waiting"`
}

// Lanes tells the state of every way that was used so far.
func (d *Deliverer) Lanes() []Lane {
	d.mu.Lock()
	defer d.mu.Unlock()
	lanes := []Lane{}
	for key, u := range d.upstreams {
		state := Lane{AccountSID: key.account, Host: key.host, Breaker: u.breaker.state()}
		state.ConcurrencyLimit, state.InFlight, state.Waiting = u.limiter.load()
		lanes = append(lanes, state)
	}
	slices.SortFunc(lanes, func(a, b Lane) int {
		return cmp.Or(cmp.Compare(a.AccountSID, b.AccountSID), cmp.Compare(a.Host, b.Host))
	})
	return lanes
}
