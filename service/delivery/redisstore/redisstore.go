// Package redisstore is a delivery.Store in Redis, which replicas share: what
// one of them learns holds for all, and updates of a participant go one at a
// time in order of arrival whichever replica they came to.
//
// What a replica holds, a turn in a line or a request id, it holds by a lease,
// which it renews; when a replica dies, its leases end and others go on. Before
// each attempt Redis is asked whether the lease still stands, so that a replica
// that was stopped for a while does not send what another has taken over. A
// request id whose owner died after it may have sent the update is not free
// again: what became of that update is not known, and others are told so.
//
// Every change is one script that touches keys of one hash slot, so Redis may be
// a cluster. Labels and answers are bounded by their age, not by their number:
// Redis should not evict. Across a failover that loses writes, what was lost is
// noticed before anything else is sent on the strength of it.
package redisstore

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"conferenced/service/delivery"
)

// Store is a delivery.Store in Redis. It is safe for concurrent use.
type Store struct {
	cfg     Config
	bounds  delivery.Bounds
	options rueidis.ClientOption
	logger  *slog.Logger
	// observer is set before the store is asked for anything.
	observer Observer
	// alone takes over what goes on without Redis.
	alone delivery.Store
	// replica names this process among those that share the state.
	replica  string
	fresh    time.Duration
	last     atomic.Uint64
	client   atomic.Pointer[rueidis.Client]
	failures atomic.Int64           // In a row.
	troubled atomic.Pointer[string] // The key of the last step that failed.
	full     atomic.Bool            // Redis takes nothing, but may answer.
	deaf     atomic.Bool            // Listening is not allowed.
	state    stateNote

	// heard says that listening began anew: what was said before was missed.
	heard   chan struct{}
	stop    context.CancelFunc
	running sync.WaitGroup
	telling sync.WaitGroup // What was given back and is not told yet.

	mu     sync.Mutex
	places map[string]*place
	claims map[delivery.Key]*claim
	chores []chore
	awake  time.Time // When the leases were last looked after.
}

var (
	//go:embed lines.lua
	linesText string
	//go:embed claims.lua
	claimsText string
	//go:embed probe.lua
	probeText string

	linesScript  = rueidis.NewLuaScript(linesText)
	claimsScript = rueidis.NewLuaScript(claimsText)
	probeScript  = rueidis.NewLuaScript(probeText)
)

// Dial returns a store that shares its state through Redis. The configuration and
// the bounds must be valid. A Redis that cannot be reached is no error: it is
// tried again, and meanwhile the configuration says what becomes of updates.
func Dial(cfg Config, bounds delivery.Bounds, logger *slog.Logger) (*Store, error) {
	cfg = cfg.withDefaults()
	options, err := cfg.options()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Store{
		cfg: cfg, bounds: bounds, options: options, logger: logger,
		alone:   delivery.NewMemory(bounds),
		replica: nonce(),
		fresh:   min(fresh, cfg.Lease/rounds),
		stop:    stop,
		places:  map[string]*place{},
		claims:  map[delivery.Key]*claim{},
		heard:   make(chan struct{}, 1),
		awake:   time.Now(),
		state:   stateNote{State: State{Since: time.Now()}},
	}
	s.connect()
	s.running.Go(func() { s.lookAfter(ctx) })
	s.running.Go(func() { s.listen(ctx) })
	return s, nil
}

// Close tells what is given back and ends the connections. What is still held is
// not renewed any more. Nothing may be asked of the store after it was called.
func (s *Store) Close() {
	s.stop()
	s.running.Wait()
	s.telling.Wait()
	if client := s.client.Swap(nil); client != nil {
		(*client).Close()
	}
}

func nonce() string {
	var random [8]byte
	_, _ = rand.Read(random[:]) // It never fails.
	return hex.EncodeToString(random[:])
}

// newID names a place or a claim of this replica.
func (s *Store) newID() string {
	return s.replica + "-" + strconv.FormatUint(s.last.Add(1), 36)
}

// connect is tried until it works once; after that, the client reconnects.
func (s *Store) connect() {
	if s.client.Load() != nil {
		return
	}
	client, err := rueidis.NewClient(s.options)
	if err != nil {
		s.failed(err)
		return
	}
	s.client.Store(&client)
	s.noteState()
}

