package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// announce sends an update and returns what the client sees.
func (s *stage) announce(key string) string {
	s.t.Helper()
	return s.observe(s.request(http.MethodPost, participantPath(key), "AnnounceUrl=http://example.com/a"))
}

// observe sends a request and returns what the client sees.
func (s *stage) observe(r *http.Request) string {
	s.t.Helper()
	got, err := s.try(r)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF) && got.status != 0:
		return fmt.Sprintf("%d cut short", got.status)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF):
		return "reset"
	case err != nil:
		return err.Error()
	case strings.HasPrefix(got.header.Get("Content-Type"), "text/html"):
		return fmt.Sprintf("%d HTML", got.status)
	}
	return got.outcome()
}

// faultCases are the faults that do not hang.
var faultCases = map[string]struct {
	fault   Fault
	sees    string
	applied bool
}{
	"fault:429":       {Fault{Kind: TooManyRequests}, "429/20429", false},
	"fault:503":       {Fault{Kind: Unavailable}, "503/20503", false},
	"fault:500-after": {Fault{Kind: FailAfter}, "500/20500", true},
	"fault:reset":     {Fault{Kind: Reset}, "reset", false},
	"fault:reset-after": {
		Fault{Kind: ResetAfter}, "reset", true,
	},
	"fault:html":      {Fault{Kind: HTML}, "503 HTML", false},
	"fault:truncated": {Fault{Kind: Truncated}, "200 cut short", true},
	"fault:slow=1ms":  {Fault{Kind: Slow, Delay: Duration(time.Millisecond)}, "200", true},
	"fault:401":       {Fault{Kind: Unauthorized}, "401/20003", false},
	"fault:conflict":  {Fault{Kind: Conflict}, "409/20409", false},
	"fault:408":       {Fault{Kind: RequestTimeout}, "408", false},
}

func TestFaultLabels(t *testing.T) {
	for label, test := range faultCases {
		t.Run(label, func(t *testing.T) {
			s := newStage(t, Config{})
			diff(t, test.sees, s.announce(label))
			p := s.participant(label)
			diff(t, test.sees, s.announce(p.CallSID))
			diff(t, map[string]int{string(test.fault.Kind): 2}, s.State().FaultsServed)

			want := 0
			if test.applied {
				want = 2
			}
			p = s.participant(label)
			diff(t, []int{want, want, 2}, []int{len(s.Journal()), len(p.Announcements), p.FaultsServed})
			diff(t, "200", s.get(participantPath(label)).outcome())
		})
	}
}

func TestConfigFault(t *testing.T) {
	for label, test := range faultCases {
		t.Run(label, func(t *testing.T) {
			s := newStage(t, Config{Fault: func(r *http.Request) Fault {
				body, err := io.ReadAll(r.Body)
				if err != nil || !strings.Contains(string(body), "AnnounceUrl") {
					return Fault{}
				}
				return test.fault
			}})
			diff(t, test.sees, s.announce(AgentSID))
			diff(t, test.applied, len(s.Journal()) == 1)
			diff(t, map[string]int{string(test.fault.Kind): 1}, s.State().FaultsServed)
			diff(t, "200", s.update(AgentSID, "Muted=true").outcome())
		})
	}
}

func TestFaultLabelsWithNumberOfTimes(t *testing.T) {
	tests := map[string][]string{
		"fault:429x2":         {"429/20429", "429/20429", "200", "200"},
		"fault:429x1":         {"429/20429", "200"},
		"fault:500-afterx1":   {"500/20500", "200"},
		"fault:resetx2":       {"reset", "reset", "200"},
		"fault:slow=2msx1":    {"200", "200"},
		"fault:truncatedx1":   {"200 cut short", "200"},
		"fault:reset-afterx1": {"reset", "200"},
	}
	for label, want := range tests {
		t.Run(label, func(t *testing.T) {
			s := newStage(t, Config{})
			var got []string
			for range want {
				got = append(got, s.announce(label))
			}
			diff(t, want, got)
		})
	}
}

func TestFaultsAfterApplyingKeepErrors(t *testing.T) {
	s := newStage(t, Config{})
	for _, label := range []string{"fault:500-after", "fault:reset-after", "fault:truncated"} {
		diff(t, "400/21205", s.update(label, "HoldUrl=no").outcome())
	}
	diff(t, "503/20503", s.update("fault:503", "HoldUrl=no").outcome())
	diff(t, 0, len(s.Journal()))
	diff(t, map[string]int{"503": 1}, s.State().FaultsServed)
}

