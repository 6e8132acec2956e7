package settings

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// pollInterval is how often Watch reads the files.
const pollInterval = time.Second

// Live holds the Set in force. It is safe for concurrent use.
type Live struct {
	files  Files
	base   Base
	logger *slog.Logger

	current atomic.Pointer[Set]
	status  atomic.Pointer[Status]

	mu sync.Mutex
	// Guarded by mu:
	inForce *reading // of the Set in force
	loaded  *reading // of the last reload, also if it failed
	polled  contents // of the last poll
}

// Status is the state of the reloads. It contains no secret.
type Status struct {
	// LoadedAt is when the Set in force was read.
	LoadedAt time.Time `json:"loaded_at"`
	// Reloads is the number of reloads that succeeded, without the first load.
	Reloads int64 `json:"reloads"`
	// Failures is the number of reloads that failed.
	Failures int64 `json:"failures"`
	// LastError is the error of the last reload, one problem a line; empty if it
	// succeeded.
	LastError string `json:"last_error,omitempty"`
	// LastErrorAt is when the last reload failed; zero if it succeeded.
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
}

// NewLive reads the files. Its error joins all problems of all files, each with the file
// and, for YAML, the line and key.
func NewLive(files Files, base Base, logger *slog.Logger) (*Live, error) {
	set, loaded, err := load(files, base)
	if err != nil {
		return nil, err
	}
	l := &Live{files: files, base: base, logger: logger, inForce: loaded, loaded: loaded}
	l.current.Store(set)
	l.status.Store(&Status{LoadedAt: time.Now()})
	l.warn(set)
	return l, nil
}

// Current returns the Set in force. An RPC must call Current once, because the next result
// may be another Set.
func (l *Live) Current() *Set { return l.current.Load() }

// Status returns the current state of the reloads.
func (l *Live) Status() Status { return *l.status.Load() }

// Reload reads the files, and replaces the Set in force as a whole. After an error,
// the old Set stays in force. Both results are logged and counted.
func (l *Live) Reload() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reload()
}

// Watch reads the files every second, including the files of secrets that the
// accounts refer to. It reloads when their contents have changed and two consecutive
// readings are equal. So a change takes effect within two seconds, and files that are
// written one after the other are loaded together.
//
// Watch returns nil when ctx ends.
func (l *Live) Watch(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			l.poll()
		}
	}
}

func (l *Live) poll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.loaded.now()
	settled := maps.Equal(now, l.polled)
	l.polled = now
	// An invalid file is reported once, because the last reload has read it.
	if settled && l.loaded.stale(now) {
		_ = l.reload() // Logged and counted there.
	}
}

// reload is called with mu held.
func (l *Live) reload() error {
	set, loaded, err := load(l.files, l.base)
	l.loaded = loaded
	status := l.Status()
	if err != nil {
		status.Failures++
		status.LastError, status.LastErrorAt = l.describe(err), time.Now()
		l.status.Store(&status)
		l.logger.Error("settings not reloaded: those in force stay", "error", status.LastError)
		return err
	}
	status.Reloads++
	status.LoadedAt, status.LastError, status.LastErrorAt = time.Now(), "", time.Time{}
	l.current.Store(set)
	l.status.Store(&status)
	l.logger.Info("settings reloaded", "changed", loaded.changes(l.inForce))
	l.inForce = loaded
	l.warn(set)
	return nil
}

func (l *Live) describe(err error) string {
	if l.base.Describe == nil {
		return err.Error()
	}
	return l.base.Describe(err)
}

func (l *Live) warn(set *Set) {
	for _, warning := range set.Warnings {
		l.logger.Warn("settings: " + warning)
	}
}
