package main

import (
	"testing"
	"time"

	"conferenced/service/delivery/redisstore"
)

func TestRedisFlags(t *testing.T) {
	file := writerIn(t, t.TempDir())("password", "hidden\n")
	flags := sharing{
		RedisURL: "rediss://user@redis.test:6380/2?addr=other.test:6380", RedisPasswordFile: file,
		RedisFailure: "open", RedisLease: time.Minute, RedisTimeout: time.Second,
	}
	got, err := flags.config()
	want := redisstore.Config{
		URL: flags.RedisURL, Password: "hidden", Failure: redisstore.Open, Lease: time.Minute, Timeout: time.Second,
	}
	if err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

// TestEmptyRedisSettingsAreNone: compose.yaml passes them on if they are unset.
func TestEmptyRedisSettingsAreNone(t *testing.T) {
	t.Setenv("CONFERENCED_REDIS_URL", "")
	t.Setenv("CONFERENCED_REDIS_PASSWORD_FILE", "")
	runStopped(t, "sandbox").check(t, 0)

	t.Setenv("CONFERENCED_REDIS_PASSWORD_FILE", "/does/not/exist")
	runStopped(t, "sandbox", "--redis-ca-file=/does/not/exist").check(t, 2,
		"--redis-password-file (CONFERENCED_REDIS_PASSWORD_FILE): needs --redis-url\n"+
			"--redis-ca-file (CONFERENCED_REDIS_CA_FILE): needs --redis-url\n")

	t.Setenv("CONFERENCED_REDIS_URL", "redis://127.0.0.1:1")
	runStopped(t, "sandbox").check(t, 2, "/does/not/exist")

	t.Setenv("CONFERENCED_REDIS_PASSWORD_FILE", "")
	runStopped(t, "sandbox").check(t, 0)
}
