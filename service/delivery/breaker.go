package delivery

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"conferenced/service/outcome"
	"conferenced/service/twilio"
)

// Breaking says when nothing is sent for a while because Twilio is failing.
type Breaking struct {
	// Failures in a row, over all updates of an account, open the breaker; 0: no
	// breaker.
	Failures uint32
	// OpenFor is how long it stays open before it lets probes through.
	OpenFor time.Duration
	// Probes is how many probes go at a time, and how many must succeed to close
	// it.
	Probes uint32
}

// breaker stops an account's attempts while Twilio is down.
type breaker struct {
	openFor time.Duration
	opened  atomic.Int64 // Unix nanoseconds.
	changed func(state string)
	circuit *gobreaker.TwoStepCircuitBreaker[struct{}]
}

// newBreaker returns nil, which is a breaker that never opens, when breaking is
// switched off.
func newBreaker(breaking Breaking, account *twilio.Account, logger *slog.Logger) *breaker {
	if breaking.Failures == 0 {
		return nil
	}
	b := &breaker{openFor: breaking.OpenFor, changed: func(string) {}}
	b.circuit = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: breaking.Probes,
		Timeout:     breaking.OpenFor,
		ReadyToTrip: func(counts gobreaker.Counts) bool {
			return counts.ConsecutiveFailures >= breaking.Failures
		},
		OnStateChange: func(_ string, from, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				b.opened.Store(time.Now().UnixNano())
			}
			logger.Warn("circuit breaker", "account_sid", account.SID, "host", account.BaseURL,
				"from", from.String(), "to", to.String())
			b.changed(to.String())
		},
		IsExcluded: func(err error) bool { return errors.Is(err, errSaysNothing) },
	})
	return b
}

// The reports to the circuit other than nil, which is a success.
var (
	errFailing     = errors.New("Twilio is failing")
	errSaysNothing = errors.New("the attempt says nothing about Twilio")
)

// allow returns the function that reports what the attempt says about Twilio, or
// an *outcome.Error of the kind CircuitOpen. The function must be called once.
func (b *breaker) allow() (report func(health), err error) {
	if b == nil {
		return func(health) {}, nil
	}
	done, err := b.circuit.Allow()
	if err != nil {
		return nil, outcome.CircuitOpen.Err(outcome.Facts{RetryAfter: b.left()})
	}
	return func(h health) { done(h.err()) }, nil
}

// err returns what the circuit is told.
func (h health) err() error {
	switch h {
	case healthy:
		return nil
	case unhealthy:
		return errFailing
	default:
		return errSaysNothing
	}
}

// left is how long the breaker stays open.
func (b *breaker) left() time.Duration {
	return max(0, time.Until(time.Unix(0, b.opened.Load()).Add(b.openFor)))
}

func (b *breaker) state() string {
	if b == nil {
		return "off"
	}
	return b.circuit.State().String()
}
