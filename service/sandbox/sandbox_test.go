package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"conferenced/service/leaktest"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Run(m)) }

// began is the time at which each stage's clock starts, and began1 a second later,
// in Twilio's format.
const (
	began  = "Fri, 18 Feb 2011 21:07:19 +0000"
	began1 = "Fri, 18 Feb 2011 21:07:20 +0000"
)

// A clock shows the same time until it is advanced.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2011, 2, 18, 21, 7, 19, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A stage is a sandbox with a real server and its client.
type stage struct {
	*Sandbox
	t      *testing.T
	clock  *clock
	server *httptest.Server
}

func newStage(t *testing.T, config Config) *stage {
	t.Helper()
	c := newClock()
	config.Now = c.Now
	s := &stage{Sandbox: New(config), t: t, clock: c}
	s.server = httptest.NewServer(s.Sandbox)
	t.Cleanup(func() {
		s.Close()
		s.server.Close()
	})
	return s
}

// A reply is an answer as the client receives it.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) json(t *testing.T) map[string]any {
	t.Helper()
	var decoded map[string]any
	if err := json.Unmarshal([]byte(r.body), &decoded); err != nil {
		t.Fatalf("answer %d is not JSON: %v\n%s", r.status, err, r.body)
	}
	return decoded
}

// outcome returns the status, and the code of an error.
func (r reply) outcome() string {
	var body struct {
		Code int `json:"code"`
	}
	if json.Unmarshal([]byte(r.body), &body) != nil || body.Code == 0 {
		return fmt.Sprint(r.status)
	}
	return fmt.Sprintf("%d/%d", r.status, body.Code)
}

func newRequest(t *testing.T, base, method, path, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(AccountSID, AuthToken)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

func (s *stage) request(method, path, body string) *http.Request {
	s.t.Helper()
	return newRequest(s.t, s.server.URL, method, path, body)
}

func (s *stage) try(r *http.Request) (reply, error) {
	answer, err := s.server.Client().Do(r)
	if err != nil {
		return reply{}, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return reply{answer.StatusCode, answer.Header, string(body)}, err
}

func (s *stage) do(r *http.Request) reply {
	s.t.Helper()
	got, err := s.try(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

func (s *stage) get(path string) reply {
	s.t.Helper()
	return s.do(s.request(http.MethodGet, path, ""))
}

// update posts a form to a participant. Its key is escaped.
func (s *stage) update(key, form string) reply {
	s.t.Helper()
	return s.do(s.request(http.MethodPost, participantPath(key), form))
}

// participant returns the state of a participant of the conference in progress.
func (s *stage) participant(key string) *Participant {
	s.t.Helper()
	p := s.State().Accounts[0].Conferences[0].participant(key)
	if p == nil {
		s.t.Fatalf("no participant %q", key)
	}
	return p
}

func participantsPath(conference string) string {
	return "/2010-04-01/Accounts/" + AccountSID + "/Conferences/" + conference + "/Participants"
}

func participantPath(key string) string { return participantsPath(ConferenceSID) + "/" + key + ".json" }

func TestConcurrentUpdatesAreAllInTheJournal(t *testing.T) {
	const clients, updates = 8, 40
	s := newStage(t, Config{ErrorRate: 0.2, Seed: 1})
	var wg sync.WaitGroup
	for client := range clients {
		wg.Go(func() {
			for i := range updates {
				form := fmt.Sprintf("AnnounceUrl=http://example.com/%d-%d", client, i)
				_, _ = s.try(s.request(http.MethodPost, participantPath("customer"), form))
				_ = s.State()
			}
		})
	}
	wg.Wait()

	journal, faults := s.Journal(), s.State().FaultsServed
	lost := faults[string(TooManyRequests)] + faults[string(Unavailable)] + faults[string(Reset)]
	if want := clients*updates - lost; len(journal) != want {
		t.Errorf("%d updates were journaled, want %d", len(journal), want)
	}
	var urls []string
	for i, entry := range journal {
		if i > 0 && entry.Seq <= journal[i-1].Seq {
			t.Fatalf("entry %d has the number %d", i, entry.Seq)
		}
		urls = append(urls, entry.Form.Get("AnnounceUrl"))
	}
	var played []string
	for _, a := range s.participant("customer").Announcements {
		played = append(played, a.URL)
	}
	diff(t, urls, played)
}

func TestReset(t *testing.T) {
	s := newStage(t, Config{})
	before := s.State()
	s.update(AgentSID, "Muted=true&WaitUrl=")
	s.update("fault:429x2", "Muted=true")
	s.Reset()
	diff(t, before, s.State())
	if got := s.update("fault:429x2", "Muted=true").outcome(); got != "429/20429" {
		t.Errorf("after a reset the first update answers %s, want 429/20429", got)
	}
}

func TestStateIsACopy(t *testing.T) {
	s := newStage(t, Config{})
	s.update(AgentSID, "WaitUrl=&AnnounceUrl=http://example.com/a.mp3")
	want := s.State()
	given := s.State()
	agent := given.Accounts[0].Conferences[0].Participants[0]
	agent.Muted, *agent.WaitURL, agent.Announcements[0].URL = true, "changed", "changed"
	given.FaultsServed["503"] = 9
	diff(t, want, s.State())
}

func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Latency: 250 * time.Millisecond})
		started := time.Now()
		w := httptest.NewRecorder()
		s.ServeHTTP(w, newRequest(t, "http://sandbox", http.MethodPost, participantPath(AgentSID), "Muted=true"))
		if took := time.Since(started); w.Code != http.StatusOK || took != 250*time.Millisecond {
			t.Errorf("answered %d after %v, want 200 after 250ms", w.Code, took)
		}
		if got := w.Header().Get("Twilio-Request-Duration"); got != "0.250" {
			t.Errorf("Twilio-Request-Duration is %q, want 0.250", got)
		}
	})
}

