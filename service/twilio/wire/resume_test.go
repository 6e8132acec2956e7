package wire_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"conferenced/service/twilio/wire"
)

var nowhere = &url.URL{Scheme: "http", Host: "host.example"}

// adopt returns a connection on which whatever the peer writes has been read
// when its Write returns.
func adopt(t *testing.T, pool *wire.Pool) (*wire.Conn, peer) {
	t.Helper()
	client, host := net.Pipe()
	t.Cleanup(func() { _ = host.Close(); _ = client.Close() })
	conn, err := pool.Adopt(nowhere, client)
	if err != nil {
		t.Fatal(err)
	}
	return conn, peer{host, bufio.NewReader(host)}
}

// sent returns a connection with a request on its way.
func sent(ctx context.Context, t *testing.T, pool *wire.Pool, base *url.URL) *wire.Conn {
	t.Helper()
	conn := get(t, pool, base)
	if err := conn.Send(ctx, simple); err != nil {
		conn.Close()
		t.Fatal(err)
	}
	return conn
}

// wantInterrupted waits for an answer that the end of a context keeps from
// coming.
func wantInterrupted(t *testing.T, conn *wire.Conn) {
	t.Helper()
	if _, err := conn.Receive(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v, want the deadline's", err)
	}
}

// wantAnswer waits for the answer.
func wantAnswer(t *testing.T, conn *wire.Conn, body string) {
	t.Helper()
	if a, err := conn.Receive(); err != nil || a.BodyErr != nil || string(a.Body) != body {
		t.Errorf("answer %+v, error %v", a, err)
	}
}

func TestResumeAfterInterruptions(t *testing.T) {
	proceed := make(chan struct{}, 2)
	handle := func(p peer) {
		if _, more := p.read(); more {
			<-proceed
			p.write(ok("body"))
			answerAll(ok("next"))(p)
		}
	}
	each(t, handle, func(t *testing.T, base *url.URL) {
		pool := newPool(t, wire.Config{AnswerTimeout: time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		conn := sent(ctx, t, pool, base)
		cancel()
		wantInterrupted(t, conn)
		wantInterrupted(t, conn)
		for range 2 {
			ended, end := context.WithCancel(t.Context())
			end()
			if !conn.Resume(ended) {
				t.Fatal("it cannot be resumed")
			}
			wantInterrupted(t, conn)
		}
		if !conn.Resume(t.Context()) {
			t.Fatal("it cannot be resumed")
		}
		proceed <- struct{}{}
		wantAnswer(t, conn, "body")
		conn.Close()
		if got := post(t, pool, base); !got.used || got.body != "next" {
			t.Errorf("%+v, want the same connection for the next exchange", got)
		}
	})
}

// TestResumeWithinARecord: what was read of a TLS record is not lost.
func TestResumeWithinARecord(t *testing.T) {
	half, rest := make(chan struct{}), make(chan struct{})
	base := parse(t, "https://"+listen(t, func(p peer) {
		packets := &batch{Conn: p.Conn}
		host := peer{tls.Server(packets, hostTLS), nil}
		host.requests = bufio.NewReader(host)
		if _, more := host.read(); !more {
			return
		}
		host.write(ok("body"))
		_, _ = p.Write(packets.held[:len(packets.held)/2])
		packets.held = packets.held[len(packets.held)/2:]
		close(half)
		<-rest
		host.wait()
	}))
	pool := newPool(t, wire.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	conn := sent(ctx, t, pool, base)
	defer conn.Close()
	go func() { <-half; cancel() }()
	wantInterrupted(t, conn)
	if !conn.Resume(t.Context()) {
		t.Fatal("it cannot be resumed")
	}
	close(rest)
	wantAnswer(t, conn, "body")
}

// TestResumeReplacesTheContext: it may do so without an interruption, and the end
// of the one before is none any more.
func TestResumeReplacesTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := newPool(t, wire.Config{})
		conn, host := adopt(t, pool)
		defer conn.Close()
		go host.read()
		first, endFirst := context.WithCancel(t.Context())
		if err := conn.Send(first, simple); err != nil {
			t.Fatal(err)
		}
		second, endSecond := context.WithCancel(t.Context())
		if !conn.Resume(second) {
			t.Fatal("it cannot be resumed")
		}
		endFirst()
		begin := time.Now()
		time.AfterFunc(time.Second, endSecond)
		wantInterrupted(t, conn)
		if took := time.Since(begin); took != time.Second {
			t.Errorf("it took %v until the interruption", took)
		}
		if !conn.Resume(t.Context()) {
			t.Fatal("it cannot be resumed")
		}
		go host.write(ok("body"))
		wantAnswer(t, conn, "body")
	})
}