func TestTruncatedAnswerIsHalf(t *testing.T) {
	s := newStage(t, Config{})
	got, err := s.try(s.request(http.MethodPost, participantPath("fault:truncated"), "Muted=true"))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the error is %v, want an unexpected EOF", err)
	}
	whole := s.get(participantPath("fault:truncated"))
	diff(t, whole.header.Get("Content-Length"), got.header.Get("Content-Length"))
	diff(t, whole.body[:len(whole.body)/2], got.body)
}

func TestSlowAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		started := time.Now()
		w := httptest.NewRecorder()
		s.ServeHTTP(w, newRequest(t, "http://sandbox", http.MethodPost, participantPath("fault:slow=300ms"), "Muted=true"))
		diff(t, []any{200, 300 * time.Millisecond}, []any{w.Code, time.Since(started)})
	})
}

func TestSlowUpdateIsNotAppliedAfterDisconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		r := newRequest(t, "http://sandbox", http.MethodPost, participantPath("fault:slow=1m"), "Muted=true")
		s.ServeHTTP(httptest.NewRecorder(), r.WithContext(ctx))
		diff(t, 0, len(s.Journal()))
	})
}

func TestSlowUpdateIsNotFoundAfterReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		time.AfterFunc(time.Second, s.Reset)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, newRequest(t, "http://sandbox", http.MethodPost, participantPath("fault:slow=1m"), "Muted=true"))
		diff(t, []int{404, 0}, []int{w.Code, len(s.Journal())})
	})
}

// hangingStage returns a stage with a client that waits for the answer of a hanging
// request. The channel receives the error that the client gets in the end.
func hangingStage(ctx context.Context, t *testing.T) (*stage, <-chan error) {
	arrived := make(chan struct{})
	s := newStage(t, Config{Fault: func(*http.Request) Fault {
		close(arrived)
		return Fault{}
	}})
	r := s.request(http.MethodPost, participantPath("fault:hang"), "Muted=true").WithContext(ctx)
	seen := make(chan error, 1)
	go func() {
		_, err := s.try(r)
		seen <- err
	}()
	<-arrived
	return s, seen
}

func TestHangEndsWhenClientDisconnects(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	s, seen := hangingStage(ctx, t)
	leave()
	if err := <-seen; !errors.Is(err, context.Canceled) {
		t.Errorf("the client gets %v, want context.Canceled", err)
	}
	s.server.Close() // It waits for the handler.
	diff(t, 0, len(s.Journal()))
	diff(t, map[string]int{"hang": 1}, s.State().FaultsServed)
}

func TestHangEndsWhenSandboxIsClosed(t *testing.T) {
	s, seen := hangingStage(t.Context(), t)
	s.Close()
	s.Close()
	if err := <-seen; err == nil {
		t.Error("got an answer, want none")
	}
	diff(t, 0, len(s.Journal()))
}

func TestFaultsWithResponseRecorder(t *testing.T) {
	for label, test := range faultCases {
		t.Run(label, func(t *testing.T) {
			s, w := New(Config{}), httptest.NewRecorder()
			s.ServeHTTP(w, newRequest(t, "http://sandbox", http.MethodPost, participantPath(label), "Muted=true"))
			if test.sees == "reset" {
				diff(t, []any{502, ""}, []any{w.Code, w.Body.String()})
			}
		})
	}
}

func TestConnectionResetOverHTTP2AndTLS(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1.1 over TLS": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			s := &stage{Sandbox: New(Config{}), t: t}
			s.server = httptest.NewUnstartedServer(s.Sandbox)
			s.server.EnableHTTP2 = http2
			s.server.StartTLS()
			defer s.server.Close()
			_, err := s.try(s.request(http.MethodPost, participantPath("fault:reset-after"), "Muted=true"))
			if err == nil {
				t.Error("got an answer, want none")
			}
			diff(t, 1, len(s.Journal()))
			diff(t, "200", s.get(participantPath(AgentSID)).outcome())
		})
	}
}

