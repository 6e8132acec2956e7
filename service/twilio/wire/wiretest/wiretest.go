// Package wiretest serves connections in the tests of those who make them.
package wiretest

import (
	"net"
	"sync"
	"testing"
)

// Listen is Serve on a free port of this machine. It returns host:port.
func Listen(t testing.TB, handle func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	Serve(t, listener, handle)
	return listener.Addr().String()
}

// Serve serves each connection with handle, which owns it, until the test ends.
// Then the connections are closed, and all that serves has ended.
func Serve(t testing.TB, listener net.Listener, handle func(net.Conn)) {
	var running sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			running.Go(func() { defer conn.Close(); handle(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		for _, conn := range open {
			_ = conn.Close()
		}
		mu.Unlock()
		running.Wait()
	})
}
