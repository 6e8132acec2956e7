package server

import (
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

func TestUnusedConnections(t *testing.T) {
	tests := []struct {
		name   string
		states []http.ConnState
		closed bool
	}{
		{"new", []http.ConnState{http.StateNew}, true},
		{"within its first request", []http.ConnState{http.StateNew, http.StateActive}, false},
		{"kept after a request", []http.ConnState{http.StateNew, http.StateActive, http.StateIdle}, false},
		{"closed by its client", []http.ConnState{http.StateNew, http.StateClosed}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			client, server := net.Pipe()
			defer client.Close()
			defer server.Close()
			unused := newUnusedConns()
			for _, state := range test.states {
				unused.note(server, state)
			}
			if got := len(unused.conns) == 1; got != test.closed {
				t.Errorf("to be closed: %v", got)
			}
			unused.close()
			if !test.closed {
				return
			}
			if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestAnUnusedConnectionIsClosedInADrain when its grace is over, though a call is
// under way.
func TestAnUnusedConnectionIsClosedInADrain(t *testing.T) {
	h := newHolds()
	r := build(t, h.setup)
	over := make(chan time.Time)
	r.ending.after = func(got time.Duration) <-chan time.Time {
		if got != unusedGrace {
			t.Errorf("a grace of %v", got)
		}
		return over
	}
	r.run(t)
	unused, err := net.Dial("tcp", r.HTTP.String())
	if err != nil {
		t.Fatal(err)
	}
	defer unused.Close()
	underWay := h.begin(t, r, bothWays[1], "front desk") // By a later connection: the first one is accepted.
	r.stop()
	over <- time.Time{}
	if err := unused.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := unused.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
	close(h.let)
	checkDone(t, r, underWay, "front desk")
	r.checkEnded(t)
}
