package delivery

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"conferenced/service/outcome"
)

// Limits bounds what one account sends to Twilio. Each replica applies them on its
// own.
type Limits struct {
	// MaxConcurrency is the maximum number of attempts that an account has in flight; 0
	// means no limit. The limit in force starts there. A 429 from Twilio halves it, but
	// not below MinConcurrency, and each round of other answers raises it by one.
	MaxConcurrency, MinConcurrency int
	// Queue is the maximum number of updates of an account that wait for the limits.
	Queue int
	// Rate is how many attempts an account may start per second, and Burst how many at
	// once. A Rate of 0 means no limit.
	Rate  float64
	Burst int
}

// latencyWeight is the weight of the newest attempt in the mean latency.
const latencyWeight = 0.1

// limiter limits the concurrency and the rate of one account's attempts. Waiters of bulk
// operations get a slot only while no other update waits.
type limiter struct {
	limits Limits
	rate   *rate.Limiter // nil: no limit.

	mu        sync.Mutex
	limit     float64 // The limit in force of attempts in flight; +Inf: none.
	inFlight  int
	halvedAt  time.Time
	latency   time.Duration // The mean time to an answer other than 429.
	single    waitList
	bulk      waitList
	members   map[*member]struct{} // The updates of bulk operations in progress.
	rateTimer *time.Timer          // Serves the waiters when the rate allows it; nil if not needed.
}

// waitList holds the waiters of one priority. They are queued by caller, and the queues
// are served round-robin, so that a caller with many waiters does not delay other
// callers.
type waitList struct {
	queues  []*callerQueue
	waiting int // The waiters in all queues.
}

// callerQueue is the queue of one caller's waiters, the oldest first. It is never
// empty.
type callerQueue struct {
	caller  string
	waiters []*waiter
}

// demand is what an attempt is for.
type demand struct {
	caller string
	// member, if not nil, is the update of a bulk operation.
	member *member
}

// waiter is a request that waits for a slot.
type waiter struct {
	demand
	queue   *callerQueue // nil after the waiter has left its queue.
	granted bool
	done    chan struct{} // Closed when the waiter is granted a slot or evicted.
}

func newLimiter(limits Limits) *limiter {
	l := &limiter{limits: limits, limit: limits.ceiling(), members: map[*member]struct{}{}}
	if limits.Rate > 0 {
		l.rate = rate.NewLimiter(rate.Limit(limits.Rate), limits.Burst)
	}
	return l
}

// ceiling returns the maximum of the limit in force; +Inf if there is no limit.
func (l Limits) ceiling() float64 {
	if l.MaxConcurrency == 0 {
		return math.Inf(1)
	}
	return float64(l.MaxConcurrency)
}

// unlimited reports whether neither concurrency nor rate is limited.
func (l *limiter) unlimited() bool { return l.limits.MaxConcurrency == 0 && l.rate == nil }

// acquire waits for a slot, which allows one attempt. If it returns nil, release or
// free must be called. It returns an *outcome.Error, Overloaded, if the queue is full
// or the wait would exceed the deadline, errOver if the channel over is closed, or
// the context's error.
func (l *limiter) acquire(ctx context.Context, over <-chan struct{}, d demand) error {
	if l.unlimited() {
		return nil
	}
	w, err := l.startOrQueue(ctx, d)
	if w == nil {
		return err
	}
	select {
	case <-w.done:
		return l.result(w)
	case <-over:
		l.cancel(w)
		return errOver
	case <-ctx.Done():
		l.cancel(w)
		return ctx.Err()
	}
}

