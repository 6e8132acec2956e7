package delivery

import (
	"container/list"
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limits bound what one account sends at a time.
type Limits struct {
	// MaxConcurrency is the most attempts that an account has on the way; 0: no
	// limit. The limit in force begins there, is halved by a 429 of Twilio's and
	// grows back by one for each round of successes, never below MinConcurrency.
	MaxConcurrency, MinConcurrency int
	// Queue is how many updates may wait for their turn.
	Queue int
	// Rate is how many attempts an account may begin each second, and Burst how
	// many at once; Rate 0: no limit.
	Rate  float64
	Burst int
}

// latencyWeight is how much the newest attempt counts in the mean latency.
const latencyWeight = 0.1

// limiter lets a limited number of an account's attempts go at a time. Those
// that wait are served by turns between callers, so that a caller with many
// waits behind itself and not in front of others.
type limiter struct {
	limits Limits
	rate   *rate.Limiter // nil: no limit

	mu       sync.Mutex
	limit    float64
	inFlight int
	shrunk   time.Time // When the limit was last halved.
	latency  time.Duration
	next     *time.Timer           // Set while the rate keeps somebody waiting.
	callers  map[string]*list.List // Each a queue of *waiter, never empty.
	turns    *list.List            // Of callers with a queue, the next one first.
	waiting  int
	sharing  sharing
}

type waiter struct {
	caller  string
	element *list.Element // nil once it is out of its queue.
	granted bool
	done    chan struct{} // Closed when it is granted or refused.
}

func newLimiter(limits Limits) *limiter {
	l := &limiter{
		limits:  limits,
		callers: map[string]*list.List{},
		turns:   list.New(),
	}
	l.limit = l.most()
	if limits.Rate > 0 {
		l.rate = rate.NewLimiter(rate.Limit(limits.Rate), limits.Burst)
	}
	return l
}

// acquire waits until an attempt may begin. Its errors are a *RefusedError with
// Overloaded, at once when the queue is full or the wait would pass the
// deadline; errSuperseded when that channel is closed; and the context's. After
// nil, release or free must be called.
func (l *limiter) acquire(ctx context.Context, superseded <-chan struct{}, caller string) error {
	if l.off() {
		return nil
	}
	w, err := l.enqueue(ctx, caller)
	if w == nil {
		return err
	}
	select {
	case <-w.done:
		return l.verdict(w)
	case <-superseded:
		l.giveUp(w)
		return errSuperseded
	case <-ctx.Done():
		l.giveUp(w)
		return ctx.Err()
	}
}

func (l *limiter) off() bool { return l.limits.MaxConcurrency == 0 && l.rate == nil }

// enqueue takes a slot if one is free, and otherwise a place in the queue.
func (l *limiter) enqueue(ctx context.Context, caller string) (*waiter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting == 0 && l.mayBegin() {
		l.inFlight++
		l.want(false)
		return nil, nil
	}
	wait := l.estimate(caller)
	if passes(ctx, wait) || l.waiting >= l.limits.Queue && !l.makeRoom(caller) {
		return nil, &RefusedError{Reason: Overloaded, RetryAfter: wait}
	}
	w := l.add(caller)
	l.want(true)
	return w, nil
}

// mayBegin says whether one more attempt may begin now. If it is the rate that
// forbids it, those who wait are looked after when it allows one more.
func (l *limiter) mayBegin() bool {
	if float64(l.inFlight)+1 > l.limit {
		return false
	}
	if l.rate == nil || l.rate.Allow() {
		return true
	}
	if l.next == nil {
		l.next = time.AfterFunc(l.untilTokens(1), l.tick)
	}
	return false
}

// tick is called when the rate allows one more attempt.
func (l *limiter) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = nil
	l.grant()
}

func (l *limiter) add(caller string) *waiter {
	queue := l.callers[caller]
	if queue == nil {
		queue = list.New()
		l.callers[caller] = queue
		l.turns.PushBack(caller)
	}
	w := &waiter{caller: caller, done: make(chan struct{})}
	w.element = queue.PushBack(w)
	l.waiting++
	return w
}

// estimate is how long an update of the caller would wait: each other caller
// gets as many turns in between as this one needs, if it has that many waiting.
func (l *limiter) estimate(caller string) time.Duration {
	mine := 1
	if queue := l.callers[caller]; queue != nil {
		mine += queue.Len()
	}
	turns := mine
	for other, queue := range l.callers {
		if other != caller {
			turns += min(queue.Len(), mine)
		}
	}
	rounds := math.Ceil(float64(turns) / math.Max(1, math.Floor(l.limit)))
	wait := time.Duration(rounds * float64(l.latency))
	if l.rate != nil {
		return max(wait, l.untilTokens(turns))
	}
	return wait
}

