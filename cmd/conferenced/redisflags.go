package main

import (
	"os"
	"strings"
	"time"

	"conferenced/service/delivery/redisstore"
)

// sharing has the flags of the state that replicas share.
type sharing struct {
	RedisURL          string        `name:"redis-url" env:"CONFERENCED_REDIS_URL" placeholder:"URL" help:"Redis that replicas share their state in: redis://HOST[:PORT], rediss:// for TLS, or unix:///PATH. Without it, the state is in memory."`
	RedisPasswordFile string        `env:"CONFERENCED_REDIS_PASSWORD_FILE" placeholder:"FILE" help:"A file with the password of Redis."`
	RedisCAFile       string        `name:"redis-ca-file" env:"CONFERENCED_REDIS_CA_FILE" placeholder:"FILE" help:"The CAs that the certificate of a Redis over TLS is verified by, in PEM. Without it: the system's."`
	RedisCertFile     string        `env:"CONFERENCED_REDIS_CERT_FILE" placeholder:"FILE" help:"The certificate that Redis is shown, in PEM, if it asks for one."`
	RedisKeyFile      string        `env:"CONFERENCED_REDIS_KEY_FILE" placeholder:"FILE" help:"Its key, in PEM."`
	RedisFailure      string        `env:"CONFERENCED_REDIS_FAILURE" default:"mixed" enum:"mixed,closed,open" help:"Which updates go on while Redis cannot be reached: ${enum} (${default}). Mixed refuses announcements and updates with a request id, closed refuses all, open none."`
	RedisLease        time.Duration `env:"CONFERENCED_REDIS_LEASE" default:"5s" help:"How long a replica that has died keeps its places in queues and its request ids (${default}). The same for all replicas."`
	RedisTimeout      time.Duration `env:"CONFERENCED_REDIS_TIMEOUT" default:"1s" help:"How long Redis may take to answer a request (${default})."`
}

// config returns the store's configuration. Without a URL the other flags are ignored.
func (s *sharing) config() (redisstore.Config, error) {
	if s.RedisURL == "" {
		return redisstore.Config{}, nil
	}
	cfg := redisstore.Config{
		URL: s.RedisURL, Failure: redisstore.Failure(s.RedisFailure), Lease: s.RedisLease, Timeout: s.RedisTimeout,
		CAFile: s.RedisCAFile, CertFile: s.RedisCertFile, KeyFile: s.RedisKeyFile,
	}
	if s.RedisPasswordFile != "" {
		password, err := os.ReadFile(s.RedisPasswordFile)
		if err != nil {
			return cfg, usageError{err}
		}
		cfg.Password = strings.TrimSpace(string(password))
	}
	if err := cfg.Validate(); err != nil {
		return cfg, usageError{err}
	}
	return cfg, nil
}
