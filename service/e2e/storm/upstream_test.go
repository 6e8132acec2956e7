package storm_test

import (
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

// upstream is a Twilio on a real socket. It notes what arrives, and deals the
// faults that the storm prepared.
type upstream struct {
	*sandbox.Sandbox
	addr   string
	server *http.Server
	faults *deck

	mu       sync.Mutex
	arrived  map[int]time.Time // By marker, the first time.
	arrivals int
}

func newUpstream(t *testing.T, faults *deck) *upstream {
	t.Helper()
	u := &upstream{faults: faults, arrived: map[int]time.Time{}}
	u.Sandbox = sandbox.New(sandbox.Config{Fault: u.fault})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u.addr = listener.Addr().String()
	u.server = &http.Server{Handler: u.Sandbox, ReadHeaderTimeout: time.Minute}
	go func() { _ = u.server.Serve(listener) }()
	return u
}

// join adds a connected participant to the seeded conference.
func (u *upstream) join(t *testing.T, label string) sandbox.Participant {
	t.Helper()
	p, err := u.AddParticipant(sandbox.ConferenceSID, sandbox.Participant{Label: label})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (u *upstream) close() {
	u.Close()
	_ = u.server.Close()
}

// fault is the sandbox's hook: it sees every request before it is applied.
func (u *upstream) fault(r *http.Request) sandbox.Fault {
	now := time.Now()
	marker, _ := markerOf(r.FormValue("HoldUrl"), r.FormValue("WaitUrl"), r.FormValue("AnnounceUrl"))
	u.mu.Lock()
	defer u.mu.Unlock()
	u.arrivals++
	if _, again := u.arrived[marker]; !again {
		u.arrived[marker] = now
	}
	return u.faults.deal()
}

// requests is how many arrived.
func (u *upstream) requests() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.arrivals
}

var marked = regexp.MustCompile(`/(?:hold|wait|announce)/([0-9]+)`)

// markerOf finds the marker of the update in one of its URLs.
func markerOf(urls ...string) (int, bool) {
	for _, u := range urls {
		if found := marked.FindStringSubmatch(u); found != nil {
			marker, err := strconv.Atoi(found[1])
			return marker, err == nil
		}
	}
	return 0, false
}

// deck deals faults in a random order that contains each kind in its share. A
// nil deck deals none.
type deck struct {
	cards []sandbox.Fault
	dealt int
	armed atomic.Bool
}

// deckSize is how many requests see each kind of fault at least once.
const deckSize = 400

// shares is how many cards of a deck are which fault.
var shares = map[sandbox.FaultKind]int{
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

func newDeck(random *rand.Rand) *deck {
	d := &deck{}
	for _, kind := range faultKinds {
		for range shares[kind] {
			fault := sandbox.Fault{Kind: kind}
			if kind == sandbox.Slow {
				fault.Delay = time.Duration(1+random.IntN(15_000)) * time.Microsecond
			}
			d.cards = append(d.cards, fault)
		}
	}
	d.cards = append(d.cards, make([]sandbox.Fault, deckSize-len(d.cards))...)
	random.Shuffle(deckSize, func(i, j int) { d.cards[i], d.cards[j] = d.cards[j], d.cards[i] })
	d.bringForward(random)
	return d
}

// bringForward puts a card of each kind among the first, so that a storm on a slow
// machine, which sees few of the cards, sees each kind.
func (d *deck) bringForward(random *rand.Rand) {
	const every = 5
	for i, kind := range faultKinds {
		to := 1 + every*i + random.IntN(every)
		from := to + slices.IndexFunc(d.cards[to:], func(f sandbox.Fault) bool { return f.Kind == kind })
		if from >= to {
			d.cards[to], d.cards[from] = d.cards[from], d.cards[to]
		}
	}
}

// deal is called under the upstream's lock.
func (d *deck) deal() sandbox.Fault {
	if d == nil || !d.armed.Load() {
		return sandbox.Fault{}
	}
	d.dealt++
	return d.cards[d.dealt%deckSize]
}

// faultKinds are the kinds in an order that does not change, for seeds to mean
// the same each time.
var faultKinds = []sandbox.FaultKind{
	sandbox.TooManyRequests, sandbox.Unavailable, sandbox.FailAfter, sandbox.Reset,
	sandbox.ResetAfter, sandbox.HTML, sandbox.Truncated, sandbox.Slow,
	sandbox.Conflict, sandbox.Unauthorized, sandbox.Hang,
}
