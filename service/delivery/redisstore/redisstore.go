// Package redisstore is a delivery.Store in Redis, for replicas that share their state:
// each of them sees what another has learned, and the updates of a participant are sent
// one at a time, by the rule of package delivery, whichever replica has received them.
//
// A replica holds its updates' places in queues and its request ids by leases, which it
// renews. When a replica dies, its leases end and others go on. Before each attempt
// Redis chooses which update is sent, so a replica that was stopped for a while does not
// send what another has overtaken. A request id whose owner died after it may have sent
// the update does not become free: the outcome of that update is unknown, and its later
// callers get that answer.
//
// Every change is one script on keys of one hash slot, so Redis may be a cluster. Labels
// and records are bounded by their age, not by their number, and Redis should not evict.
// Its user needs no more than this; cluster|slots is for clusters and role for sentinels:
//
//	user conferenced on >PASSWORD ~conferenced:* &conferenced:* +eval +evalsha +time +get +set +del +pexpire +pttl +hset +hmget +publish +subscribe +unsubscribe +ping +select +cluster|slots +role
//
// # Loss of data
//
// Redis loses data by FLUSHALL, by a restart without persistence, and by a failover to a
// server that lags behind. What is promised then:
//
//   - An update in a queue, or with a request id, that Redis has lost before an attempt
//     of it is not sent in reliance on that: it ends StateUnavailable, or goes on in a
//     queue of its process as without Redis.
//   - An update with a request id that may have been sent keeps it, if all data of its
//     bucket is lost: its owner restores it when it renews its leases or knows the
//     outcome. For one lease after the loss was noticed, no replica that has reached
//     Redis before the loss claims a request id that nobody owns; such a call waits, or
//     ends StateUnavailable if its deadline is earlier.
//
// Not promised: that a request id still has its record, if that was kept before the loss;
// that the claim of a replica that has died, or does not reach Redis within the lease, is
// restored; that a replica that reaches Redis for the first time between the loss and the
// restoration, at most two fifths of a lease later, waits; and that a failover that loses
// only the latest writes is noticed by others before the owner has restored its claim.
package redisstore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"conferenced/service/delivery"
	"conferenced/service/outcome"
)

// Store is a delivery.Store in Redis. It is safe for concurrent use.
type Store struct {
	cfg    Config
	bounds delivery.Bounds
	logger *slog.Logger
	redis  *client
	// queueScript and claimsScript are the versions of this replica.
	queueScript, claimsScript *script
	// local has the updates and request ids that go on without Redis.
	local *delivery.Memory
	// replica identifies this process among the replicas.
	replica string
	fresh   time.Duration
	lastID  atomic.Uint64

	stop       context.CancelFunc
	loops      sync.WaitGroup
	background sync.WaitGroup // Requests that nothing waits for but Close.

	mu      sync.Mutex
	entries map[string]*entry
	claims  map[delivery.Key]*claim
	markers [buckets]marker
	pending []pending
	// renewed is when the leases were last renewed, and woke when this process last
	// ran again after it had been stopped.
	renewed, woke time.Time
}

// Dial returns a store that shares its state through Redis. The configuration and
// the bounds must be valid. A Redis that cannot be reached is no error: Dial's store
// keeps trying, and the configuration says which updates go on meanwhile.
func Dial(cfg Config, bounds delivery.Bounds, logger *slog.Logger) (*Store, error) {
	s, err := newStore(cfg.withDefaults(), bounds, logger)
	if err != nil {
		return nil, err
	}
	s.start()
	return s, nil
}

func newStore(cfg Config, bounds delivery.Bounds, logger *slog.Logger) (*Store, error) {
	options, err := cfg.options()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &Store{
		cfg: cfg, bounds: bounds, logger: logger,
		redis: &client{
			cfg: cfg, options: options, logger: logger, current: State{Since: now},
			observer: delivery.StoreObserver{
				Requested: func(delivery.StoreOperation, delivery.StoreResult, time.Duration) {},
				LeaseLost: func(delivery.StoreLease) {},
				Separated: func() {},
			},
		},
		queueScript: queueScript, claimsScript: claimsScript,
		local:   delivery.NewMemory(bounds),
		replica: randomID(),
		fresh:   min(fresh, cfg.Lease/rounds),
		entries: map[string]*entry{},
		claims:  map[delivery.Key]*claim{},
		renewed: now,
	}, nil
}

// start connects, and begins to renew leases and to listen.
func (s *Store) start() {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.redis.connect()
	s.loops.Go(func() { s.renewLeases(ctx) })
	s.loops.Go(func() { s.listen(ctx) })
}

// Observe sets the observer. It must be called before the store is used, if at all.
func (s *Store) Observe(observer delivery.StoreObserver) { s.redis.observer = observer }

// State says whether Redis answers.
func (s *Store) State() State { return s.redis.state() }

// Close waits for the requests in the background, and ends the connections. Leases that
// are still held are not renewed any more. The store must not be used after Close was
// called.
func (s *Store) Close() {
	s.stop()
	s.loops.Wait()
	s.background.Wait()
	s.redis.close()
}

func randomID() string {
	var random [8]byte
	_, _ = rand.Read(random[:]) // It never fails.
	return hex.EncodeToString(random[:])
}

// newID identifies an update in a queue, or a claim, of this replica.
func (s *Store) newID() string {
	return s.replica + "-" + strconv.FormatUint(s.lastID.Add(1), 36)
}

// goesOn reports whether an update is sent while Redis cannot be reached.
func (s *Store) goesOn(announces bool) bool {
	return s.cfg.Failure == Open || s.cfg.Failure == Mixed && !announces
}

// unavailable is the error of an update that must not be sent without Redis.
func unavailable() error { return outcome.StateUnavailable.Err(outcome.Facts{}) }

// CallSID implements delivery.Store, with the labels that this replica has seen.
func (s *Store) CallSID(name delivery.Participant) string { return s.local.CallSID(name) }

// Sizes counts the updates and request ids of this replica, and the labels that it has
// seen.
func (s *Store) Sizes() delivery.Sizes {
	sizes := s.local.Sizes()
	s.mu.Lock()
	defer s.mu.Unlock()
	participants := map[delivery.Participant]bool{}
	for _, e := range s.entries {
		if e.local == nil {
			sizes.Waiting++
			participants[e.update.Participant] = true
		}
	}
	sizes.Queues += len(participants)
	for _, c := range s.claims {
		if !c.local {
			sizes.Records++
		}
	}
	return sizes
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(max(1, d.Milliseconds()), 10) }
