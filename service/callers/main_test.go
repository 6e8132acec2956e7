package callers

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"conferenced/service/leaktest"

	"google.golang.org/grpc/metadata"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Run(m)) }

// noon is the present time of the tests.
var noon = time.Date(2027, time.March, 1, 12, 0, 0, 0, time.UTC)

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: noon} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// withAuthorization is the context of a call with these authorization values.
func withAuthorization(ctx context.Context, values ...string) context.Context {
	return metadata.NewIncomingContext(ctx, metadata.MD{"authorization": values})
}

func mustParseTokens(t testing.TB, text string) *Tokens {
	t.Helper()
	tokens, err := ParseTokens("", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func mustParsePolicy(t testing.TB, text string) *Policy {
	t.Helper()
	policy, err := ParsePolicy("", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