// startOrQueue takes a slot and returns nil, or returns a new waiter if no slot is
// free.
func (l *limiter) startOrQueue(ctx context.Context, d demand) (*waiter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.listOf(d)
	if list.waiting == 0 && (list == &l.single || l.single.waiting == 0) && l.tryStart() {
		return nil, nil
	}
	wait := l.estimate(d)
	if exceedsDeadline(ctx, wait) || list.waiting >= l.limits.Queue && !list.evict(d.caller) {
		return nil, outcome.Overloaded.Err(outcome.Facts{RetryAfter: wait})
	}
	w := &waiter{demand: d, done: make(chan struct{})}
	list.add(w)
	if d.member != nil {
		d.member.waiter = w
	}
	return w, nil
}

// listOf returns the list in which a demand waits.
func (l *limiter) listOf(d demand) *waitList {
	if d.member != nil && !d.member.preferred {
		return &l.bulk
	}
	return &l.single
}

// admit registers an update of a bulk operation, until dismiss.
func (l *limiter) admit(m *member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.members[m] = struct{}{}
}

func (l *limiter) dismiss(m *member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.members, m)
}

// isFollowed reports whether another update of the participant has begun since.
func (l *limiter) isFollowed(m *member) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return m.followed
}

// follow notes that an update of the participant, which is own if it is of a bulk
// operation, has joined its queue behind those of bulk operations. If it is not of one,
// they now wait with the other updates, because it waits for them.
func (l *limiter) follow(p Participant, own *member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for m := range l.members {
		if m == own || !m.isOf(p) {
			continue
		}
		m.followed = true
		if m.preferred || own != nil {
			continue
		}
		if w := m.waiter; w != nil && w.queue != nil {
			l.bulk.remove(w)
			l.single.add(w)
		}
		m.preferred = true
	}
}

// tryStart takes a slot if the limit and the rate allow it.
func (l *limiter) tryStart() bool {
	if float64(l.inFlight)+1 > l.limit {
		return false
	}
	if l.rate == nil || l.rate.Allow() {
		l.inFlight++
		return true
	}
	if l.rateTimer == nil {
		l.rateTimer = time.AfterFunc(l.untilTokens(1), l.onRateTimer)
	}
	return false
}

func (l *limiter) onRateTimer() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rateTimer = nil
	l.serve()
}

// serve grants the free slots to waiters.
func (l *limiter) serve() {
	for _, list := range []*waitList{&l.single, &l.bulk} {
		for list.waiting > 0 {
			if !l.tryStart() {
				return
			}
			w := list.next()
			w.granted = true
			close(w.done)
		}
	}
}

// next removes and returns the waiter to be served, one of each caller per round.
func (l *waitList) next() *waiter {
	first := l.queues[0]
	l.queues = append(l.queues[1:], first)
	w := first.waiters[0]
	l.remove(w)
	return w
}

// queueOf returns the caller's queue, or nil.
func (l *waitList) queueOf(caller string) *callerQueue {
	i := slices.IndexFunc(l.queues, func(q *callerQueue) bool { return q.caller == caller })
	if i < 0 {
		return nil
	}
	return l.queues[i]
}

// waitersOf returns how many waiters the caller has.
func (l *waitList) waitersOf(caller string) int {
	if q := l.queueOf(caller); q != nil {
		return len(q.waiters)
	}
	return 0
}

func (l *waitList) add(w *waiter) {
	q := l.queueOf(w.caller)
	if q == nil {
		q = &callerQueue{caller: w.caller}
		l.queues = append(l.queues, q)
	}
	w.queue = q
	q.waiters = append(q.waiters, w)
	l.waiting++
}

func (l *waitList) remove(w *waiter) {
	q := w.queue
	w.queue = nil
	l.waiting--
	q.waiters = slices.DeleteFunc(q.waiters, func(other *waiter) bool { return other == w })
	if len(q.waiters) == 0 {
		l.queues = slices.DeleteFunc(l.queues, func(other *callerQueue) bool { return other == q })
	}
}

