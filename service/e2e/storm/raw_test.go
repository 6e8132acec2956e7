package storm_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"conferenced/service/leaktest"
	"conferenced/service/sandbox"

	"go.uber.org/goleak"
)

// rawUpstream is an upstream that speaks TCP by itself: it closes, resets, truncates,
// answers early, late or twice, at every point of the exchange.
type rawUpstream struct {
	*upstream
	listener net.Listener
	conns    sync.WaitGroup

	mu     sync.Mutex
	random *rand.Rand
	count  map[rawFault]int
}

// rawFault is what goes wrong in an exchange.
type rawFault string

const (
	noFault      rawFault = "none"
	endsReading  rawFault = "the connection ends while the request is read"
	endsBefore   rawFault = "the connection ends before the update is applied"
	endsAfter    rawFault = "the connection ends after the update was applied"
	truncates    rawFault = "the answer is cut short"
	answersEarly rawFault = "a 503 before the body is read"
	answersLate  rawFault = "the answer is late"
	answersTwice rawFault = "two answers"
	straysIdle   rawFault = "a 408 on the idle connection after the answer"
)

var rawFaults = []rawFault{
	endsReading, endsBefore, endsAfter, truncates, answersEarly, answersLate, answersTwice, straysIdle,
}

// rawFaultPercent is the share of exchanges that go wrong.
const rawFaultPercent = 40

func newRawUpstream(t *testing.T, seed uint64) *rawUpstream {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &rawUpstream{
		upstream: newUpstream(t, &faultCycle{faults: make([]sandbox.Fault, faultPeriod)}), listener: listener,
		random: rand.New(rand.NewPCG(seed, 2)), count: map[rawFault]int{},
	}
	r.conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			r.conns.Go(func() { r.serve(conn.(*net.TCPConn)) })
		}
	})
	return r
}

// close must be called when no connection is open any more.
func (r *rawUpstream) close() {
	_ = r.listener.Close()
	r.conns.Wait()
}

func (r *rawUpstream) nextFault() rawFault {
	r.mu.Lock()
	defer r.mu.Unlock()
	fault := noFault
	if r.random.IntN(100) < rawFaultPercent {
		fault = rawFaults[r.random.IntN(len(rawFaults))]
	}
	r.count[fault]++
	return fault
}

func (r *rawUpstream) n(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.random.IntN(n)
}

// serve serves one exchange after the other until one ends the connection.
func (r *rawUpstream) serve(conn *net.TCPConn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		if _, err := in.Peek(1); err != nil {
			return
		}
		if !r.exchange(conn, in) {
			if r.n(2) == 0 {
				_ = conn.SetLinger(0) // A reset.
			}
			return
		}
	}
}

// exchange serves one request and reports whether the connection goes on.
func (r *rawUpstream) exchange(conn net.Conn, in *bufio.Reader) bool {
	fault := r.nextFault()
	if fault == endsReading {
		_, _ = io.CopyN(io.Discard, in, int64(1+r.n(400)))
		return false
	}
	request, err := http.ReadRequest(in)
	if err != nil {
		return false
	}
	if fault == answersEarly {
		_, _ = io.WriteString(conn, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
		return false
	}
	body, err := io.ReadAll(request.Body)
	if err != nil || fault == endsBefore {
		return false
	}
	request.Body = io.NopCloser(bytes.NewReader(body))
	recorded := httptest.NewRecorder()
	r.Sandbox.ServeHTTP(recorded, request)
	var answer bytes.Buffer
	response := recorded.Result()
	response.ContentLength = int64(recorded.Body.Len())
	_ = response.Write(&answer) // A buffer takes everything.
	return r.answer(conn, in, fault, answer.Bytes())
}

func (r *rawUpstream) answer(conn net.Conn, in *bufio.Reader, fault rawFault, answer []byte) bool {
	switch fault {
	case endsAfter:
		return false
	case truncates:
		_, _ = conn.Write(answer[:r.n(len(answer))])
		return false
	case answersLate:
		<-time.After(time.Duration(r.n(int(30 * time.Millisecond))))
	case answersTwice:
		answer = append(bytes.Clone(answer), answer...)
	}
	if _, err := conn.Write(answer); err != nil {
		return false
	}
	if fault == straysIdle && in.Buffered() == 0 {
		_, err := io.WriteString(conn, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		return err == nil
	}
	return true
}

// TestStormRawUpstream lets the storm at a service whose upstream fails at every point
// of an exchange, and checks it by all rules: no false claim, no announcement twice, no
// older update after a newer one, no lost update, and no answer of another update.
func TestStormRawUpstream(t *testing.T) {
	first, seeds, calls, keep := plan()
	total, count := newReport(), map[rawFault]int{}
	for i := range seeds {
		p := profiles[i%len(profiles)]
		seed := first + uint64(i)
		t.Run(fmt.Sprintf("seed %d, %s", seed, p.name), func(t *testing.T) {
			leaks := goleak.IgnoreCurrent()
			raw := newRawUpstream(t, seed)
			s := stormSetup(p, keep)
			s.through = raw.listener.Addr().String()
			w := newWorld(t, s, raw.upstream)
			storm := newStorm(t, raw.upstream, seed, w.send)
			storm.run(t, calls)
			stats := w.await(t, "all state expires after the retention", expired).Delivery
			w.close(t)
			raw.close()
			h := storm.history(s.bounds())
			v := examine(h)
			v.require(t)
			total.add(fmt.Sprint(seed), h, v)
			total.addUpstream(raw.upstream)
			total.addStats(stats)
			for fault, n := range raw.count {
				count[fault] += n
			}
			leaktest.Check(t, leaks)
		})
	}
	total.print(t, "the service in front of a raw upstream")
	t.Logf("faults: %v", count)
	for _, fault := range rawFaults {
		if !t.Failed() && count[fault] == 0 {
			t.Errorf("no exchange in which %s", fault)
		}
	}
}
