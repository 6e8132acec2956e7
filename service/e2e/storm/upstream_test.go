package storm_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"conferenced/service/sandbox"
)

// upstream is an embedded Twilio on a real socket. It records when updates arrive,
// and injects faults.
type upstream struct {
	*sandbox.Sandbox
	addr   string
	server *http.Server
	faults *faultCycle
	joined atomic.Int64 // The number of participants.

	mu       sync.Mutex
	arrived  map[int]time.Time // By marker, the first time.
	arrivals int
}

func newUpstream(t *testing.T, faults *faultCycle) *upstream {
	t.Helper()
	u := &upstream{faults: faults, arrived: map[int]time.Time{}}
	u.Sandbox = sandbox.New(sandbox.Config{Fault: u.fault, JournalLength: 10 * *callsFlag})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u.addr = listener.Addr().String()
	u.server = &http.Server{Handler: u.Sandbox, ReadHeaderTimeout: time.Minute}
	go func() { _ = u.server.Serve(listener) }()
	return u
}

// join adds a connected participant to the seeded conference. As at Twilio, it has a Call
// SID that no participant had before: an attempt that was abandoned in flight must not
// reach the next participant with the label.
func (u *upstream) join(t *testing.T, label string) sandbox.Participant {
	t.Helper()
	sid := fmt.Sprintf("CA%032x", u.joined.Add(1))
	p, err := u.AddParticipant(sandbox.ConferenceSID, sandbox.Participant{CallSID: sid, Label: label})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (u *upstream) close() {
	u.Close()
	_ = u.server.Close()
}

// fault is the sandbox's hook. It is called for every request before the update is
// applied.
func (u *upstream) fault(r *http.Request) sandbox.Fault {
	now := time.Now()
	marker, _ := markerOf(r.FormValue("HoldUrl"), r.FormValue("WaitUrl"), r.FormValue("AnnounceUrl"))
	u.mu.Lock()
	defer u.mu.Unlock()
	u.arrivals++
	if _, again := u.arrived[marker]; !again {
		u.arrived[marker] = now
	}
	return u.faults.next()
}

// requests returns the number of requests that arrived.
func (u *upstream) requests() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.arrivals
}

var marked = regexp.MustCompile(`/(?:hold|wait|announce)/([0-9]+)`)

// markerOf returns the marker in one of the URLs of an update.
func markerOf(urls ...string) (int, bool) {
	for _, u := range urls {
		if found := marked.FindStringSubmatch(u); found != nil {
			marker, err := strconv.Atoi(found[1])
			return marker, err == nil
		}
	}
	return 0, false
}

// faultCycle is a random sequence of faults that is repeated. A nil faultCycle has no
// faults.
type faultCycle struct {
	faults  []sandbox.Fault
	used    int
	enabled atomic.Bool
}

// faultPeriod is the length of a faultCycle, which has each kind of fault.
const faultPeriod = 400

// faultCounts is the number of faults of each kind in a faultCycle.
var faultCounts = map[sandbox.FaultKind]int{
	sandbox.TooManyRequests: 28,
	sandbox.Unavailable:     20,
	sandbox.FailAfter:       20,
	sandbox.Reset:           12,
	sandbox.ResetAfter:      16,
	sandbox.HTML:            8,
	sandbox.Truncated:       6,
	sandbox.Slow:            36,
	sandbox.Conflict:        4,
	sandbox.Unauthorized:    2,
	sandbox.Hang:            1,
}

func newFaultCycle(random *rand.Rand) *faultCycle {
	d := &faultCycle{}
	for _, kind := range faultKinds {
		for range faultCounts[kind] {
			fault := sandbox.Fault{Kind: kind}
			if kind == sandbox.Slow {
				fault.Delay = sandbox.Duration(time.Duration(1+random.IntN(15_000)) * time.Microsecond)
			}
			d.faults = append(d.faults, fault)
		}
	}
	d.faults = append(d.faults, make([]sandbox.Fault, faultPeriod-len(d.faults))...)
	random.Shuffle(faultPeriod, func(i, j int) { d.faults[i], d.faults[j] = d.faults[j], d.faults[i] })
	d.bringForward(random)
	return d
}

// bringForward moves one fault of each kind to the beginning, so that a short storm
// has each kind.
func (d *faultCycle) bringForward(random *rand.Rand) {
	const every = 5
	for i, kind := range faultKinds {
		to := 1 + every*i + random.IntN(every)
		from := to + slices.IndexFunc(d.faults[to:], func(f sandbox.Fault) bool { return f.Kind == kind })
		if from >= to {
			d.faults[to], d.faults[from] = d.faults[from], d.faults[to]
		}
	}
}

// next is called with the upstream's lock held.
func (d *faultCycle) next() sandbox.Fault {
	if d == nil || !d.enabled.Load() {
		return sandbox.Fault{}
	}
	d.used++
	return d.faults[d.used%faultPeriod]
}

// faultKinds is the kinds in a fixed order, so that a seed always has the same
// faults.
var faultKinds = []sandbox.FaultKind{
	sandbox.TooManyRequests, sandbox.Unavailable, sandbox.FailAfter, sandbox.Reset,
	sandbox.ResetAfter, sandbox.HTML, sandbox.Truncated, sandbox.Slow,
	sandbox.Conflict, sandbox.Unauthorized, sandbox.Hang,
}
