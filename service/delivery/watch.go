package delivery

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"conferenced/service/outcome"
)

// The time between the polls of a conference. It doubles from one poll to the next.
const (
	minPollInterval = 250 * time.Millisecond
	maxPollInterval = 2 * time.Second
)

// watches are the conferences that updates wait for, or wait in the queues of.
type watches struct {
	panicked func() // Called after a poll panicked.

	mu   sync.Mutex
	byID map[Conference]*watch
}

// find returns the names of what there is now: SIDs and labels.
type find func(context.Context) ([]string, error)

// watch is a conference that is polled while updates wait for it or for one of its
// participants. All of them share the polls.
type watch struct {
	all        *watches
	conference Conference
	soon       chan struct{} // Ends the pause before the next poll.

	// The fields below are guarded by all.mu.
	watchers int
	awaited  map[string]int // The number of waiters by the participant that they wait for.
	next     *poll          // The next poll to begin.
	stop     context.CancelFunc
}

// poll is one poll. found and err are set when done is closed.
type poll struct {
	done  chan struct{}
	found []string
	err   error
}

func newPoll() *poll { return &poll{done: make(chan struct{})} }

// has reports whether the poll found the participant, or with "" anything.
func (p *poll) has(participant string) bool {
	if participant == "" {
		return len(p.found) > 0
	}
	return slices.ContainsFunc(p.found, func(name string) bool { return strings.EqualFold(name, participant) })
}

// watcher is an update that uses a watch. Its leave must be called once.
type watcher struct {
	*watch
	participant string
	waits       bool
}

// wait returns a watcher that waits for the participant, or with "" for the conference.
// While there is one, the conference is polled.
func (w *watches) wait(conference Conference, participant string, find find) *watcher {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.watch(conference)
	at.awaited[participant]++
	if at.stop == nil {
		ctx, stop := context.WithCancel(context.Background())
		at.stop = stop
		go at.poll(ctx, find)
	}
	return &watcher{watch: at, participant: participant, waits: true}
}

// observe returns a watcher that learns of the polls for others.
func (w *watches) observe(participant Participant) *watcher {
	w.mu.Lock()
	defer w.mu.Unlock()
	return &watcher{watch: w.watch(participant.Conference), participant: participant.Name}
}

// hurry makes the next poll of the conference, if it is polled, begin at once.
func (w *watches) hurry(conference Conference) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.byID[conference]
	if at == nil || at.stop == nil {
		return
	}
	select {
	case at.soon <- struct{}{}:
	default:
	}
}

func (w *watches) watch(conference Conference) *watch {
	at := w.byID[conference]
	if at == nil {
		at = &watch{
			all: w, conference: conference, awaited: map[string]int{}, next: newPoll(), soon: make(chan struct{}, 1),
		}
		w.byID[conference] = at
	}
	at.watchers++
	return at
}

// leave ends the polls if no other watcher waits.
func (w *watcher) leave() {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	if w.waits {
		if w.awaited[w.participant]--; w.awaited[w.participant] == 0 {
			delete(w.awaited, w.participant)
		}
		if len(w.awaited) == 0 {
			w.stop()
			w.stop = nil
		}
	}
	if w.watchers--; w.watchers == 0 {
		delete(w.all.byID, w.conference)
	}
}

// poll polls until the context ends.
func (w *watch) poll(ctx context.Context, find find) {
	for interval := minPollInterval; ; interval = min(2*interval, maxPollInterval) {
		timer := time.NewTimer(interval)
		select {
		case <-timer.C:
		case <-w.soon:
		case <-ctx.Done():
		}
		timer.Stop()
		p := w.begin(ctx)
		if p == nil {
			return
		}
		w.finish(ctx, p, find)
	}
}

// begin begins the next poll, and returns nil if the context has ended. There may be
// watchers again by then, which have polls of their own.
func (w *watch) begin(ctx context.Context) *poll {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	if ctx.Err() != nil {
		return nil
	}
	p := w.next
	w.next = newPoll()
	return p
}

func (w *watch) finish(ctx context.Context, p *poll, find find) {
	defer close(p.done)
	defer func() {
		if recover() != nil {
			p.err = outcome.Internal.Err(outcome.Facts{Cause: errPanicked})
			w.all.panicked()
		}
	}()
	p.found, p.err = find(ctx)
}

// upcoming returns the next poll to begin.
func (w *watch) upcoming() *poll {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	return w.next
}

// lacks reports whether others wait for the participant and the poll did not find it.
func (w *watcher) lacks(p *poll) bool {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	return p.err == nil && w.awaited[w.participant] > 0 && !p.has(w.participant)
}

// await returns what a poll found, once that includes what the watcher waits for. It
// returns errOver if the channel over is closed, the error of a poll that another one
// would end with too, missing if the deadline passes, and the context's error if that is
// cancelled.
func (w *watcher) await(ctx context.Context, over <-chan struct{}, missing *outcome.Error) ([]string, error) {
	for {
		p := w.upcoming()
		select {
		case <-p.done:
			if p.err == nil && p.has(w.participant) {
				return p.found, nil
			}
			if failed := new(outcome.Error); errors.As(p.err, &failed) && failed.Retry == 0 {
				return nil, failed
			}
		case <-over:
			return nil, errOver
		case <-ctx.Done():
			return nil, atDeadline(ctx, missing)
		}
	}
}

// atDeadline returns missing if the context's deadline has passed, and otherwise the
// context's error.
func atDeadline(ctx context.Context, missing *outcome.Error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return missing
	}
	return ctx.Err()
}
