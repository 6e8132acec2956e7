package wire

import (
	"context"
	"net"
	"testing"
)

// TestAGuardThatHasEndedTouchesNothing: also if its context had ended before, but
// the interruption comes only now.
func TestAGuardThatHasEndedTouchesNothing(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	g := watch(context.Background(), near)
	g.stop = func() bool { return false }
	if g.end() {
		t.Error("the end of the context is not told")
	}
	g.interrupt()
	go far.Write([]byte("x"))
	if _, err := near.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
}