// TestALostAnswerCannotBeResumed, whenever the context ends.
func TestALostAnswerCannotBeResumed(t *testing.T) {
	each(t, func(p peer) { p.read() }, func(t *testing.T, base *url.URL) {
		ctx, cancel := context.WithCancel(t.Context())
		conn := sent(ctx, t, newPool(t, wire.Config{}), base)
		defer conn.Close()
		if _, err := conn.Receive(); !errors.Is(err, io.EOF) {
			t.Errorf("error %v", err)
		}
		cancel()
		if conn.Resume(t.Context()) {
			t.Error("it can be resumed")
		}
	})
}

// TestNothingToResume: in all these states there is no answer to come.
func TestNothingToResume(t *testing.T) {
	send := func(ctx context.Context, t *testing.T, conn *wire.Conn, host peer) {
		t.Helper()
		arrived := make(chan struct{})
		go func() { host.read(); close(arrived) }()
		if err := conn.Send(ctx, simple); err != nil {
			t.Error(err)
		}
		<-arrived
	}
	tests := []struct {
		name string
		do   func(ctx context.Context, cancel func(), t *testing.T, conn *wire.Conn, host peer)
	}{
		{"nothing was sent", func(context.Context, func(), *testing.T, *wire.Conn, peer) {}},
		{"not a byte could be written", func(ctx context.Context, cancel func(), t *testing.T, conn *wire.Conn, _ peer) {
			go func() { synctest.Wait(); cancel() }()
			if err := conn.Send(ctx, simple); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("error %v", err)
			}
		}},
		{"the request was written in part", func(ctx context.Context, cancel func(), t *testing.T, conn *wire.Conn, host peer) {
			go func() { _, _ = host.requests.ReadByte(); synctest.Wait(); cancel() }()
			if err := conn.Send(ctx, &wire.Request{Path: []byte("/"), Body: []byte(long)}); err != nil {
				t.Error(err)
			}
		}},
		{"the host closed the connection", func(ctx context.Context, _ func(), t *testing.T, conn *wire.Conn, host peer) {
			send(ctx, t, conn, host)
			_ = host.Close()
			if _, err := conn.Receive(); err == nil {
				t.Error("no error")
			}
		}},
		{"within the header", func(ctx context.Context, cancel func(), t *testing.T, conn *wire.Conn, host peer) {
			send(ctx, t, conn, host)
			go func() { host.write("HTTP/1.1 200 OK\r\nContent-"); cancel() }()
			wantInterrupted(t, conn)
		}},
		{"after an interim answer", func(ctx context.Context, cancel func(), t *testing.T, conn *wire.Conn, host peer) {
			send(ctx, t, conn, host)
			go func() { host.write("HTTP/1.1 103 Early Hints\r\n\r\n"); cancel() }()
			wantInterrupted(t, conn)
		}},
		{"within the body", func(ctx context.Context, cancel func(), t *testing.T, conn *wire.Conn, host peer) {
			send(ctx, t, conn, host)
			go func() { host.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbody"); cancel() }()
			if a, err := conn.Receive(); err != nil || a.Status != 200 || !errors.Is(a.BodyErr, os.ErrDeadlineExceeded) {
				t.Errorf("%+v, %v", a, err)
			}
		}},
		{"after the answer", func(ctx context.Context, _ func(), t *testing.T, conn *wire.Conn, host peer) {
			send(ctx, t, conn, host)
			go host.write(ok("body"))
			wantAnswer(t, conn, "body")
		}},
		{"after an answer that is too long", func(ctx context.Context, _ func(), t *testing.T, conn *wire.Conn, host peer) {
			send(ctx, t, conn, host)
			go host.write(ok(long + long + ok("evil")))
			if a, err := conn.Receive(); err != nil || !errors.Is(a.BodyErr, wire.ErrBodyTooLong) {
				t.Errorf("%+v, %v", a, err)
			}
		}},
		{"the time for the answer is over", func(ctx context.Context, _ func(), t *testing.T, conn *wire.Conn, host peer) {
			send(ctx, t, conn, host)
			wantInterrupted(t, conn)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pool := newPool(t, wire.Config{AnswerTimeout: time.Second, MaxBody: int64(len(long))})
				conn, host := adopt(t, pool)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				tt.do(ctx, cancel, t, conn, host)
				if conn.Resume(t.Context()) {
					t.Error("it can be resumed")
				}
				if a, err := conn.Receive(); err == nil {
					t.Errorf("another answer: %+v", a)
				}
				conn.Close()
			})
		})
	}
}