// untilTokens is how long it takes until the rate allows n attempts.
func (l *limiter) untilTokens(n int) time.Duration {
	missing := float64(n) - l.rate.Tokens()
	return time.Duration(missing / float64(l.rate.Limit()) * float64(time.Second))
}

// makeRoom refuses the newest update of the caller with the most waiting, if
// that is more than this caller would have.
func (l *limiter) makeRoom(caller string) bool {
	mine := 0
	if queue := l.callers[caller]; queue != nil {
		mine = queue.Len()
	}
	longest := l.longest()
	if longest == nil || longest.Len() <= mine+1 {
		return false
	}
	refused := longest.Back().Value.(*waiter)
	l.remove(refused)
	close(refused.done)
	return true
}

func (l *limiter) longest() *list.List {
	var longest *list.List
	for _, queue := range l.callers {
		if longest == nil || queue.Len() > longest.Len() {
			longest = queue
		}
	}
	return longest
}

// remove takes a waiter out of its queue.
func (l *limiter) remove(w *waiter) {
	queue := l.callers[w.caller]
	queue.Remove(w.element)
	w.element = nil
	l.waiting--
	if queue.Len() > 0 {
		return
	}
	delete(l.callers, w.caller)
	for turn := l.turns.Front(); turn != nil; turn = turn.Next() {
		if turn.Value == w.caller {
			l.turns.Remove(turn)
			return
		}
	}
}

func (l *limiter) verdict(w *waiter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.granted {
		return nil
	}
	return &RefusedError{Reason: Overloaded, RetryAfter: l.estimate(w.caller)}
}

// giveUp leaves the queue, or gives back the slot that was granted meanwhile.
func (l *limiter) giveUp(w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case w.element != nil:
		l.remove(w)
	case w.granted:
		l.inFlight--
		l.grant()
	}
}

// grant gives the free slots to those who wait, one to each caller in turn.
func (l *limiter) grant() {
	for l.waiting > 0 && l.mayBegin() {
		caller := l.turns.Front()
		w := l.callers[caller.Value.(string)].Front().Value.(*waiter)
		l.turns.MoveToBack(caller)
		l.remove(w)
		w.granted = true
		l.inFlight++
		close(w.done)
	}
}

// free gives back a slot whose attempt was not made.
func (l *limiter) free() {
	if l.off() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight--
	l.grant()
}

// release gives back a slot. The attempt began at the given time and says
// whether Twilio answered it, and whether by a 429.
func (l *limiter) release(began time.Time, answered, refused bool) {
	if l.off() {
		return
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if answered {
		l.adapt(began, now, refused)
	}
	l.inFlight--
	l.grant()
}

// adapt moves the limit, which grows only while it is being used.
func (l *limiter) adapt(began, now time.Time, refused bool) {
	l.tellOthers(began, refused)
	if l.sharing.shared() {
		if !refused {
			l.timed(now.Sub(began))
		}
		return
	}
	if refused && l.limits.MaxConcurrency > 0 {
		l.halve(began, now)
		return
	}
	if l.limits.MaxConcurrency > 0 && float64(l.inFlight) >= l.limit/2 {
		l.limit = math.Min(float64(l.limits.MaxConcurrency), l.limit+1/l.limit)
	}
	l.timed(now.Sub(began))
}

// halve does so for a 429, unless its attempt began before the limit was last
// halved: that says nothing about the limit in force.
func (l *limiter) halve(began, now time.Time) {
	if began.After(l.shrunk) {
		l.limit = math.Max(float64(l.limits.MinConcurrency), l.limit/2)
		l.shrunk = now
	}
}

// timed takes an answer's time into the mean.
func (l *limiter) timed(took time.Duration) {
	if l.latency == 0 {
		l.latency = took
	}
	l.latency += time.Duration(latencyWeight * float64(took-l.latency))
}

// load is what the limiter does at the moment. A limit of 0 is none.
func (l *limiter) load() (limit, inFlight, waiting int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limits.MaxConcurrency > 0 {
		limit = int(l.limit)
	}
	return limit, l.inFlight, l.waiting
}

// passes says whether a wait from now on ends after the context's deadline.
func passes(ctx context.Context, wait time.Duration) bool {
	at, ok := ctx.Deadline()
	return ok && wait > 0 && time.Until(at) <= wait
}

// sleep waits, unless the context ends or the update is superseded before that.
func sleep(ctx context.Context, superseded <-chan struct{}, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-superseded:
		return errSuperseded
	case <-ctx.Done():
		return ctx.Err()
	}
}
