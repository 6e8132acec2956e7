package sandbox

import (
	"maps"
	"net/url"
	"slices"
	"time"
)

// An Entry is one update that was applied.
type Entry struct {
	// Seq numbers the entries from 1 in the order of their application.
	Seq  int
	Time time.Time

	AccountSID    string
	ConferenceSID string
	CallSID       string

	// Form is the request's, with the fields that Twilio does not know.
	Form url.Values

	// RequestID is the Twilio-Request-Id of the answer, whether the client got it
	// or not.
	RequestID string
}

// Journal returns the updates applied since the start or the last Reset, in the
// order of their application. It grows with every update.
func (s *Sandbox) Journal() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	journal := slices.Clone(s.world.journal)
	for i := range journal {
		journal[i].Form = cloneForm(journal[i].Form)
	}
	return journal
}

func (w *world) record(e Entry) {
	e.Seq = len(w.journal) + 1
	w.journal = append(w.journal, e)
}

func cloneForm(form url.Values) url.Values {
	clone := maps.Clone(form)
	for name, values := range clone {
		clone[name] = slices.Clone(values)
	}
	return clone
}
