// Package delivery gets an update to Twilio: once, in order, or with a plain
// account of what is not known.
//
// An update goes through these steps. Its request id, if it has one, is claimed;
// an update that was made before ends here with its first answer. It joins its
// participant's line, and waits until those before it are done or a newer one
// takes its place. Then it is sent, and sent again for as long as that can help
// and does no harm; each attempt waits for the account's limit and passes the
// account's breaker.
package delivery

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"conferenced/service/twilio"
)

// Sender sends an update to Twilio once, as *twilio.Client does.
type Sender interface {
	UpdateParticipant(
		ctx context.Context, account *twilio.Account, path *twilio.ParticipantPath, change *twilio.ParticipantUpdate,
		permit func() error,
	) (*twilio.Answer, error)
}

// Deliverer gets updates to Twilio. It is safe for concurrent use.
type Deliverer struct {
	cfg      Config
	sender   Sender
	store    Store
	logger   *slog.Logger
	observer Observer

	running sync.WaitGroup
	counts  counters

	mu    sync.Mutex
	lanes map[upstream]*lane
}

// upstream is an account at a host: Twilio limits and fails each by itself.
type upstream struct{ account, host string }

// lane is the way to one account at one host.
type lane struct {
	*limiter
	*breaker
}

// New returns a deliverer that sends through the sender and remembers in the
// store. The configuration must be valid.
func New(cfg Config, sender Sender, store Store, logger *slog.Logger) *Deliverer {
	return &Deliverer{
		cfg: cfg, sender: sender, store: store, logger: logger, lanes: map[upstream]*lane{},
	}
}

// Deliver sends the update and returns Twilio's answer. Every error is an
// *Error, which says whether the update was applied all the same.
//
// It returns when the context ends. An attempt that is on the way then goes on
// for the grace, and the update's request id and line are held until it has
// ended; nothing more is sent. So the update must not be changed afterwards; nor
// must the answer, which others with the request id are given too.
func (d *Deliverer) Deliver(ctx context.Context, update *Update) (*twilio.Answer, error) {
	if update.RequestID == "" || d.cfg.Forgetful {
		return d.start(ctx, update, nil)
	}
	return d.deliverOnce(ctx, update)
}

// deliverOnce delivers an update that has a request id, unless it was made before.
func (d *Deliverer) deliverOnce(ctx context.Context, update *Update) (*twilio.Answer, error) {
	key := Key{Caller: update.Caller, Account: update.Account.SID, RequestID: update.RequestID}
	content := update.content()
	record, err := d.store.Claim(ctx, key, content)
	if err != nil {
		d.reportRefusal(ctx, err)
		return nil, unclaimed(err)
	}
	if record != nil {
		d.counts.replays.Add(1)
		d.observer.replayed(ctx)
		return record.result()
	}
	return d.start(ctx, update, &claim{store: d.store, key: key, content: content})
}

// claim is a request id that an update owns. Nil: the update has none.
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

func (c *claim) settle(ctx context.Context, answer *twilio.Answer, err error) {
	if c != nil {
		c.store.Settle(ctx, c.key, recordOf(c.content, answer, err))
	}
}

// unclaimed is the end of an update that did not get its request id. One that
// waited for the first with that id knows nothing of it.
func unclaimed(err error) error {
	if isContext(err) {
		return &Error{Applied: Maybe, Err: err}
	}
	return &Error{Applied: No, Err: err}
}

// reportRefusal tells the observer, if the error is a refusal.
func (d *Deliverer) reportRefusal(ctx context.Context, err error) {
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		d.observer.refused(ctx, refused.Reason)
	}
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

// lane returns the way to the account, which begins to exist when it is first
// used. There are as many as accounts are configured.
func (d *Deliverer) lane(account *twilio.Account) *lane {
	key := upstream{account: account.SID, host: account.BaseURL}
	d.mu.Lock()
	defer d.mu.Unlock()
	if l := d.lanes[key]; l != nil {
		return l
	}
	l := &lane{
		limiter: newLimiter(d.cfg.Limits),
		breaker: newBreaker(d.cfg.Breaking, account, d.logger),
	}
	if l.breaker != nil {
		l.changed = d.observer.breakerChanged
	}
	d.lanes[key] = l
	return l
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
	for key, l := range d.lanes {
		state := Lane{AccountSID: key.account, Host: key.host, Breaker: l.breaker.state()}
		state.ConcurrencyLimit, state.InFlight, state.Waiting = l.limiter.load()
		lanes = append(lanes, state)
	}
	slices.SortFunc(lanes, func(a, b Lane) int {
		return cmp.Or(cmp.Compare(a.AccountSID, b.AccountSID), cmp.Compare(a.Host, b.Host))
	})
	return lanes
}
