package storm_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"conferenced/service/sandbox"
)

// naive is the client that is written in an afternoon: it posts, tries again on
// any error, and knows neither order nor request ids.
type naive struct {
	base string
	http *http.Client
}

const (
	naiveAttempts = 4
	naiveWait     = 4 * time.Millisecond
	naiveTimeout  = 300 * time.Millisecond
)

func newNaive(up *upstream) *naive {
	return &naive{
		base: "http://" + up.addr,
		http: &http.Client{Timeout: naiveTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
}

func (n *naive) send(ctx context.Context, c *call) answer {
	for range naiveAttempts {
		if id, ok := n.post(ctx, c.update); ok {
			return answer{heard: true, requestID: id}
		}
		timer := time.NewTimer(rand.N(naiveWait))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return answer{}
		}
	}
	return answer{heard: true, code: codes.Unknown, reason: "FAILED", applied: "maybe"}
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