// TestResumeKeepsTheTimeForTheAnswer: it does not begin anew.
func TestResumeKeepsTheTimeForTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, host := adopt(t, newPool(t, wire.Config{AnswerTimeout: time.Minute}))
		defer conn.Close()
		go host.read()
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := conn.Send(ctx, simple); err != nil {
			t.Fatal(err)
		}
		wantInterrupted(t, conn)
		if !conn.Resume(t.Context()) {
			t.Fatal("it cannot be resumed")
		}
		wantInterrupted(t, conn)
		if took := time.Since(begin); took != time.Minute {
			t.Errorf("the exchange took %v", took)
		}
		if conn.Resume(t.Context()) {
			t.Error("it can be resumed")
		}
	})
}

// TestNoDeadlineIsLeft on a kept connection, of the time for the last answer.
func TestNoDeadlineIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := newPool(t, wire.Config{AnswerTimeout: time.Second})
		conn, host := adopt(t, pool)
		go func() {
			for range 3 {
				host.read()
				time.Sleep(time.Second / 2)
				host.write(ok("body"))
			}
		}()
		for range 3 {
			if got := exchange(t.Context(), conn); got.body != "body" || got.err != nil {
				t.Errorf("%+v", got)
			}
			time.Sleep(time.Minute)
			conn = get(t, pool, nowhere)
		}
		conn.Close()
	})
}

// TestUnusedConnectionsAge and are closed when they are too old, each at its time.
func TestUnusedConnectionsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := newPool(t, wire.Config{IdleTimeout: time.Minute, MaxIdle: 3})
		conns := make([]*wire.Conn, 4)
		for i := range conns {
			conns[i], _ = adopt(t, pool)
		}
		for i, want := range []int{1, 2, 3, 3} { // One more than are kept.
			conns[i].Close()
			if got := pool.Idle(nowhere); got != want {
				t.Errorf("%d unused connections, want %d", got, want)
			}
			time.Sleep(10 * time.Second)
		}
		get(t, pool, nowhere).Close() // The last is young again, 40 seconds after the first.
		for _, step := range []struct {
			wait time.Duration
			want int
		}{{19 * time.Second, 3}, {time.Second, 2}, {9 * time.Second, 2}, {time.Second, 1}, {29 * time.Second, 1}, {time.Second, 0}} {
			time.Sleep(step.wait)
			synctest.Wait()
			if got := pool.Idle(nowhere); got != step.want {
				t.Errorf("%d unused connections, want %d", got, step.want)
			}
		}
	})
}

