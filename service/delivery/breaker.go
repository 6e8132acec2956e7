package delivery

import (
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

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
		IsSuccessful: func(err error) bool { return !isDown(err) },
		IsExcluded:   saysNothing,
	})
	return b
}

// allow returns what is to be told the attempt's error, or a *RefusedError with
// CircuitOpen.
func (b *breaker) allow() (func(error), error) {
	if b == nil {
		return func(error) {}, nil
	}
	done, err := b.circuit.Allow()
	if err != nil {
		return nil, &RefusedError{Reason: CircuitOpen, RetryAfter: b.left()}
	}
	return done, nil
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

// isDown says whether the error speaks of Twilio's health rather than of the
// update: it could not be reached, or it failed, or its answer did not come.
func isDown(err error) bool {
	if answered, ok := errors.AsType[*twilio.Error](err); ok {
		return answered.HTTPStatus >= http.StatusInternalServerError
	}
	_, lost := errors.AsType[*twilio.TransportError](err)
	return lost
}

// saysNothing says whether the attempt ended without a word about Twilio's
// health: it was not made, or it was cut off at once with the one who asked.
func saysNothing(err error) bool {
	if err == nil {
		return false
	}
	var (
		refused   *RefusedError
		malformed *twilio.RequestError
	)
	return isContext(err) || errors.Is(err, errPanicked) ||
		errors.As(err, &refused) || errors.As(err, &malformed)
}
