package twilio

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// requestID returns Twilio's id of the request, or "" if it is not at most 64
// letters, digits and hyphens.
func requestID(h http.Header) string {
	id := h.Get("Twilio-Request-Id")
	if len(id) > 64 || strings.ContainsFunc(id, notInRequestID) {
		return ""
	}
	return id
}

func notInRequestID(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-')
}

// concurrent returns how many requests of the account were running, or 0 if Twilio does
// not say so.
func concurrent(h http.Header) int {
	text := h.Get("Twilio-Concurrent-Requests")
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0
	}
	return int(n)
}

// maxRetryAfter bounds a Retry-After header.
const maxRetryAfter = 24 * time.Hour

// retryAfter returns the Retry-After header, from 0 to maxRetryAfter, and whether
// there is one. A date is taken relative to the Date header, or to now if there is
// none, so that the clocks need not agree.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		return time.Duration(min(max(seconds, 0), int64(maxRetryAfter/time.Second))) * time.Second, seconds >= 0
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), maxRetryAfter), true
}
