package redisstore

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/redis/rueidis"
)

// Failure says what becomes of an update while Redis cannot be asked.
type Failure string

const (
	// Mixed refuses announcements and updates with a request id, which would do
	// harm twice, and lets the others go on.
	Mixed Failure = "mixed"
	// Closed refuses every update.
	Closed Failure = "closed"
	// Open lets every update go on: order and request ids are then kept in each
	// process alone, and nothing is promised across the moment that Redis is back.
	Open Failure = "open"
)

// Config says how Redis is reached and trusted.
type Config struct {
	// URL is redis://, rediss:// (TLS) or unix://, with a user and a password if
	// there are any. More nodes of a cluster are given as ?addr=HOST:PORT, and
	// sentinels, as which the addresses are then taken, by ?master_set=NAME.
	URL string
	// Password is used instead of one in the URL, unless it is empty.
	Password string
	// CAFile has the CAs, in PEM, that certificates of rediss:// are verified by;
	// "": the system's. CertFile and KeyFile have this client's own, in PEM, if
	// Redis asks for one. All are read again for each connection.
	CAFile, CertFile, KeyFile string
	// Failure is Mixed if it is empty.
	Failure Failure
	// Lease is for how long a replica that says nothing keeps its turns and its
	// request ids; 0: 5 s. Replicas may not differ in it.
	Lease time.Duration
	// Timeout bounds each question to Redis; 0: 1 s.
	Timeout time.Duration
}

const (
	defaultLease   = 5 * time.Second
	defaultTimeout = time.Second
	leastLease     = 10 * time.Millisecond
)

// withDefaults fills in what is not set.
func (c Config) withDefaults() Config {
	c.Failure = cmp.Or(c.Failure, Mixed)
	c.Lease = cmp.Or(c.Lease, defaultLease)
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	return c
}

// Validate returns an error that names everything that is wrong with the
// configuration, joined, or nil. It never quotes the URL.
func (c Config) Validate() error {
	c = c.withDefaults()
	_, err := c.options()
	errs := []error{err}
	switch c.Failure {
	case Mixed, Closed, Open:
	default:
		errs = append(errs, fmt.Errorf("redisstore: Failure is %q, want mixed, closed or open", c.Failure))
	}
	if c.Lease < leastLease {
		errs = append(errs, fmt.Errorf("redisstore: Lease is %v, want at least %v", c.Lease, leastLease))
	}
	if c.Timeout <= 0 || c.Timeout >= c.Lease {
		errs = append(errs, fmt.Errorf("redisstore: Timeout is %v, want more than 0 and less than the lease", c.Timeout))
	}
	return errors.Join(errs...)
}

// errURL does not say what is wrong, for that could quote a password.
var errURL = errors.New("redisstore: URL is not one that can be read: want " +
	"redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss:// for TLS, or unix:///PATH")

// options are the client's.
func (c Config) options() (rueidis.ClientOption, error) {
	options, err := rueidis.ParseURL(c.URL)
	if err != nil {
		return options, errURL
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
	options.DisableRetry = true // A step that has been sent may have been made.
	// Otherwise the deadline of the one who asks is the connection's, and whoever
	// cannot wait that long takes it away from all others.
	options.AlwaysPipelining = true
	options.PipelineMultiplex = -1 // One connection to a node, made at the start.
	// Who is the master and which node has which slots is otherwise asked only when
	// there is word of a change, which can be missed.
	options.Sentinel.TopologyRefreshInterval = c.Lease
	options.ClusterOption.ShardsRefreshInterval = c.Lease
	return options, nil
}
