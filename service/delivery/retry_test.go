package delivery

import (
	"testing"
	"time"

	"conferenced/service/property"
)

// TestRetries has every result of an attempt, for a repeatable update and for an
// announcement.
func TestRetries(t *testing.T) {
	tests := []struct {
		name   string
		change change
		ends   []error // Of the attempts, in order; further attempts succeed.
		sends  int
		end    string
	}{
		{"success", mute, nil, 1, "ok"},
		{"429, repeatable", mute, []error{status(429), status(429)}, 3, "ok"},
		{"429, announcing", announce, []error{status(429), status(429)}, 3, "ok"},
		{"429 until the last attempt", mute, []error{status(429), status(429), status(429)}, 3, "429, no"},
		{"not sent, repeatable", mute, []error{errNotSent, errNotSent}, 3, "ok"},
		{"not sent, announcing", announce, []error{errNotSent, errNotSent}, 3, "ok"},
		{"not sent until the last attempt", announce, []error{errNotSent, errNotSent, errNotSent}, 3, "not sent, no"},
		{"500, repeatable", mute, []error{status(500), status(599)}, 3, "ok"},
		{"500, announcing", announce, []error{status(500)}, 1, "500, maybe"},
		{"503 until the last attempt", mute, []error{status(503), status(503), status(503)}, 3, "503, maybe"},
		{"lost, repeatable", mute, []error{errNoAnswer, errNoAnswer}, 3, "ok"},
		{"lost, announcing", announce, []error{errNoAnswer}, 1, "lost, maybe"},
		{"lost until the last attempt", mute, []error{errNoAnswer, errNoAnswer, errNoAnswer}, 3, "lost, maybe"},
		{"announcing, refused and then lost", announce, []error{status(429), errNoAnswer}, 2, "lost, maybe"},
		{"lost and then refused", mute, []error{errNoAnswer, status(429), status(429)}, 3, "429, maybe"},
		{"lost and then rejected", mute, []error{errNoAnswer, status(400)}, 2, "400, maybe"},
		{"lost and then not sent", mute, []error{errNoAnswer, errNotSent, errNotSent}, 3, "not sent, maybe"},
		{"rejected", mute, []error{status(400)}, 1, "400, no"},
		{"not found", mute, []error{status(404)}, 1, "404, no"},
		{"conflict", mute, []error{status(409)}, 1, "409, no"},
		{"credentials", mute, []error{status(401)}, 1, "401, no"},
		{"applied, but the answer cannot be read", mute, []error{unreadable(200)}, 1, "answer 200, yes"},
		{"lost, then applied, but the answer cannot be read", mute, []error{errNoAnswer, unreadable(201)}, 2, "answer 201, yes"},
		{"a redirect", mute, []error{unreadable(302)}, 1, "answer 302, maybe"},
		{"no request can be made", mute, []error{errNoRequest}, 1, "malformed, no"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			with(t, retrying(3), func(w *world) {
				w.twilio.respond = failing(test.ends...)
				w.wantEnd(w.finish(on("CA1", test.change)), test.end)
				w.wantSends(test.sends)
			})
		})
	}
}

func TestAnnouncementIsRepeatableOnlyByURL(t *testing.T) {
	method := put(property.AnnounceMethod, "GET")
	if !on("CA1", method, mute).Repeatable() {
		t.Error("an update with the method of announcements announces nothing")
	}
	if on("CA1", mute, announce).Repeatable() {
		t.Error("an update that announces, among other things, is not repeatable")
	}
}

func TestWaitIsJitteredAndCapped(t *testing.T) {
	usual := Retrying{Base: 100 * time.Millisecond, Cap: 2 * time.Second}
	tests := []struct {
		name     string
		retrying Retrying
		n        int
		ceiling  time.Duration
	}{
		{"the fifth", usual, 5, 1600 * time.Millisecond},
		{"the first that is capped", usual, 6, 2 * time.Second},
		{"the 1000th", usual, 1000, 2 * time.Second},
		{"where doubling overflows", Retrying{Base: time.Hour, Cap: 24 * time.Hour}, 24, 24 * time.Hour},
		{"base over cap", Retrying{Base: time.Minute, Cap: time.Second}, 1, time.Second},
		{"no wait", Retrying{}, 3, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			low, high := test.ceiling, time.Duration(0)
			for range 2000 {
				wait := test.retrying.wait(test.n, 0)
				low, high = min(low, wait), max(high, wait)
			}
			if high > test.ceiling || low < 0 {
				t.Fatalf("between %v and %v, want at most %v", low, high, test.ceiling)
			}
			if low > test.ceiling/10 || high < test.ceiling*9/10 {
				t.Errorf("between %v and %v, want it spread up to %v", low, high, test.ceiling)
			}
		})
	}
}

