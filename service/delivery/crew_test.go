package delivery

import (
	"testing"
	"testing/synctest"
	"time"
)

// withCrew runs a test of a deliverer that keeps idle goroutines, and checks that
// none is left after Wait.
func withCrew(t *testing.T, most int, test func(*world)) {
	t.Helper()
	with(t, ordered(), func(w *world) {
		w.KeepCrew(most)
		w.twilio.respond = inASecond
		test(w)
		if err := w.Wait(w.t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		w.wantIdle(0)
	})
}

func inASecond(*call) step { return step{after: time.Second} }

func (w *world) wantIdle(want int32) {
	w.t.Helper()
	synctest.Wait()
	if got := w.crew.idle.Load(); got != want {
		w.t.Errorf("%d are idle, want %d", got, want)
	}
}

func TestCrewIsUsedAgain(t *testing.T) {
	withCrew(t, 2, func(w *world) {
		w.wantIdle(0)
		w.wantEnd(w.finish(on("CA1", mute)), "ok")
		w.wantIdle(1)
		held := []*pending{w.start(on("CA1", mute)), w.start(on("CA2", mute)), w.start(on("CA3", mute))}
		w.wantIdle(0)
		for _, p := range held {
			<-p.done
			w.wantEnd(p, "ok")
		}
		w.wantIdle(2)
	})
}

// TestCrewOutlivesAPanic: what panics takes nothing with it.
func TestCrewOutlivesAPanic(t *testing.T) {
	withCrew(t, 1, func(w *world) {
		w.twilio.respond = func(*call) step { panic("a bug") }
		w.wantEnd(w.finish(on("CA1", mute)), "panicked, maybe")
		w.wantIdle(1)
		w.twilio.respond = inASecond
		w.wantEnd(w.finish(on("CA1", mute)), "ok")
		w.wantIdle(1)
	})
}

// TestCrewThatIsBusyWhenItIsDismissed ends after its update.
func TestCrewThatIsBusyWhenItIsDismissed(t *testing.T) {
	with(t, ordered(), func(w *world) {
		w.KeepCrew(1)
		w.twilio.respond = inASecond
		p := w.start(on("CA1", mute))
		ended := make(chan error)
		go func() { ended <- w.Wait(w.t.Context()) }()
		synctest.Wait()
		<-p.done
		w.wantEnd(p, "ok")
		if err := <-ended; err != nil {
			t.Error(err)
		}
		w.wantIdle(0)
	})
}
