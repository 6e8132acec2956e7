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

// Breaking configures the circuit breaker of each account.
type Breaking struct {
	// Failures is the number of consecutive failed attempts of an account that opens the
	// breaker. 0 disables it.
	Failures uint32
	// OpenFor is how long the breaker stays open before it allows probes.
	OpenFor time.Duration
	// Probes is the maximum number of concurrent probes, and the number that must
	// succeed to close the breaker.
	Probes uint32
}

// breaker stops an account's attempts while Twilio is down.
type breaker struct {
	openFor time.Duration
	opened  atomic.Int64 // Unix nanoseconds.
	changed func(state string)
	circuit *gobreaker.TwoStepCircuitBreaker[struct{}]
}

// newBreaker returns nil, a breaker that never opens, if breaking is disabled.
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
		IsExcluded: func(err error) bool { return errors.Is(err, errInconclusive) },
	})
	return b
}

// The results reported to the circuit; nil is a success.
var (
	errFailing      = errors.New("Twilio is failing")
	errInconclusive = errors.New("the attempt is inconclusive about Twilio")
)

// allow returns a function that takes the result of an attempt, see [health.err], or an
// *outcome.Error of the kind CircuitOpen. The function must be called exactly once.
func (b *breaker) allow() (report func(error), err error) {
	if b == nil {
		return func(error) {}, nil
	}
	report, err = b.circuit.Allow()
	if err != nil {
		return nil, outcome.CircuitOpen.Err(outcome.Facts{RetryAfter: b.untilProbe()})
	}
	return report, nil
}

// err returns the result to report to the circuit.
func (h health) err() error {
	switch h {
	case healthy:
		return nil
	case unhealthy:
		return errFailing
	default:
		return errInconclusive
	}
}

// untilProbe returns how long the breaker stays open, at least 0.
func (b *breaker) untilProbe() time.Duration {
	return max(0, time.Until(time.Unix(0, b.opened.Load()).Add(b.openFor)))
}

func (b *breaker) state() string {
	if b == nil {
		return "off"
	}
	return b.circuit.State().String()
}