// evict refuses the newest waiter of the caller with the most waiters, to make room
// for one of the given caller. It evicts none and reports false if the given caller
// would then have as many.
func (l *waitList) evict(caller string) bool {
	if l.waiting == 0 {
		return false
	}
	longest := slices.MaxFunc(l.queues, func(a, b *callerQueue) int { return len(a.waiters) - len(b.waiters) })
	if len(longest.waiters) <= l.waitersOf(caller)+1 {
		return false
	}
	w := longest.waiters[len(longest.waiters)-1]
	l.remove(w)
	close(w.done)
	return true
}

// estimate returns how long a new waiter would wait: until the caller's other waiters
// are served, and as many of each other caller; and all other updates, if it is of a bulk
// operation.
func (l *limiter) estimate(d demand) time.Duration {
	list := l.listOf(d)
	own := list.waitersOf(d.caller) + 1
	before := own
	for _, q := range list.queues {
		if q.caller != d.caller {
			before += min(len(q.waiters), own)
		}
	}
	if list == &l.bulk {
		before += l.single.waiting
	}
	rounds := math.Ceil(float64(before) / math.Max(1, math.Floor(l.limit)))
	wait := time.Duration(rounds * float64(l.latency))
	if l.rate != nil {
		return max(wait, l.untilTokens(before))
	}
	return wait
}

// untilTokens returns how long it takes until the rate allows n attempts.
func (l *limiter) untilTokens(n int) time.Duration {
	missing := float64(n) - l.rate.Tokens()
	return time.Duration(missing / float64(l.rate.Limit()) * float64(time.Second))
}

// result returns the result of acquire for a waiter whose done is closed.
func (l *limiter) result(w *waiter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.granted {
		return nil
	}
	return outcome.Overloaded.Err(outcome.Facts{RetryAfter: l.estimate(w.demand)})
}

// cancel ends the wait, or returns the slot if the waiter has just been granted one.
func (l *limiter) cancel(w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case w.queue != nil:
		l.listOf(w.demand).remove(w)
	case w.granted:
		l.inFlight--
		l.serve()
	}
}

// free returns a slot that was not used for an attempt.
func (l *limiter) free() {
	if l.unlimited() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight--
	l.serve()
}

// release returns the slot of an attempt that began at the given time, and adapts the
// limit if Twilio answered it.
func (l *limiter) release(began time.Time, answered, rateLimited bool) {
	if l.unlimited() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case rateLimited:
		l.shrink(began)
	case answered:
		l.grow()
		l.observe(time.Since(began))
	}
	l.inFlight--
	l.serve()
}

// shrink halves the limit after a 429. It ignores an attempt that began before the
// limit was last halved: its 429 is about an older limit.
func (l *limiter) shrink(began time.Time) {
	if began.After(l.halvedAt) {
		l.limit = max(float64(l.limits.MinConcurrency), l.limit/2)
		l.halvedAt = time.Now()
	}
}

// grow raises the limit by one for each round of answers, while at least half of it
// is in use.
func (l *limiter) grow() {
	if float64(l.inFlight) >= l.limit/2 {
		l.limit = min(l.limits.ceiling(), l.limit+1/l.limit)
	}
}

// observe adds a latency to the mean.
func (l *limiter) observe(latency time.Duration) {
	if l.latency == 0 {
		l.latency = latency
	}
	l.latency += time.Duration(latencyWeight * float64(latency-l.latency))
}

// load returns the limit in force, 0 if there is none, and the numbers of attempts
// in flight and of waiters.
func (l *limiter) load() (limit, inFlight, waiting int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limits.MaxConcurrency > 0 {
		limit = int(l.limit)
	}
	return limit, l.inFlight, l.single.waiting + l.bulk.waiting
}

// exceedsDeadline reports whether a wait that starts now ends at or after the
// context's deadline. A wait of 0 does not.
func exceedsDeadline(ctx context.Context, wait time.Duration) bool {
	at, ok := ctx.Deadline()
	return ok && wait > 0 && time.Until(at) <= wait
}

// errOver is returned to a waiter whose update was removed from its participant's
// queue.
var errOver = errors.New("the update is over")