func TestRequestIsNotAppliedAfterDisconnectDuringLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Latency: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := newRequest(t, "http://sandbox", http.MethodPost, participantPath(AgentSID), "Muted=true")
		s.ServeHTTP(httptest.NewRecorder(), r.WithContext(ctx))
		if n := len(s.Journal()); n != 0 {
			t.Errorf("%d updates were applied, want none", n)
		}
	})
}

func TestConcurrencyLimit(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	s := newStage(t, Config{Concurrency: 1, Fault: func(r *http.Request) Fault {
		if strings.Contains(r.URL.Path, "customer") {
			close(arrived)
			<-release
		}
		return Fault{}
	}})
	held := make(chan reply, 1)
	r := s.request(http.MethodPost, participantPath("customer"), "Muted=true")
	go func() {
		got, _ := s.try(r)
		held <- got
	}()
	<-arrived
	refused := s.update(AgentSID, "Muted=true")
	close(release)

	if got := refused.outcome(); got != "429/20429" {
		t.Errorf("the second request is answered %s, want 429/20429", got)
	}
	if got := refused.header.Get("Twilio-Concurrent-Requests"); got != "2" {
		t.Errorf("Twilio-Concurrent-Requests is %q, want 2", got)
	}
	if got := (<-held).outcome(); got != "200" {
		t.Errorf("the first request is answered %s, want 200", got)
	}
	if got := s.update(AgentSID, "Muted=true").outcome(); got != "200" {
		t.Errorf("a request after both is answered %s, want 200", got)
	}
	diff(t, map[string]int{"concurrency": 1}, s.State().FaultsServed)
}

func TestRequestIDsAreUnique(t *testing.T) {
	s := newStage(t, Config{})
	seen := map[string]bool{}
	for range 20 {
		id := s.get(participantPath(AgentSID)).header.Get("Twilio-Request-Id")
		if len(id) != 34 || !strings.HasPrefix(id, "RQ") || seen[id] {
			t.Fatalf("Twilio-Request-Id %q is malformed or used twice", id)
		}
		seen[id] = true
	}
}
