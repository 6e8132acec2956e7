package main

import (
	"errors"
	"fmt"
	"time"

	"conferenced/service/delivery"
)

// delivering has the flags about delivery. Their defaults are those of delivery.Default.
type delivering struct {
	AttemptTimeout time.Duration `env:"CONFERENCED_ATTEMPT_TIMEOUT" default:"5s" help:"The timeout of one attempt (${default})."`
	AttemptGrace   time.Duration `env:"CONFERENCED_ATTEMPT_GRACE" default:"1s" help:"How long an attempt may continue after its caller has disconnected, so that the participant's next updates know its outcome (${default}); 0 ends it at once."`

	RetryAttempts int           `env:"CONFERENCED_RETRY_ATTEMPTS" default:"4" help:"The maximum number of attempts of an update (${default}); 1 switches retries off."`
	RetryBase     time.Duration `env:"CONFERENCED_RETRY_BASE" default:"100ms" help:"The maximum wait before the first retry (${default}). It doubles with each retry."`
	RetryCap      time.Duration `env:"CONFERENCED_RETRY_CAP" default:"2s" help:"The maximum wait before any retry (${default}), unless Twilio asks for more."`

	Order               bool `env:"CONFERENCED_ORDER" default:"true" negatable:"" help:"Send the updates of a participant one at a time, in order of arrival. On by default."`
	QueuePerParticipant int  `env:"CONFERENCED_QUEUE_PER_PARTICIPANT" default:"64" help:"The maximum number of updates that wait for one participant (${default})."`

	LabelsMax       int           `env:"CONFERENCED_LABELS_MAX" default:"50000" help:"The maximum number of labels whose Call SID is remembered (${default})."`
	LabelsRetention time.Duration `env:"CONFERENCED_LABELS_RETENTION" default:"1h" help:"How long a label is remembered after its last use (${default})."`

	RequestIDMax       int           `name:"request-id-max" env:"CONFERENCED_REQUEST_ID_MAX" default:"100000" help:"The maximum number of answers that are kept for request IDs (${default}); the oldest are dropped first."`
	RequestIDRetention time.Duration `name:"request-id-retention" env:"CONFERENCED_REQUEST_ID_RETENTION" default:"10m" help:"How long an answer is kept (${default}); 0 switches request IDs off."`

	ConcurrencyMax int     `env:"CONFERENCED_CONCURRENCY_MAX" default:"1000" help:"The maximum of the limit of an account's attempts in flight, per replica (${default}). A 429 from Twilio halves the limit, and it grows back. 0 switches it off."`
	ConcurrencyMin int     `env:"CONFERENCED_CONCURRENCY_MIN" default:"4" help:"The minimum of that limit (${default})."`
	Queue          int     `env:"CONFERENCED_QUEUE" default:"2000" help:"The maximum number of an account's updates that wait for the limits, per replica (${default})."`
	Rate           float64 `env:"CONFERENCED_RATE" default:"0" help:"The maximum number of attempts that an account starts per second, per replica; 0, the default, is no limit."`
	RateBurst      int     `env:"CONFERENCED_RATE_BURST" default:"1" help:"The maximum number of them at once (${default})."`

	BreakerFailures uint32        `env:"CONFERENCED_BREAKER_FAILURES" default:"20" help:"The number of consecutive failures of Twilio that open an account's breaker (${default}); 0 switches the breaker off."`
	BreakerOpenFor  time.Duration `env:"CONFERENCED_BREAKER_OPEN_FOR" default:"5s" help:"How long the breaker is open before a probe is sent (${default})."`
	BreakerProbes   uint32        `env:"CONFERENCED_BREAKER_PROBES" default:"1" help:"The number of probes that must succeed to close the breaker (${default})."`
}

// config returns the configuration of delivery.
func (d *delivering) config() delivery.Config {
	return delivery.Config{
		Grace:            d.AttemptGrace,
		Retrying:         delivery.Retrying{Attempts: d.RetryAttempts, Base: d.RetryBase, Cap: d.RetryCap},
		Unordered:        !d.Order,
		IgnoreRequestIDs: d.RequestIDRetention == 0,
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

// flagOf has the flag of each field of the configuration.
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

// check returns all errors, each with its flag.
func (d *delivering) check() error { return byFlag(d.config().Validate()) }

// byFlag replaces the fields in errors by flags.
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
