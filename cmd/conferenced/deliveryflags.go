package main

import (
	"errors"
	"fmt"
	"time"

	"conferenced/service/delivery"
)

// delivering are the flags that say how updates are delivered. Their defaults
// are those of delivery.Default.
type delivering struct {
	AttemptTimeout time.Duration `env:"CONFERENCED_ATTEMPT_TIMEOUT" default:"5s" help:"How long Twilio may take to answer one attempt (${default})."`
	AttemptGrace   time.Duration `env:"CONFERENCED_ATTEMPT_GRACE" default:"1s" help:"How long an attempt may go on after its caller is gone, so that its end is known to those after it (${default}); 0 cuts it off at once."`

	RetryAttempts int           `env:"CONFERENCED_RETRY_ATTEMPTS" default:"4" help:"How many attempts an update gets in all (${default}); 1 switches retries off."`
	RetryBase     time.Duration `env:"CONFERENCED_RETRY_BASE" default:"100ms" help:"The longest wait before the first retry (${default}). It doubles with each."`
	RetryCap      time.Duration `env:"CONFERENCED_RETRY_CAP" default:"2s" help:"The longest wait before any retry (${default}), unless Twilio asks for more."`

	Order               bool `env:"CONFERENCED_ORDER" default:"true" negatable:"" help:"Send the updates of a participant one at a time, in order of arrival. On by default."`
	QueuePerParticipant int  `env:"CONFERENCED_QUEUE_PER_PARTICIPANT" default:"64" help:"How many updates may wait for one participant (${default})."`

	LabelsMax       int           `env:"CONFERENCED_LABELS_MAX" default:"50000" help:"How many labels are remembered with their Call SID (${default})."`
	LabelsRetention time.Duration `env:"CONFERENCED_LABELS_RETENTION" default:"1h" help:"For how long after they were last seen (${default})."`

	RequestIDMax       int           `name:"request-id-max" env:"CONFERENCED_REQUEST_ID_MAX" default:"100000" help:"How many answers are kept for request ids (${default}); the oldest go first."`
	RequestIDRetention time.Duration `name:"request-id-retention" env:"CONFERENCED_REQUEST_ID_RETENTION" default:"10m" help:"For how long (${default}); 0 switches request ids off."`

	ConcurrencyMax int     `env:"CONFERENCED_CONCURRENCY_MAX" default:"1000" help:"The largest number of attempts that an account has in flight, per replica (${default}). A 429 from Twilio halves it, and it grows back. 0 switches the limit off."`
	ConcurrencyMin int     `env:"CONFERENCED_CONCURRENCY_MIN" default:"4" help:"A 429 lowers the limit to this at least (${default})."`
	Queue          int     `env:"CONFERENCED_QUEUE" default:"2000" help:"How many updates of an account may wait for the limits, per replica (${default})."`
	Rate           float64 `env:"CONFERENCED_RATE" default:"0" help:"How many attempts an account may start per second, per replica; 0, the default, sets no such limit."`
	RateBurst      int     `env:"CONFERENCED_RATE_BURST" default:"1" help:"How many of them at once (${default})."`

	BreakerFailures uint32        `env:"CONFERENCED_BREAKER_FAILURES" default:"20" help:"How many failures of Twilio's in a row stop an account's updates for a while (${default}); 0 switches the breaker off."`
	BreakerOpenFor  time.Duration `env:"CONFERENCED_BREAKER_OPEN_FOR" default:"5s" help:"For how long, before a probe is sent (${default})."`
	BreakerProbes   uint32        `env:"CONFERENCED_BREAKER_PROBES" default:"1" help:"How many probes are sent, and must succeed, before updates are sent again (${default})."`
}

// config is the flags as the delivery takes them.
func (d *delivering) config() delivery.Config {
	return delivery.Config{
		Grace:     d.AttemptGrace,
		Retrying:  delivery.Retrying{Attempts: d.RetryAttempts, Base: d.RetryBase, Cap: d.RetryCap},
		Unordered: !d.Order,
		Forgetful: d.RequestIDRetention == 0,
		Bounds: delivery.Bounds{
			Queue:  d.QueuePerParticipant,
			Labels: d.LabelsMax, LabelAge: d.LabelsRetention,
			Records: d.RequestIDMax, Retention: d.RequestIDRetention,
		},
		Limits: delivery.Limits{
			MaxConcurrency: d.ConcurrencyMax, MinConcurrency: d.ConcurrencyMin,
			Queue: d.Queue, Rate: d.Rate, Burst: d.RateBurst,
		},
		Breaking: delivery.Breaking{
			Failures: d.BreakerFailures, OpenFor: d.BreakerOpenFor, Probes: d.BreakerProbes,
		},
	}
}

// flagOf is the flag of each field of the delivery's configuration.
var flagOf = map[string]string{
	"Retrying.Attempts":     "--retry-attempts",
	"Retrying.Base":         "--retry-base",
	"Retrying.Cap":          "--retry-cap",
	"Limits.MaxConcurrency": "--concurrency-max",
	"Limits.MinConcurrency": "--concurrency-min",
	"Limits.Queue":          "--queue",
	"Limits.Rate":           "--rate",
	"Limits.Burst":          "--rate-burst",
	"Breaking.OpenFor":      "--breaker-open-for",
	"Breaking.Probes":       "--breaker-probes",
	"Bounds.Queue":          "--queue-per-participant",
	"Bounds.Labels":         "--labels-max",
	"Bounds.LabelAge":       "--labels-retention",
	"Bounds.Records":        "--request-id-max",
	"Bounds.Retention":      "--request-id-retention",
	"Grace":                 "--attempt-grace",
}

// check returns all problems, by flag.
func (d *delivering) check() error { return byFlag(d.config().Validate()) }

// byFlag names flags in place of fields.
func byFlag(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var errs []error
		for _, err := range joined.Unwrap() {
			errs = append(errs, byFlag(err))
		}
		return errors.Join(errs...)
	}
	if field, ok := errors.AsType[*delivery.FieldError](err); ok {
		return fmt.Errorf("%s %s", flagOf[field.Field], field.Problem)
	}
	return err
}
