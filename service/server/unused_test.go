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

// TestASilentConnectionOfGRPCIsClosedInADrain when its grace is over, for the
// others to be told.
func TestASilentConnectionOfGRPCIsClosedInADrain(t *testing.T) {
	r := build(t)
	over := make(chan time.Time)
	r.ending.after = func(time.Duration) <-chan time.Time { return over }
	r.run(t)
	silent, err := net.Dial("tcp", r.GRPC.String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	frames := connectHTTP2(t, r.GRPC) // By a later connection: the first one is accepted.
	r.silent.mu.Lock()
	noted := len(r.silent.conns)
	r.silent.mu.Unlock()
	if noted != 1 {
		t.Errorf("%d silent connections", noted)
	}
	r.stop()
	over <- time.Time{}
	if err := silent.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, silent); err != nil { // The server greets first.
		t.Error(err)
	}
	awaitGoAway(t, frames)
}

// pipes is a listener whose connections are given to it.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (pipes) Close() error   { return nil }
func (pipes) Addr() net.Addr { return nil }

func TestSilentConnections(t *testing.T) {
	silent, made := newUnusedConns(), make(pipes, 1)
	listener := notingListener{made, silent}
	accept := func() (client, server net.Conn) {
		client, accepted := net.Pipe()
		made <- accepted
		server, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		return client, server
	}
	one := make([]byte, 1)
	quiet, _ := accept()
	speaks, heard := accept()
	go speaks.Write(one)
	if _, err := heard.Read(one); err != nil {
		t.Fatal(err)
	}

	silent.close()
	late, _ := accept()
	for name, conn := range map[string]net.Conn{"a silent one": quiet, "one that comes later": late} {
		if _, err := conn.Read(one); !errors.Is(err, io.EOF) {
			t.Errorf("%s is not closed: %v", name, err)
		}
	}
	go heard.Write(one)
	if _, err := speaks.Read(one); err != nil {
		t.Errorf("one that has spoken is closed: %v", err)
	}
	close(made)
	if _, err := listener.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}
