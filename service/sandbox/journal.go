package sandbox

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// The kinds of entries.
const (
	kindRequest      = "request"
	kindCallback     = "callback"
	kindAnnouncement = "announcement"
)

const (
	// maxEntries is the length of an account's journal, unless Config sets it.
	maxEntries = 10_000

	// maxJournaledBody is the length of the longest answer that the journal keeps.
	maxJournaledBody = 4 << 10
)

// An Entry is a request to the API, a callback of the sandbox, or an announcement that
// begins or ends. Requests are in the order in which they were applied, or answered if
// they were not applied.
type Entry struct {
	// Seq numbers the entries of all accounts, from 1.
	Seq  int       `json:"seq"`
	Time time.Time `json:"time"`

	// Kind is request, callback or announcement.
	Kind string `json:"kind"`

	AccountSID    string `json:"account_sid"`
	ConferenceSID string `json:"conference_sid"`
	FriendlyName  string `json:"friendly_name"` // Of the conference.
	CallSID       string `json:"call_sid"`
	Label         string `json:"label"`

	// Operation is the operation of a request, such as update; the event of a callback,
	// such as participant-mute; or, for an announcement, "started" or its outcome.
	Operation string `json:"operation"`

	Method string `json:"method"`
	URL    string `json:"url"` // Of a request only the path and the query.

	// Form is the form of the request, including unknown fields.
	Form url.Values `json:"form"`

	// Fault is the fault that the request got, or "".
	Fault string `json:"fault"`

	// Applied reports whether the request was carried out. Its client may have received
	// another answer, or none.
	Applied bool `json:"applied"`

	// RequestID is the Twilio-Request-Id of the answer.
	RequestID string `json:"request_id"`

	// Answer is nil until the request is answered, and for announcements.
	Answer *Answer `json:"answer"`
}

// An Answer is the answer to a request or a callback.
type Answer struct {
	// Status is 0 if there was no answer.
	Status int `json:"status"`

	// Body is empty if it is longer than 4 KiB. It is a string unless it is JSON.
	Body json.RawMessage `json:"body,omitempty"`

	// Error says why there was no answer, or no complete one.
	Error string `json:"error,omitempty"`

	Milliseconds float64 `json:"duration_ms"`
}

// record appends an entry to the account's journal. If that is full, it drops the oldest
// entry.
func (t *tenant) record(e *Entry) {
	t.world.seq++
	e.Seq = t.world.seq
	if len(t.journal) >= t.world.config.JournalLength {
		t.journal = t.journal[1:]
	}
	t.journal = append(t.journal, e)
}

// entry returns the entry of a request, without its answer.
func (c *call) entry(now time.Time) *Entry {
	return &Entry{
		Time:          now,
		Kind:          kindRequest,
		AccountSID:    c.target.account,
		ConferenceSID: c.conferenceSID,
		FriendlyName:  c.conferenceName,
		CallSID:       c.callSID,
		Label:         c.label,
		Operation:     c.operation,
		Method:        c.Method,
		URL:           c.URL.RequestURI(),
		Form:          c.form,
		RequestID:     c.id,
	}
}

// journaled returns the answer as the journal keeps it.
func (a answer) journaled(took time.Duration) *Answer {
	kept := &Answer{Status: a.status, Milliseconds: milliseconds(took)}
	switch {
	case a.reset:
		kept.Error = "no answer"
	case a.truncated:
		kept.Error = "cut short"
	}
	if len(a.content) <= maxJournaledBody {
		kept.Body = a.content
		if len(a.content) > 0 && !json.Valid(a.content) {
			kept.Body, _ = json.Marshal(string(a.content)) // A string can be encoded.
		}
	}
	return kept
}

// finish completes the entry of a request. If the request was not applied, it is recorded
// now, unless its account was reset meanwhile.
func (s *Sandbox) finish(c *call, answered *Answer) {
	now := s.lock()
	defer s.unlock(now)
	if c.applied == nil {
		t := s.world.tenantOf(c)
		if t != c.tenant {
			return
		}
		c.applied = c.entry(now)
		t.record(c.applied)
	}
	c.applied.Answer, c.applied.Fault = answered, c.fault
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Journal returns the updates that were applied since the start or the last Reset, in
// order, as far as the bounded journal still has them.
func (s *Sandbox) Journal() []Entry {
	return s.entries(func(e *Entry) bool { return e.Operation == opUpdate && e.Applied })
}

// entries returns copies of the entries for which keep returns true, in order.
func (s *Sandbox) entries(keep func(*Entry) bool) []Entry {
	s.lock()
	defer s.mu.Unlock()
	entries := []Entry{}
	for _, t := range s.world.all() {
		for _, e := range t.journal {
			if keep(e) {
				entries = append(entries, *e)
			}
		}
	}
	for i := range entries {
		entries[i].Form = url.Values(http.Header(entries[i].Form).Clone())
	}
	slices.SortFunc(entries, func(a, b Entry) int { return a.Seq - b.Seq })
	return entries
}

// clearJournal empties the journals of the account, or all if it is "".
func (s *Sandbox) clearJournal(account string) {
	now := s.lock()
	defer s.unlock(now)
	for _, t := range s.world.all() {
		if account == "" || account == t.SID {
			t.journal = nil
		}
	}
}

// passes reports whether a filter is empty or equals one of the values.
func passes(filter string, values ...string) bool {
	return filter == "" || slices.Contains(values, filter)
}
