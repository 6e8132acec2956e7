package delivery

import (
	"errors"
	"math"
	"time"

	"conferenced/service/invalid"
)

// Config configures a [Deliverer]. [Default] returns the usual values.
type Config struct {
	Retrying Retrying
	Limits   Limits
	Breaking Breaking
	Bounds   Bounds
	// Unordered disables the participants' queues: updates of one participant may be in
	// flight at the same time and overtake each other.
	Unordered bool
	// IgnoreRequestIDs disables idempotency: each update is sent, whatever its request
	// ID.
	IgnoreRequestIDs bool
	// Grace is how long an attempt in flight continues after its caller has left, so
	// that its result can be used by duplicates and by the participant's queue. 0
	// cancels the attempt with its caller.
	Grace time.Duration
}

// Default returns the configuration that is used unless flags change it.
func Default() Config {
	return Config{
		Retrying: Retrying{Attempts: 4, Base: 100 * time.Millisecond, Cap: 2 * time.Second},
		Limits:   Limits{MaxConcurrency: 1000, MinConcurrency: 4, Queue: 2000, Burst: 1},
		Breaking: Breaking{Failures: 20, OpenFor: 5 * time.Second, Probes: 1},
		Bounds: Bounds{
			Queue:  64,
			Labels: 50_000, LabelAge: time.Hour,
			Records: 100_000, Retention: 10 * time.Minute,
		},
		Grace: time.Second,
	}
}

// Validate returns nil, or a joined error with an [invalid.FieldError] for each
// problem of the configuration. Fields of a mechanism that is switched off are not checked.
func (c Config) Validate() error {
	return errors.Join(
		c.Retrying.validate(),
		c.Limits.validate(),
		c.Breaking.validate(),
		c.Bounds.validate(c.Unordered, c.IgnoreRequestIDs),
		atLeast("Grace", c.Grace, 0),
	)
}

func (r Retrying) validate() error {
	return errors.Join(
		atLeast("Retrying.Attempts", r.Attempts, 1),
		atLeast("Retrying.Base", r.Base, 0),
		atLeast("Retrying.Cap", r.Cap, 0),
		atMost("Retrying.Cap", r.Cap, maxDuration),
	)
}

func (l Limits) validate() error {
	errs := []error{
		atLeast("Limits.MaxConcurrency", l.MaxConcurrency, 0),
		atLeast("Limits.Queue", l.Queue, 0),
	}
	if l.MaxConcurrency > 0 {
		errs = append(errs,
			atLeast("Limits.MinConcurrency", l.MinConcurrency, 1),
			atMost("Limits.MinConcurrency", l.MinConcurrency, l.MaxConcurrency))
	}
	if l.Rate != 0 {
		errs = append(errs, l.validateRate(), atLeast("Limits.Burst", l.Burst, 1))
	}
	return errors.Join(errs...)
}

// validateRate bounds the rate so that a wait for it fits in a time.Duration.
func (l Limits) validateRate() error {
	const slowest = 1e-3
	if l.Rate >= slowest && !math.IsInf(l.Rate, 1) {
		return nil
	}
	return invalid.Fieldf("delivery.Limits.Rate", "must be 0 or at least %v, not %v", slowest, l.Rate)
}

func (b Breaking) validate() error {
	if b.Failures == 0 {
		return nil
	}
	return errors.Join(
		atLeast("Breaking.OpenFor", b.OpenFor, 1),
		atLeast("Breaking.Probes", b.Probes, 1),
	)
}

func (b Bounds) validate(unordered, ignoreRequestIDs bool) error {
	var errs []error
	if !unordered {
		errs = append(errs,
			atLeast("Bounds.Queue", b.Queue, 1),
			atLeast("Bounds.Labels", b.Labels, 1),
			atLeast("Bounds.LabelAge", b.LabelAge, 1))
	}
	if !ignoreRequestIDs {
		errs = append(errs,
			atLeast("Bounds.Records", b.Records, 1),
			atLeast("Bounds.Retention", b.Retention, 1))
	}
	return errors.Join(errs...)
}

// maxDuration is longer than any useful wait, and small enough not to overflow.
const maxDuration = 1000 * time.Hour

func atLeast[N int | uint32 | time.Duration](name string, value, least N) error {
	if value >= least {
		return nil
	}
	return invalid.Fieldf("delivery."+name, "must be at least %v, not %v", least, value)
}

func atMost[N int | uint32 | time.Duration](name string, value, most N) error {
	if value <= most {
		return nil
	}
	return invalid.Fieldf("delivery."+name, "must be at most %v, not %v", most, value)
}
