package settings

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// quiet is how long nothing must stir before the files are read: who writes
	// several, or one in several steps, is given time to end.
	quiet = 100 * time.Millisecond
	// patience bounds the wait for quiet.
	patience = 500 * time.Millisecond
	// pollEvery is how often the files are looked at though nothing stirred, for
	// file systems that do not tell.
	pollEvery = 10 * time.Second
)

// Watch reloads when what the files hold has changed, until ctx ends, and then
// returns nil. Beside the files named it watches the secret files that the
// accounts name.
//
// A change takes effect within a second, whichever way it is made: writing in
// place, renaming over, moving a symbolic link such as Kubernetes' ..data, taking
// the directory away and bringing it back. A burst of changes is one reload.
// Where the system cannot tell of changes, Watch logs that and looks at the files
// every ten seconds.
func (l *Live) Watch(ctx context.Context) error {
	w := newWatcher(l.logger, l.poll)
	defer w.close()
	l.watch(ctx, w)
	return nil
}

func (l *Live) watch(ctx context.Context, w *watcher) {
	for ctx.Err() == nil {
		w.aim(l.paths())
		// After aim, so that no change falls between.
		changed := l.reloadIfChanged()
		if l.checked != nil {
			l.checked(changed)
		}
		if !changed { // Otherwise there may be other files to watch now.
			w.wait(ctx)
		}
		w.settle(ctx)
	}
}

// watcher tells that something stirs around files.
type watcher struct {
	logger *slog.Logger
	poll   time.Duration
	notify *fsnotify.Watcher // Nil: the system has none to give.
	events <-chan fsnotify.Event
	errors <-chan error
	failed map[string]bool // Directories that cannot be watched.
}

func newWatcher(logger *slog.Logger, poll time.Duration) *watcher {
	w := &watcher{logger: logger, poll: poll, failed: map[string]bool{}}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		w.warn("", err)
		return w
	}
	w.notify, w.events, w.errors = notify, notify.Events, notify.Errors
	return w
}

func (w *watcher) close() {
	if w.notify != nil {
		_ = w.notify.Close()
	}
}

// aim watches the directories that decide about the paths, and no others.
func (w *watcher) aim(paths []string) {
	if w.notify == nil {
		return
	}
	// What changes before it is watched is not told: look until nothing does.
	wanted := directoriesOf(paths)
	for range 10 {
		w.watch(wanted)
		now := directoriesOf(paths)
		if slices.Equal(now, wanted) {
			return
		}
		wanted = now
	}
}

func (w *watcher) watch(dirs []string) {
	for _, dir := range w.notify.WatchList() {
		if !slices.Contains(dirs, dir) {
			_ = w.notify.Remove(dir) // It may be gone.
		}
	}
	for _, dir := range dirs {
		// Also those watched already: it may be another directory by now.
		err := w.notify.Add(dir)
		failed := err != nil && !errors.Is(err, fs.ErrNotExist) // It went just now.
		if failed && !w.failed[dir] {
			w.warn(dir, err)
		}
		w.failed[dir] = failed
	}
}

// wait returns when something stirs, when it is time to look anyway, or when ctx
// ends.
func (w *watcher) wait(ctx context.Context) {
	poll := time.NewTimer(w.poll)
	defer poll.Stop()
	select {
	case <-ctx.Done():
	case <-poll.C:
	case <-w.events:
	case err := <-w.errors: // Events may be lost.
		w.warn("", err)
	}
}

// settle returns when nothing stirs any more, when patience ends, or ctx.
func (w *watcher) settle(ctx context.Context) {
	still, end := time.NewTimer(quiet), time.NewTimer(patience)
	defer still.Stop()
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-still.C:
			return
		case <-end.C:
			return
		case <-w.events:
			still.Reset(quiet)
		case err := <-w.errors:
			w.warn("", err)
		}
	}
}

func (w *watcher) warn(dir string, err error) {
	w.logger.Warn("settings: changes of files may be seen late",
		"directory", dir, "within", w.poll, "error", err)
}
