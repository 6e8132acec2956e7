package redisstore

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"conferenced/service/delivery"
)

// maxFailures is the number of consecutive failures after which only probes are sent
// to Redis, so that updates do not wait for a Redis that hangs.
const maxFailures = 3

// errUnreachable is the error of a request that Redis did not answer, or answered
// with an error. The change may have been made all the same.
var errUnreachable = errors.New("redis cannot be reached")

// State says whether Redis answers, as far as this replica knows.
type State struct {
	// Up is false until Redis has answered once, and again after some consecutive
	// failures, until it answers.
	Up bool
	// Since is the time of the last change of Up.
	Since time.Time
}

// client sends requests to Redis, and knows whether Redis answers.
type client struct {
	cfg     Config
	options rueidis.ClientOption
	logger  *slog.Logger
	// observer is set before the first request.
	observer delivery.StoreObserver

	mu        sync.Mutex
	conn      rueidis.Client // nil until Redis was reached once. It reconnects by itself.
	failures  int            // Consecutive ones. From maxFailures on, only a probe ends them.
	failedKey string         // The key of the last request that failed.
	current   State
	posted    []posted
}

// connect connects for the first time.
func (c *client) connect() {
	conn, err := rueidis.NewClient(c.options)
	if err != nil {
		c.failed("", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
	c.updateState()
}

func (c *client) close() {
	c.mu.Lock()
	conn := c.conn
	c.conn = nil
	c.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
}

// connection returns the connection, or nil if there was none yet.
func (c *client) connection() rueidis.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn
}

func (c *client) state() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current
}

// available returns the connection, or nil if Redis is known not to answer.
func (c *client) available() rueidis.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.current.Up {
		return nil
	}
	return c.conn
}

// failing reports whether the last request failed.
func (c *client) failing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failures > 0
}

// request is one execution of a script.
type request struct {
	operation delivery.StoreOperation
	script    *script
	key       string
	args      []string
}

// reply is Redis's answer to a request that was made then. Its errors are errUnreachable
// and the context's. After either, the script may have been executed.
type reply struct {
	answer []string
	asked  time.Time
	err    error
}

// run executes a script.
func (c *client) run(ctx context.Context, r request) reply { return c.runAll(ctx, r)[0] }

// runAll executes the posted scripts and then these, in one round trip.
func (c *client) runAll(ctx context.Context, requests ...request) []reply {
	return c.runAfter(ctx, c.takePosted(), requests)
}

// flush executes the posted scripts.
func (c *client) flush() {
	for posted := c.takePosted(); len(posted) > 0; posted = c.takePosted() {
		c.runAfter(context.Background(), posted, nil)
	}
}

// runAfter executes the posted scripts and then the others, and returns the replies to
// the others.
func (c *client) runAfter(ctx context.Context, first []posted, requests []request) []reply {
	all := make([]request, 0, len(first)+len(requests))
	for _, p := range first {
		all = append(all, p.request)
	}
	replies := c.ask(ctx, append(all, requests...))
	for i, p := range first {
		if replies[i].err != nil {
			p.failed(replies[i].err)
		}
	}
	return replies[len(first):]
}

// ask executes scripts, in one round trip.
func (c *client) ask(ctx context.Context, requests []request) []reply {
	replies := make([]reply, len(requests))
	conn := c.available()
	if conn == nil {
		for i, r := range requests {
			c.observer.Requested(r.operation, delivery.StoreNotAsked, 0)
			replies[i].err = errUnreachable
		}
		return replies
	}
	bounded, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	asked := time.Now()
	for i, result := range execute(bounded, conn, requests) {
		answer, err := result.AsStrSlice()
		replies[i] = reply{answer, asked, c.ended(ctx, requests[i], err, time.Since(asked))}
	}
	return replies
}

// maxPosted is the number of posted requests that are made in one round trip.
const maxPosted = 64

// posted is a request for whose answer nothing waits.
type posted struct {
	request
	failed func(error)
}

// post queues a request, which is made before the next one that is not posted. It reports
// whether flush must be called soon, in case there is none.
func (c *client) post(r request, failed func(error)) (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.posted = append(c.posted, posted{r, failed})
	return len(c.posted) == 1
}

func (c *client) takePosted() []posted {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.posted[:min(len(c.posted), maxPosted)]
	c.posted = c.posted[len(taken):]
	return taken
}

// ended notes how a request ended, and returns its error.
func (c *client) ended(ctx context.Context, r request, err error, took time.Duration) error {
	result := resultOf(ctx, err)
	c.observer.Requested(r.operation, result, took)
	switch result {
	case delivery.StoreAnswered:
		c.answered()
		return nil
	case delivery.StoreCutOff:
		return ctx.Err()
	default:
		c.failed(r.key, err)
		return errUnreachable
	}
}

// resultOf returns how a request with this context ended.
func resultOf(ctx context.Context, err error) delivery.StoreResult {
	switch {
	case err == nil:
		return delivery.StoreAnswered
	case ctx.Err() != nil:
		return delivery.StoreCutOff
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return delivery.StoreTimedOut
	default:
		return delivery.StoreFailed
	}
}

func (c *client) answered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failures < maxFailures {
		c.failures = 0
	}
}

// failed counts a failure of the request with that key, "" if it has none.
func (c *client) failed(key string, err error) {
	c.mu.Lock()
	before := c.failures
	c.failures++
	if rejects(err) {
		c.failures = max(c.failures, maxFailures)
	}
	c.failedKey = cmp.Or(key, c.failedKey)
	wentDown := before < maxFailures && c.failures >= maxFailures
	c.updateState()
	c.mu.Unlock()
	if wentDown {
		c.logger.Error("redis cannot be asked", "failure", string(c.cfg.Failure), "cause", err)
	}
}

// updateState is called under the lock.
func (c *client) updateState() {
	if up := c.conn != nil && c.failures < maxFailures; up != c.current.Up {
		c.current = State{Up: up, Since: time.Now()}
	}
}

// rejects reports whether Redis answered that it executes nothing for anybody, so
// that another request is useless.
func rejects(err error) bool {
	answer, ok := rueidis.IsRedisErr(err)
	return ok && slices.ContainsFunc([]string{
		"OOM ", "READONLY ", "MISCONF ", "NOREPLICAS ", "NOPERM ", "NOAUTH ", "WRONGPASS ",
		"LOADING ", "CLUSTERDOWN ", "MASTERDOWN ",
	}, func(code string) bool { return strings.Contains(answer.Error(), code) })
}

// probe tries a Redis that did not answer, on behalf of the replica. It writes and
// publishes as the other scripts do, in the slot of the last request that failed: a
// Redis that is full, or a node that only reads, answers simpler requests.
func (c *client) probe(replica string) {
	if c.connection() == nil {
		c.connect()
	}
	c.mu.Lock()
	conn, up, slot := c.conn, c.current.Up, cmp.Or(c.failedKey, replica)
	c.mu.Unlock()
	if conn == nil || up {
		return
	}
	if _, tagged, ok := strings.Cut(slot, "{"); ok {
		slot, _, _ = strings.Cut(tagged, "}")
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.Timeout)
	defer cancel()
	key := "conferenced:{" + slot + "}:probe:" + replica
	args := []string{milliseconds(c.cfg.Lease), channel(replica)}
	if execute(ctx, conn, []request{{script: probeScript, key: key, args: args}})[0].Error() != nil {
		return
	}
	c.mu.Lock()
	c.failures = 0
	c.updateState()
	c.mu.Unlock()
	c.logger.Warn("redis answers again")
}
