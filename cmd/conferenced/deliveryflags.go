package main

import (
	"time"

	"conferenced/service/delivery"
)

// delivering has the flags about delivery. Their defaults are those of delivery.Default.
type delivering struct {
	AttemptTimeout time.Duration `env:"CONFERENCED_ATTEMPT_TIMEOUT" default:"5s" help:"How long Twilio may take to answer."`
	AttemptGrace   time.Duration `field:"delivery.Grace" env:"CONFERENCED_ATTEMPT_GRACE" default:"1s" help:"How long an attempt may continue after its caller has disconnected, so that the participant's next updates know its outcome; 0 ends it at once."`

	RetryAttempts int           `field:"delivery.Retrying.Attempts" env:"CONFERENCED_RETRY_ATTEMPTS" default:"4" help:"The maximum number of attempts of an update; 1 switches retries off."`
	RetryBase     time.Duration `field:"delivery.Retrying.Base" env:"CONFERENCED_RETRY_BASE" default:"100ms" help:"The maximum wait before the first retry. It doubles with each retry."`
	RetryCap      time.Duration `field:"delivery.Retrying.Cap" env:"CONFERENCED_RETRY_CAP" default:"2s" help:"The maximum wait before any retry, unless Twilio asks for more."`

	Order               bool `env:"CONFERENCED_ORDER" default:"true" negatable:"" help:"Send the updates of a participant one at a time, in order of arrival. On by default."`
	QueuePerParticipant int  `field:"delivery.Bounds.Queue" env:"CONFERENCED_QUEUE_PER_PARTICIPANT" default:"64" help:"The maximum number of updates that wait for one participant."`

	LabelsMax       int           `field:"delivery.Bounds.Labels" env:"CONFERENCED_LABELS_MAX" default:"50000" help:"The maximum number of labels whose Call SID is remembered."`
	LabelsRetention time.Duration `field:"delivery.Bounds.LabelAge" env:"CONFERENCED_LABELS_RETENTION" default:"1h" help:"How long a label is remembered after its last use."`

	RequestIDMax       int           `name:"request-id-max" field:"delivery.Bounds.Records" env:"CONFERENCED_REQUEST_ID_MAX" default:"100000" help:"The maximum number of answers that are kept for request IDs; the oldest are dropped first."`
	RequestIDRetention time.Duration `name:"request-id-retention" field:"delivery.Bounds.Retention" env:"CONFERENCED_REQUEST_ID_RETENTION" default:"10m" help:"How long an answer is kept; 0 switches request IDs off."`

	ConcurrencyMax int     `field:"delivery.Limits.MaxConcurrency" env:"CONFERENCED_CONCURRENCY_MAX" default:"1000" help:"The maximum of the limit of an account's attempts in flight, per replica. A 429 from Twilio halves the limit, and it grows back. 0 switches it off."`
	ConcurrencyMin int     `field:"delivery.Limits.MinConcurrency" env:"CONFERENCED_CONCURRENCY_MIN" default:"4" help:"The minimum of that limit."`
	Queue          int     `field:"delivery.Limits.Queue" env:"CONFERENCED_QUEUE" default:"2000" help:"The maximum number of an account's updates that wait for the limits, per replica."`
	Rate           float64 `field:"delivery.Limits.Rate" env:"CONFERENCED_RATE" default:"0" help:"The maximum number of attempts that an account starts per second, per replica; 0 is no limit."`
	RateBurst      int     `field:"delivery.Limits.Burst" env:"CONFERENCED_RATE_BURST" default:"1" help:"The maximum number of them at once."`

	BreakerFailures uint32        `env:"CONFERENCED_BREAKER_FAILURES" default:"20" help:"The number of consecutive failures of Twilio that open an account's breaker; 0 switches the breaker off."`
	BreakerOpenFor  time.Duration `field:"delivery.Breaking.OpenFor" env:"CONFERENCED_BREAKER_OPEN_FOR" default:"5s" help:"How long the breaker is open before a probe is sent."`
	BreakerProbes   uint32        `field:"delivery.Breaking.Probes" env:"CONFERENCED_BREAKER_PROBES" default:"1" help:"The number of probes that must succeed to close the breaker."`
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