func TestErrorRateOfOneFailsEveryRequest(t *testing.T) {
	s := newStage(t, Config{ErrorRate: 1, Seed: 7})
	for range 60 {
		if got := s.announce(AgentSID); got == "200" {
			t.Fatal("a request succeeded")
		}
	}
	faults := s.State().FaultsServed
	kinds := slices.Sorted(maps.Keys(faults))
	diff(t, []string{"429", "500-after", "503", "reset", "reset-after"}, kinds)
	diff(t, faults["500-after"]+faults["reset-after"], len(s.Journal()))
}

func TestSameSeedGivesSameFaults(t *testing.T) {
	run := func(seed uint64) string {
		s := New(Config{ErrorRate: 0.5, Seed: seed})
		observed := func() string {
			var statuses []string
			for range 30 {
				w := httptest.NewRecorder()
				s.ServeHTTP(w, newRequest(t, "http://sandbox", http.MethodGet, participantPath(AgentSID), ""))
				statuses = append(statuses, fmt.Sprint(w.Code))
			}
			return strings.Join(statuses, " ")
		}
		first := observed()
		s.Reset()
		diff(t, first, observed())
		return first
	}
	first := run(1)
	diff(t, first, run(1))
	if first == run(2) {
		t.Error("another seed gives the same faults")
	}
	if !strings.Contains(first, "200") || !strings.Contains(first, "503") {
		t.Errorf("half of the requests should fail: %s", first)
	}
}

func TestUnknownFaultPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("got no panic")
		}
	}()
	s := New(Config{Fault: func(*http.Request) Fault { return Fault{Kind: "nonsense"} }})
	s.ServeHTTP(httptest.NewRecorder(), newRequest(t, "http://sandbox", http.MethodGet, participantPath(AgentSID), ""))
}

func TestFaultsOfReadsAndRemovals(t *testing.T) {
	const named = "CFcf000000000000000000000000000009"
	byName := conferencesPath + ".json?FriendlyName=fault:503x4"
	get, remove := http.MethodGet, http.MethodDelete
	tests := map[string]struct {
		name     string // Of the conference.
		label    string // Of its participant.
		requests []string
		want     []string
	}{
		"a fetch": {
			"room", "fault:fetch:503x1",
			[]string{get + " /guest", get + " /guest", http.MethodPost + " /guest"}, []string{"503/20503", "200", "200"},
		},
		"a removal": {
			"room", "fault:remove:reset-after",
			[]string{get + " /guest", remove + " /guest", remove + " /guest"}, []string{"200", "reset", "404/20404"},
		},
		"an update does not count for a removal": {
			"room", "fault:remove:429x1",
			[]string{http.MethodPost + " /guest", remove + " /guest", remove + " /guest"}, []string{"200", "429/20429", "204"},
		},
		"every read of a conference": {
			"fault:503x4", "guest",
			[]string{get, get + " list", get + " " + byName, get + " /guest", get + " list"},
			[]string{"503/20503", "503/20503", "503/20503", "503/20503", "200"},
		},
		"updates in a conference": {
			"fault:update:500-after", "guest",
			[]string{http.MethodPost + " /guest", get + " /guest"}, []string{"500/20500", "200"},
		},
		"a list of conferences by name": {
			"fault:list-conferences:html", "guest",
			[]string{get + " " + conferencesPath + ".json?FriendlyName=fault:list-conferences:html", get + " " + conferencesPath + ".json"},
			[]string{"503 HTML", "200"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			state, err := ParseState("state", fmt.Appendf(nil, `
accounts:
  - sid: %s
    auth_token: %s
    conferences:
      - {sid: %s, friendly_name: "%s", participants: [{label: "%s"}, {label: other}]}
`, AccountSID, AuthToken, named, test.name, test.label))
			if err != nil {
				t.Fatal(err)
			}
			s := newStage(t, Config{State: state})
			for i, request := range test.requests {
				method, path, _ := strings.Cut(request, " ")
				switch path {
				case "":
					path = conferencePath(named)
				case "list":
					path = participantsPath(named) + ".json"
				case "/guest":
					path = participantsPath(named) + "/" + test.label + ".json"
				}
				diff(t, test.want[i], s.observe(s.request(method, path, "")))
			}
		})
	}
}

func TestFirstFetchAddsFaultLabel(t *testing.T) {
	s := newStage(t, Config{})
	diff(t, []string{"503/20503", "200"}, []string{
		s.get(participantPath("fault:fetch:503x1")).outcome(), s.get(participantPath("fault:fetch:503x1")).outcome(),
	})
	diff(t, "404/20404", s.remove("fault:remove:503").outcome())
}
