package storm_test

import (
	"context"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"conferenced/service/sandbox"
)

// naive is a simple client: it retries on any error, has neither order nor request
// IDs, and, if it debounces, drops an update as soon as a newer one of the same
// properties arrives.
type naive struct {
	base      string
	http      *http.Client
	debounces bool

	mu     sync.Mutex
	newest map[string]*update // By participant and properties.
}

const (
	naiveAttempts = 4
	naiveWait     = 4 * time.Millisecond
	naiveDebounce = 30 * time.Millisecond // Before the first attempt.
	naiveTimeout  = 300 * time.Millisecond
)

func newNaive(up *upstream, debounces bool) *naive {
	return &naive{
		base:      "http://" + up.addr,
		debounces: debounces,
		http:      &http.Client{Timeout: naiveTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},

		newest: map[string]*update{},
	}
}

// replaced records the update if it is new, and reports whether a newer one has
// arrived.
func (n *naive) replaced(u *update, isNew bool) bool {
	key := u.participant.CallSID + " " + strings.Join(slices.Sorted(maps.Keys(u.form)), " ")
	n.mu.Lock()
	defer n.mu.Unlock()
	if isNew {
		n.newest[key] = u
	}
	return n.debounces && n.newest[key] != u && !u.announces()
}

func (n *naive) send(ctx context.Context, c *call) answer {
	n.replaced(c.update, true)
	applied, wait := "no", rand.N(naiveWait)
	if n.debounces {
		wait = naiveDebounce
	}
	for range naiveAttempts {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			if applied == "no" {
				return answer{answered: true, code: codes.DeadlineExceeded, reason: "DEADLINE", applied: applied}
			}
			return answer{}
		}
		if n.replaced(c.update, false) {
			return answer{answered: true, code: codes.Aborted, reason: "SUPERSEDED", applied: applied}
		}
		applied, wait = "maybe", rand.N(naiveWait)
		if id, ok := n.post(ctx, c.update); ok {
			return answer{answered: true, requestID: id}
		}
	}
	return answer{answered: true, code: codes.Unknown, reason: "FAILED", applied: applied}
}

func (n *naive) post(ctx context.Context, u *update) (requestID string, ok bool) {
	target := n.base + "/2010-04-01/Accounts/" + sandbox.AccountSID + "/Conferences/" + sandbox.ConferenceSID +
		"/Participants/" + url.PathEscape(u.name()) + ".json"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(u.form.Encode()))
	if err != nil {
		return "", false
	}
	request.SetBasicAuth(sandbox.AccountSID, sandbox.AuthToken)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := n.http.Do(request)
	if err != nil {
		return "", false
	}
	defer response.Body.Close()
	var participant map[string]any
	if json.NewDecoder(response.Body).Decode(&participant) != nil || response.StatusCode != http.StatusOK {
		return "", false
	}
	return response.Header.Get("Twilio-Request-Id"), true
}
