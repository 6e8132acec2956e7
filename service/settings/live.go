package settings

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Live is the Set in force. It is safe for concurrent use.
type Live struct {
	files  Files
	base   Base
	logger *slog.Logger

	current atomic.Pointer[Set]
	status  atomic.Pointer[Status]

	mu   sync.Mutex // One reload at a time.
	seen *reading   // What the last reload read, failed or not; guarded by mu.

	poll    time.Duration      // How often Watch looks though nothing stirred.
	checked func(changed bool) // If set, called each time that Watch has looked.
}

// Status says how the reloads go. It holds no secret.
type Status struct {
	// LoadedAt is when the Set in force was read.
	LoadedAt time.Time `json:"loaded_at"`
	// Reloads counts the reloads that worked; the first load is none.
	Reloads int64 `json:"reloads"`
	// Failures counts the reloads that did not work.
	Failures int64 `json:"failures"`
	// LastError is what was wrong with the last reload, one error a line; ""
	// when it worked.
	LastError string `json:"last_error,omitempty"`
	// LastErrorAt is when the last reload failed; zero when it worked.
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
}

// NewLive loads the files, as [Load] does, and returns an error if that fails.
func NewLive(files Files, base Base, logger *slog.Logger) (*Live, error) {
	set, seen, err := load(files, base)
	if err != nil {
		return nil, err
	}
	l := &Live{files: files, base: base, logger: logger, seen: seen, poll: pollEvery}
	l.current.Store(set)
	l.status.Store(&Status{LoadedAt: time.Now()})
	l.warn(set)
	return l, nil
}

// Current returns the Set in force. Who needs it more than once for one call
// keeps it: the next Current may be another.
func (l *Live) Current() *Set { return l.current.Load() }

// Status returns how the reloads went so far.
func (l *Live) Status() Status { return *l.status.Load() }

// Reload reads the files and puts what they say in force, whole or not at all:
// on an error, the Set in force stays. Either way it is logged and counted.
func (l *Live) Reload() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reload()
}

// reloadIfChanged reloads if the files hold something else than at the last
// reload, and reports whether they did. A broken file is so reported once, not
// each time that somebody looks.
func (l *Live) reloadIfChanged() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.seen.stale() {
		return false
	}
	_ = l.reload() // Logged and counted there.
	return true
}

func (l *Live) reload() error {
	set, seen, err := load(l.files, l.base)
	l.seen = seen
	status := l.Status()
	if err != nil {
		status.Failures++
		status.LastError, status.LastErrorAt = err.Error(), time.Now()
		l.status.Store(&status)
		l.logger.Error("settings not reloaded: those in force stay", "error", err)
		return err
	}
	status.Reloads++
	status.LoadedAt, status.LastError, status.LastErrorAt = time.Now(), "", time.Time{}
	l.current.Store(set)
	l.status.Store(&status)
	l.logger.Info("settings reloaded")
	l.warn(set)
	return nil
}

func (l *Live) warn(set *Set) {
	for _, warning := range set.Warnings {
		l.logger.Warn("settings: " + warning)
	}
}

// paths are the files that the last reload read.
func (l *Live) paths() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen.paths()
}