var errUnreachable = errors.New("redis cannot be asked")

// tolerated is how many failures in a row are borne before only the one who looks
// after the leases asks, so that a Redis that hangs does not hold up everybody.
const tolerated = 3

func (s *Store) down() bool { return s.failures.Load() >= tolerated }

// run makes one step. Its errors are errUnreachable, after which nobody knows
// whether the step was made, and the context's.
func (s *Store) run(
	ctx context.Context, op Operation, script *rueidis.Lua, key string, args ...string,
) ([]string, error) {
	client := s.client.Load()
	if client == nil || s.down() {
		s.observer.asked(op, NotAsked, 0)
		return nil, errUnreachable
	}
	bounded, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	began := time.Now()
	answer, err := script.Exec(bounded, *client, []string{key}, args).AsStrSlice()
	result := resultOf(ctx, err)
	s.observer.asked(op, result, time.Since(began))
	switch result {
	case Answered:
		s.worked()
		return answer, nil
	case CutOff:
		return nil, ctx.Err()
	default:
		s.troubled.Store(&key)
		s.failed(err)
		return nil, errUnreachable
	}
}

// worked ends the failures, unless Redis said that it takes nothing: some steps
// write nothing, and work all the same. Then only a probe tells that it is over.
func (s *Store) worked() {
	if s.failures.Load() > 0 && !s.full.Load() && s.failures.Swap(0) >= tolerated {
		s.noteState()
		s.logger.Warn("redis answers again")
	}
}

// failed logs the last failure that is borne.
func (s *Store) failed(err error) {
	weight := int64(1)
	if unusable(err) {
		s.full.Store(true)
		weight = tolerated
	}
	if after := s.failures.Add(weight); after >= tolerated && after-weight < tolerated {
		s.noteState()
		s.logger.Error("redis cannot be asked", "failure", string(s.cfg.Failure), "cause", err)
	}
}

// unusable says whether Redis itself answered that it can do nothing for anybody,
// so that asking again at once is in vain.
func unusable(err error) bool {
	answer, ok := rueidis.IsRedisErr(err)
	return ok && slices.ContainsFunc([]string{
		"OOM ", "READONLY ", "MISCONF ", "NOREPLICAS ", "NOPERM ", "NOAUTH ", "WRONGPASS ",
		"LOADING ", "CLUSTERDOWN ", "MASTERDOWN ",
	}, func(code string) bool { return strings.Contains(answer.Error(), code) })
}

// probe tries a Redis that could not be asked. It does so where the last step
// failed, and as steps do: one that is full, or a replica that only reads, still
// answers.
func (s *Store) probe(ctx context.Context) {
	s.connect()
	client := s.client.Load()
	if client == nil || !s.down() {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	args := []string{milliseconds(s.cfg.Lease), s.channel()}
	if probeScript.Exec(bounded, *client, []string{s.probeKey()}, args).Error() == nil {
		s.full.Store(false)
		s.worked()
	}
}

// probeKey has the slot of the last step that failed.
func (s *Store) probeKey() string {
	key := s.replica
	if troubled := s.troubled.Load(); troubled != nil {
		key = *troubled
	}
	if _, tagged, ok := strings.Cut(key, "{"); ok {
		key, _, _ = strings.Cut(tagged, "}")
	}
	return "conferenced:{" + key + "}:probe:" + s.replica
}

// refused is the end of what must not go on without Redis.
func refused() error { return &delivery.RefusedError{Reason: delivery.StateUnavailable} }

// Sizes counts what this replica has in hand, and the labels that it has seen.
func (s *Store) Sizes() delivery.Sizes {
	sizes := s.alone.Sizes()
	s.mu.Lock()
	defer s.mu.Unlock()
	names := map[delivery.Participant]bool{}
	for _, p := range s.places {
		if p.alone == nil {
			sizes.Waiting++
			names[p.participant] = true
		}
	}
	sizes.Lines += len(names)
	for _, c := range s.claims {
		if !c.alone {
			sizes.Records++
		}
	}
	return sizes
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(max(1, d.Milliseconds()), 10) }
