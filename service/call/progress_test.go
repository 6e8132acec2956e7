package call

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(Progress)
		check := func(what string, want Delivery) {
			t.Helper()
			if got := p.Delivery(); got != want {
				t.Errorf("%s: %+v, want %+v", what, got, want)
			}
		}
		check("new", Delivery{})
		p.Waiting()
		time.Sleep(time.Second)
		check("in a queue", Delivery{Queued: time.Second})
		p.Waited(time.Second)
		time.Sleep(time.Second)
		p.Attempting()
		p.Waiting()
		time.Sleep(time.Second)
		p.Waited(time.Second)
		p.Attempting()
		check("after two attempts", Delivery{Attempts: 2, Queued: 2 * time.Second})
		p.Replay()
		check("replayed", Delivery{Attempts: 2, Queued: 2 * time.Second, Replayed: true})
	})
	if got := (*Progress)(nil).Delivery(); got != (Delivery{}) {
		t.Errorf("nil: %+v", got)
	}
}
