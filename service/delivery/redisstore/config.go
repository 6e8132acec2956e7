package redisstore

import (
	"cmp"
	"errors"
	"time"

	"github.com/redis/rueidis"

	"conferenced/service/invalid"
)

// Failure says which updates go on while Redis cannot be reached.
type Failure string

const (
	// Mixed refuses announcements and updates with a request id, which must not be
	// applied twice, and lets the others go on.
	Mixed Failure = "mixed"
	// Closed refuses every update.
	Closed Failure = "closed"
	// Open lets every update go on. Order and request ids are then kept within each
	// process only, and not across the time at which Redis is back.
	Open Failure = "open"
)

// Config says how Redis is reached.
type Config struct {
	// URL is redis://, rediss:// (TLS) or unix://, with an optional user and password.
	// ?addr=HOST:PORT adds a node of a cluster. With ?master_set=NAME all addresses
	// are those of sentinels.
	URL string
	// Password replaces that of the URL, unless it is empty.
	Password string
	// CAFile has the CAs for the certificates of rediss://, in PEM; "": the system's.
	// CertFile and KeyFile have the client's certificate and key, in PEM; "": none.
	// All are read again for each connection.
	CAFile, CertFile, KeyFile string
	// Failure is Mixed if it is empty.
	Failure Failure
	// Lease is how long a replica that has died keeps its places in queues and its
	// request ids; 0: 5 s. It must be the same for all replicas.
	Lease time.Duration
	// Timeout bounds each request to Redis; 0: 1 s.
	Timeout time.Duration
}

const (
	defaultLease   = 5 * time.Second
	defaultTimeout = time.Second
	leastLease     = 10 * time.Millisecond
	// maxFlushDelay bounds how long a request waits for others, to be written together
	// with them. A request that comes alone does not wait.
	maxFlushDelay = 500 * time.Microsecond
)

func (c Config) withDefaults() Config {
	c.Failure = cmp.Or(c.Failure, Mixed)
	c.Lease = cmp.Or(c.Lease, defaultLease)
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	return c
}

// Validate returns nil, or an [invalid.FieldError] for each problem of the
// configuration, joined. They never quote the URL.
func (c Config) Validate() error {
	c = c.withDefaults()
	_, err := c.options()
	return errors.Join(
		err,
		invalid.Unless(c.Failure == Mixed || c.Failure == Closed || c.Failure == Open,
			"redisstore.Failure", "must be mixed, closed or open, not %q", c.Failure),
		invalid.Unless(c.Lease >= leastLease, "redisstore.Lease", "must be at least %v, not %v", leastLease, c.Lease),
		invalid.Unless(c.Timeout > 0 && c.Timeout < c.Lease,
			"redisstore.Timeout", "must be more than 0 and less than the lease of %v, not %v", c.Lease, c.Timeout),
	)
}

// Address returns the first address in the URL, without user and password. The
// configuration must be valid.
func (c Config) Address() string {
	options, err := parseURL(c.URL)
	if err != nil || len(options.InitAddress) == 0 {
		return ""
	}
	return options.InitAddress[0]
}

// errURL leaves out the cause, which could quote a password.
var errURL = invalid.Fieldf("redisstore.URL",
	"must be redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss:// for TLS, or unix:///PATH")

func (c Config) options() (rueidis.ClientOption, error) {
	options, err := parseURL(c.URL)
	if err != nil {
		return options, err
	}
	if c.Password != "" {
		options.Password = c.Password
	}
	if err := c.secure(&options); err != nil {
		return options, err
	}
	options.Dialer.Timeout = cmp.Or(options.Dialer.Timeout, c.Timeout)
	options.Sentinel.Dialer = options.Dialer
	options.ConnWriteTimeout = cmp.Or(options.ConnWriteTimeout, 2*c.Timeout)
	options.DisableCache = true
	options.DisableRetry = true // A script that was sent may have been executed.
	// Otherwise the deadline of a request is set on the connection, so that a request
	// that times out ends other requests.
	options.AlwaysPipelining = true
	options.MaxFlushDelay = maxFlushDelay
	options.PipelineMultiplex = -1 // One connection to a node, made at the start.
	// Otherwise the master and the slots are looked up only when a change is
	// published, which can be missed.
	options.Sentinel.TopologyRefreshInterval = c.Lease
	options.ClusterOption.ShardsRefreshInterval = c.Lease
	return options, nil
}
