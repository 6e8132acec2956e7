package main

import (
	"errors"
	"time"

	"conferenced/service/delivery/redisstore"
	"conferenced/service/invalid"
	"conferenced/service/settings"
)

// sharing has the flags of the shared state.
type sharing struct {
	RedisURL          string        `name:"redis-url" field:"redisstore.URL" env:"CONFERENCED_REDIS_URL" placeholder:"URL" help:"The Redis in which replicas share their state: redis://HOST[:PORT], rediss:// for TLS, or unix:///PATH. A password in it is accepted only from the environment. Without it, the state is in memory."`
	RedisPasswordFile string        `env:"CONFERENCED_REDIS_PASSWORD_FILE" placeholder:"FILE" help:"A file with the password of Redis."`
	RedisCAFile       string        `name:"redis-ca-file" field:"redisstore.CAFile" env:"CONFERENCED_REDIS_CA_FILE" placeholder:"FILE" help:"The CAs that verify Redis's certificate, in PEM. Without it: the system's."`
	RedisCertFile     string        `field:"redisstore.CertFile" env:"CONFERENCED_REDIS_CERT_FILE" placeholder:"FILE" help:"The client certificate for Redis, in PEM."`
	RedisKeyFile      string        `field:"redisstore.KeyFile" env:"CONFERENCED_REDIS_KEY_FILE" placeholder:"FILE" help:"Its key, in PEM."`
	RedisFailure      string        `field:"redisstore.Failure" env:"CONFERENCED_REDIS_FAILURE" default:"mixed" enum:"mixed,closed,open" help:"What happens to updates while Redis is down: ${enum}. Mixed refuses announcements and updates with a request ID; other updates proceed."`
	RedisLease        time.Duration `field:"redisstore.Lease" env:"CONFERENCED_REDIS_LEASE" default:"5s" help:"How long the lease of a replica lasts that no longer renews it. It must be the same for all replicas."`
	RedisTimeout      time.Duration `field:"redisstore.Timeout" env:"CONFERENCED_REDIS_TIMEOUT" default:"1s" help:"The timeout of a request to Redis."`
}

// config returns the configuration of the store. Without a URL, it refuses files, and
// ignores the other flags, which have defaults.
func (s *sharing) config() (redisstore.Config, error) {
	if s.RedisURL == "" {
		return redisstore.Config{}, s.refuseFiles()
	}
	cfg := redisstore.Config{
		URL: s.RedisURL, Failure: redisstore.Failure(s.RedisFailure), Lease: s.RedisLease, Timeout: s.RedisTimeout,
		CAFile: s.RedisCAFile, CertFile: s.RedisCertFile, KeyFile: s.RedisKeyFile,
	}
	if s.RedisPasswordFile == "" {
		return cfg, nil
	}
	var err error
	cfg.Password, err = settings.ReadPassword(s.RedisPasswordFile)
	return cfg, invalid.Field("--redis-password-file", err)
}

func (s *sharing) refuseFiles() error {
	const problem = "needs --redis-url"
	return errors.Join(
		invalid.Unless(s.RedisPasswordFile == "", "--redis-password-file", problem),
		invalid.Unless(s.RedisCAFile == "", "--redis-ca-file", problem),
		invalid.Unless(s.RedisCertFile == "", "--redis-cert-file", problem),
		invalid.Unless(s.RedisKeyFile == "", "--redis-key-file", problem),
	)
}
