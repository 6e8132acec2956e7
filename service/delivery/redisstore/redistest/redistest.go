// Package redistest starts an imitation of Redis for tests. It is for tests only.
package redistest

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"
)

// Delays are of Redis's client, and end by themselves: they are no leak.
var Delays = goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1")

// Mini is an imitation of Redis on a port of loopback. Unlike miniredis alone, its
// keys expire as time passes.
type Mini struct {
	*miniredis.Miniredis
	// URL stays the same when it is closed and started again.
	URL string
}

// StartMini starts one that ends with the test.
func StartMini(t testing.TB) *Mini {
	t.Helper()
	server := miniredis.RunT(t)
	passTime(t, server)
	// It takes no other commands on a connection that listens. By protocol 2, clients
	// have another one for that.
	return &Mini{server, "redis://" + server.Addr() + "?protocol=2"}
}

// passTime lets keys expire, though never in the midst of a script, which miniredis
// would do by the clock.
func passTime(t testing.TB, server *miniredis.Miniredis) {
	ticker, done := time.NewTicker(10*time.Millisecond), make(chan struct{})
	go func() {
		defer close(done)
		for last := time.Now(); ; {
			select {
			case <-ticker.C:
				now := time.Now()
				server.FastForward(now.Sub(last))
				last = now
			case <-t.Context().Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		<-done
		ticker.Stop()
	})
}