func TestRetriesWaitBetweenAttempts(t *testing.T) {
	cfg := retrying(6)
	cfg.Retrying.Base, cfg.Retrying.Cap = 100*time.Millisecond, 300*time.Millisecond
	waited := map[int]time.Duration{}
	for range 50 {
		with(t, cfg, func(w *world) {
			w.twilio.respond = failing(errNoAnswer, status(503), status(429), errNotSent, errNoAnswer)
			w.wantEnd(w.finish(on("CA1", mute)), "ok")
			w.wantSends(6)
			calls := w.twilio.sent()
			for n, c := range calls[1:] {
				waited[n+1] = max(waited[n+1], c.at.Sub(calls[n].at))
			}
		})
	}
	for n, milliseconds := range []int{1: 100, 2: 200, 3: 300, 4: 300, 5: 300} {
		ceiling := time.Duration(milliseconds) * time.Millisecond
		if got := waited[n]; got > ceiling || got < ceiling/2 {
			t.Errorf("the longest wait before retry %d was %v, want near %v", n, got, ceiling)
		}
	}
}

func TestRetryAfterDelaysTheRetry(t *testing.T) {
	for _, code := range []int{429, 503} {
		cfg := retrying(2)
		cfg.Retrying.Base, cfg.Retrying.Cap = 100*time.Millisecond, time.Second
		with(t, cfg, func(w *world) {
			w.twilio.respond = failing(retryAfter(code, 3*time.Second))
			p := w.deliver(w.within(10*time.Second), on("CA1", mute))
			w.pass(3*time.Second - 1)
			w.wantSends(1)
			w.pass(1)
			w.wantSends(2)
			w.wantEnd(p, "ok")
		})
	}
}

func TestShortRetryAfterDoesNotShortenTheWait(t *testing.T) {
	retrying := Retrying{Base: time.Second, Cap: time.Second}
	longest := time.Duration(0)
	for range 500 {
		wait := retrying.wait(1, 10*time.Millisecond)
		longest = max(longest, wait)
		if wait < 10*time.Millisecond {
			t.Fatalf("waits %v, want at least what Twilio asked for", wait)
		}
	}
	if longest < 900*time.Millisecond {
		t.Errorf("waits at most %v, want up to 1s", longest)
	}
}

func TestNoWaitForARetryAfterTheDeadline(t *testing.T) {
	tests := []struct {
		name  string
		after time.Duration
		end   string
		clock time.Duration
	}{
		{"well before the deadline", 9 * time.Second, "ok", 9 * time.Second},
		{"at the deadline", 10 * time.Second, "429, no", 0},
		{"after the deadline", time.Hour, "429, no", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			with(t, retrying(2), func(w *world) {
				w.twilio.respond = failing(retryAfter(429, test.after))
				p := w.deliver(w.within(10*time.Second), on("CA1", mute))
				<-p.done
				w.wantClock(test.clock)
				w.wantEnd(p, test.end)
			})
		})
	}
}

func TestCallerLeavesDuringTheWaitForARetry(t *testing.T) {
	tests := []struct {
		name  string
		first error
		end   string
	}{
		{"nothing was applied", retryAfter(429, time.Minute), "cancelled, no"},
		{"something may have been applied", retryAfter(503, time.Minute), "cancelled, maybe"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			with(t, retrying(2), func(w *world) {
				w.twilio.respond = failing(test.first)
				ctx, cancel := w.cancellable()
				p := w.deliver(ctx, on("CA1", mute))
				w.pass(time.Second)
				cancel()
				w.wantClock(time.Second)
				w.wantEnd(p, test.end)
				if left := w.Stats().Waiting; left != 0 {
					w.t.Errorf("%d updates still wait", left)
				}
				w.pass(time.Hour)
				w.wantSends(1)
			})
		})
	}
}