// TestAgeMayComeAtAnyTime: also while the pool is emptied and filled again.
func TestAgeMayComeAtAnyTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := newPool(t, wire.Config{IdleTimeout: time.Minute})
		first, _ := adopt(t, pool)
		second, _ := adopt(t, pool)
		first.Close()
		pool.CloseIdle()
		pool.Age(nowhere)
		second.Close()
		pool.Age(nowhere)
		if got := pool.Idle(nowhere); got != 1 {
			t.Errorf("%d unused connections", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := pool.Idle(nowhere); got != 0 {
			t.Errorf("%d unused connections", got)
		}
	})
}

// TestAnOldConnectionIsNotUsed, even if its time has come just now.
func TestAnOldConnectionIsNotUsed(t *testing.T) {
	base := parse(t, "http://"+listen(t, answerAll(ok("body"))))
	pool := newPool(t, wire.Config{IdleTimeout: time.Nanosecond})
	for range 10 {
		if got := post(t, pool, base); got.used {
			t.Error("an old connection was used")
		}
	}
}

// TestTheEndOfAContextDisturbsNoOther exchange on the same connection.
func TestTheEndOfAContextDisturbsNoOther(t *testing.T) {
	each(t, answerAll(ok("body")), func(t *testing.T, base *url.URL) {
		pool := newPool(t, wire.Config{AnswerTimeout: time.Hour})
		for range 300 {
			ctx, cancel := context.WithCancel(t.Context())
			conn := get(t, pool, base)
			ended := make(chan struct{})
			go func() { cancel(); close(ended) }()
			got := exchange(ctx, conn)
			if got.err == nil && got.bodyErr == nil && got.body != "body" {
				t.Errorf("%+v", got)
			}
			post(t, pool, base)
			<-ended
			post(t, pool, base)
		}
	})
}

// TestNothingIsSentAfterTheEndOfAContext, and the connection is kept.
func TestNothingIsSentAfterTheEndOfAContext(t *testing.T) {
	each(t, answerAll(ok("body")), func(t *testing.T, base *url.URL) {
		pool := newPool(t, wire.Config{})
		post(t, pool, base)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if got := exchange(ctx, get(t, pool, base)); !errors.Is(got.err, context.Canceled) {
			t.Errorf("%+v", got)
		}
		if _, err := pool.Get(ctx, base); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if got := post(t, pool, base); !got.used {
			t.Error("the connection was not kept")
		}
	})
}

// large is a request that no socket takes unless the host reads it.
var large = &wire.Request{Path: []byte("/"), Body: []byte(strings.Repeat("x", 32<<20))}

// TestAnEarlyAnswerIsRead, although the host closes the connection without having
// read the request.
func TestAnEarlyAnswerIsRead(t *testing.T) {
	refuse := func(p peer) {
		if _, err := http.ReadRequest(p.requests); err == nil {
			p.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nlarge")
		}
	}
	each(t, refuse, func(t *testing.T, base *url.URL) {
		pool := newPool(t, wire.Config{})
		conn := get(t, pool, base)
		if err := conn.Send(t.Context(), large); err != nil {
			t.Errorf("error %v, although bytes were written", err)
		}
		if a, err := conn.Receive(); err != nil || a.Status != 413 || string(a.Body) != "large" {
			t.Errorf("%+v, %v", a, err)
		}
		if conn.Resume(t.Context()) {
			t.Error("it can be resumed")
		}
		conn.Close()
		if kept(t, pool, base) {
			t.Error("the connection is kept, with half a request on it")
		}
	})
}

// TestTheTimeForAnAnswerEndsAWrite, too: of a request that the host does not read.
func TestTheTimeForAnAnswerEndsAWrite(t *testing.T) {
	released := make(chan struct{}, 2)
	each(t, func(peer) { <-released }, func(t *testing.T, base *url.URL) {
		defer func() { released <- struct{}{} }()
		conn := get(t, newPool(t, wire.Config{AnswerTimeout: 20 * time.Millisecond}), base)
		defer conn.Close()
		err := conn.Send(t.Context(), large)
		if err == nil {
			_, err = conn.Receive()
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}
