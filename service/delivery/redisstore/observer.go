package redisstore

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
)

// Observer is told how Redis is used. Any of its functions may be nil. They are
// called while updates wait, some of them under a lock, and by many updates at
// once: they must be quick and safe for concurrent use, and may not ask the store.
type Observer struct {
	// Asked is called when Redis has been asked. Nobody waited if the result is
	// NotAsked.
	Asked func(op Operation, result Result, took time.Duration)
	// Lost is called when this replica is told right before an attempt, or when it
	// looks after its leases, that others may go on in its place.
	Lost func(Holding)
	// Alone is called when an update goes on in the line of this process alone,
	// since Redis could not be asked or has lost its place.
	Alone func()
}

// Operation is what Redis is asked about.
type Operation string

// The operations.
const (
	// LineOperation is about the lines of participants and about labels.
	LineOperation Operation = "line"
	// ClaimOperation is about request ids.
	ClaimOperation Operation = "claim"
)

// Operations are all of them.
func Operations() []Operation { return []Operation{LineOperation, ClaimOperation} }

// Result is what came of asking Redis.
type Result string

// The results.
const (
	// Answered: there was an answer.
	Answered Result = "ok"
	// TimedOut: there was none in time.
	TimedOut Result = "timeout"
	// Failed: there was no connection, it broke, or the answer was an error.
	Failed Result = "error"
	// CutOff: the one who asked could wait no longer.
	CutOff Result = "cut_off"
	// NotAsked: it is known that Redis does not answer.
	NotAsked Result = "not_asked"
)

// Results are all of them.
func Results() []Result { return []Result{Answered, TimedOut, Failed, CutOff, NotAsked} }

// Holding is what a replica holds by a lease.
type Holding string

// The holdings.
const (
	// TurnHolding is an update's place in its participant's line.
	TurnHolding Holding = "turn"
	// RequestIDHolding is a request id.
	RequestIDHolding Holding = "request_id"
)

// Holdings are all of them.
func Holdings() []Holding { return []Holding{TurnHolding, RequestIDHolding} }

// Observe makes the observer be told of everything from now on. It must be
// called before the store is asked for anything, if at all.
func (s *Store) Observe(observer Observer) { s.observer = observer }

func (o *Observer) asked(op Operation, result Result, took time.Duration) {
	if o.Asked != nil {
		o.Asked(op, result, took)
	}
}

func (o *Observer) lost(what Holding) {
	if o.Lost != nil {
		o.Lost(what)
	}
}

func (o *Observer) alone() {
	if o.Alone != nil {
		o.Alone()
	}
}

// resultOf is what came of a question that the one who asked had this context for.
func resultOf(ctx context.Context, err error) Result {
	switch {
	case err == nil:
		return Answered
	case ctx.Err() != nil:
		return CutOff
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return TimedOut
	default:
		return Failed
	}
}

// State says whether Redis answers, as far as this replica knows.
type State struct {
	// Up is false until Redis has answered once, and after some failures in a row
	// until it answers again.
	Up bool
	// Since is when that became so.
	Since time.Time
}

// stateNote is the latest state.
type stateNote struct {
	mu sync.Mutex
	State
}

// State tells it.
func (s *Store) State() State {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	return s.state.State
}

// noteState is called after whatever may have changed the state.
func (s *Store) noteState() {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if up := s.client.Load() != nil && !s.down(); up != s.state.Up {
		s.state.State = State{Up: up, Since: time.Now()}
	}
}
