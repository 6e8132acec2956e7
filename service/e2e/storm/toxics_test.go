package storm_test

import (
	"cmp"
	"net/url"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"google.golang.org/grpc/codes"

	"conferenced/service/delivery"
	"conferenced/service/sandbox"
)

// proxyAttempts is the maximum number of attempts in a faulty network.
const proxyAttempts = 3

// network is a faulty network between the service and its upstream.
type network struct {
	*world
	proxy       *toxiproxy.Proxy
	participant sandbox.Participant
}

// newNetwork returns a service whose upstream is behind a proxy with the toxics,
// which are JSON.
func newNetwork(t *testing.T, label string, tune func(*setup), toxics ...string) *network {
	t.Helper()
	up := newUpstream(t, nil)
	proxy := newProxy(t, up.addr, toxics)
	s := setup{delivery: delivery.Default(), defaultTimeout: waitTimeout, through: proxy.Listen}
	s.delivery.Retrying = delivery.Retrying{
		Attempts: proxyAttempts, Base: time.Millisecond, Cap: 5 * time.Millisecond,
	}
	s.delivery.Grace = 100 * time.Millisecond
	if tune != nil {
		tune(&s)
	}
	n := &network{proxy: proxy, participant: up.join(t, label)}
	n.world = newWorld(t, s, up)
	return n
}

func newProxy(t *testing.T, upstreamAddr string, toxics []string) *toxiproxy.Proxy {
	t.Helper()
	api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(api, "network", "127.0.0.1:0", upstreamAddr)
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	for _, toxic := range toxics {
		if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			t.Fatalf("%s: %v", toxic, err)
		}
	}
	return proxy
}

// update returns an update that mutes, or an announcement.
func (n *network) update(announces bool) *update {
	form := url.Values{"Muted": {"true"}}
	if announces {
		form = url.Values{"AnnounceUrl": {"https://media.example/announce/1#rc=2"}}
	}
	return &update{participant: &n.participant, byLabel: true, form: form}
}

// call makes one call and returns its answer.
func (n *network) call(t *testing.T, announces bool) answer {
	t.Helper()
	c := &call{update: n.update(announces)}
	c.do(t.Context(), n.send)
	c.answer.requestID = "" // It is different each time.
	return c.answer
}

// restore starts the proxy again. Another connection may have its port for a moment.
func (n *network) restore(t *testing.T) {
	t.Helper()
	for until := time.Now().Add(waitTimeout); ; {
		err := n.proxy.Start()
		if err == nil {
			return
		}
		if time.Now().After(until) {
			t.Fatal(err)
		}
		time.Sleep(pollEvery)
	}
}

// end waits until the service is idle, closes everything, and returns the statistics
// and the journal.
func (n *network) end(t *testing.T) (delivery.Stats, []sandbox.Entry) {
	t.Helper()
	stats := n.await(t, "the service is idle", idle).Delivery
	n.close(t)
	n.proxy.Stop()
	return stats, n.upstream.Journal()
}

// The answers in a faulty network.
var (
	fine           = answer{answered: true}
	deadlinePassed = answer{answered: true, code: codes.DeadlineExceeded, reason: "DEADLINE", applied: "maybe"}
	unreachable    = answer{answered: true, code: codes.Unavailable, reason: "TWILIO_UNREACHABLE", applied: "no"}
	circuitOpen    = answer{answered: true, code: codes.Unavailable, reason: "CIRCUIT_OPEN", applied: "no"}
)

// expected is an answer, and the numbers of attempts and applications.
type expected struct {
	answer            answer
	attempts, applied int
}

// networkFault is a faulty network with the expected results of a mute and of an
// announcement.
type networkFault struct {
	name               string
	toxics             []string
	label              string // The participant's label; "guest" if empty.
	mute, announcement expected
	refused            bool // The proxy refuses connections.
	shortDeadline      bool // The service's default deadline is short.
	shortAttempts      bool // Attempts have a short timeout.
}

// A short deadline or timeout begins with the minimum and doubles, up to the maximum,
// until it is long enough for a busy machine.
const (
	minTimeout = 250 * time.Millisecond
	maxTimeout = 2 * time.Second
)

var networkFaults = []networkFault{
	{
		name: "latency both ways",
		toxics: []string{
			`{"type": "latency", "stream": "upstream", "attributes": {"latency": 20, "jitter": 10}}`,
			`{"type": "latency", "stream": "downstream", "attributes": {"latency": 20, "jitter": 10}}`,
		},
		mute:         expected{fine, 1, 1},
		announcement: expected{fine, 1, 1},
	},
	{
		name:          "latency past the deadline",
		toxics:        []string{`{"type": "latency", "stream": "downstream", "attributes": {"latency": 3000}}`},
		shortDeadline: true,
		mute:          expected{deadlinePassed, 1, 1},
		announcement:  expected{deadlinePassed, 1, 1},
	},
	{
		name:         "reset before the request is read",
		toxics:       []string{`{"type": "reset_peer", "stream": "upstream", "attributes": {"timeout": 0}}`},
		mute:         expected{unknown, proxyAttempts, 0},
		announcement: expected{unknownAnnouncement, 1, 0},
	},
	{
		name:         "reset instead of the answer",
		toxics:       []string{`{"type": "reset_peer", "stream": "downstream", "attributes": {"timeout": 0}}`},
		mute:         expected{unknown, proxyAttempts, proxyAttempts},
		announcement: expected{unknownAnnouncement, 1, 1},
	},
	{
		name:         "reset a while after the answer began",
		toxics:       []string{`{"type": "reset_peer", "stream": "downstream", "attributes": {"timeout": 30}}`},
		mute:         expected{unknown, proxyAttempts, proxyAttempts},
		announcement: expected{unknownAnnouncement, 1, 1},
	},
	{
		name:          "half-open: requests are lost",
		toxics:        []string{`{"type": "timeout", "stream": "upstream", "attributes": {"timeout": 0}}`},
		shortAttempts: true,
		mute:          expected{unknown, proxyAttempts, 0},
		announcement:  expected{unknownAnnouncement, 1, 0},
	},
	{
		name:          "half-open: answers are lost",
		toxics:        []string{`{"type": "timeout", "stream": "downstream", "attributes": {"timeout": 0}}`},
		shortAttempts: true,
		mute:          expected{unknown, proxyAttempts, proxyAttempts},
		announcement:  expected{unknownAnnouncement, 1, 1},
	},
	{
		name:          "half-open until the deadline: requests are lost",
		toxics:        []string{`{"type": "timeout", "stream": "upstream", "attributes": {"timeout": 0}}`},
		shortDeadline: true,
		mute:          expected{deadlinePassed, 1, 0},
		announcement:  expected{deadlinePassed, 1, 0},
	},
	{
		name:          "half-open until the deadline: answers are lost",
		toxics:        []string{`{"type": "timeout", "stream": "downstream", "attributes": {"timeout": 0}}`},
		shortDeadline: true,
		mute:          expected{deadlinePassed, 1, 1},
		announcement:  expected{deadlinePassed, 1, 1},
	},
	{
		name: "little bandwidth",
		toxics: []string{
			`{"type": "bandwidth", "stream": "upstream", "attributes": {"rate": 20}}`,
			`{"type": "bandwidth", "stream": "downstream", "attributes": {"rate": 20}}`,
		},
		mute:         expected{fine, 1, 1},
		announcement: expected{fine, 1, 1},
	},
	{
		name: "everything in small slices",
		toxics: []string{
			`{"type": "slicer", "stream": "upstream", "attributes": {"average_size": 7, "size_variation": 5, "delay": 50}}`,
			`{"type": "slicer", "stream": "downstream", "attributes": {"average_size": 7, "size_variation": 5, "delay": 50}}`,
		},
		mute:         expected{fine, 1, 1},
		announcement: expected{fine, 1, 1},
	},
	{
		name:         "slow close of an answer cut short",
		toxics:       []string{`{"type": "slow_close", "stream": "downstream", "attributes": {"delay": 50}}`},
		label:        "fault:truncated",
		mute:         expected{unexpected, 1, 1},
		announcement: expected{unexpected, 1, 1},
	},
	{
		name:         "slow close instead of the answer",
		toxics:       []string{`{"type": "slow_close", "stream": "downstream", "attributes": {"delay": 50}}`},
		label:        "fault:reset-after",
		mute:         expected{unknown, proxyAttempts, proxyAttempts},
		announcement: expected{unknownAnnouncement, 1, 1},
	},
	{
		name:         "the answer ends within its header",
		toxics:       []string{`{"type": "limit_data", "stream": "downstream", "attributes": {"bytes": 20}}`},
		mute:         expected{unknown, proxyAttempts, proxyAttempts},
		announcement: expected{unknownAnnouncement, 1, 1},
	},
	{
		name:         "connections are refused",
		refused:      true,
		mute:         expected{unreachable, proxyAttempts, 0},
		announcement: expected{unreachable, proxyAttempts, 0},
	},
}

// TestNetwork sends a mute and an announcement through each faulty network, and
// compares the caller's answer with the number of applications.
func TestNetwork(t *testing.T) {
	for _, w := range networkFaults {
		t.Run(w.name+", mute", func(t *testing.T) { w.test(t, false, w.mute) })
		t.Run(w.name+", announcement", func(t *testing.T) { w.test(t, true, w.announcement) })
	}
}

func (w *networkFault) test(t *testing.T, announces bool, want expected) {
	t.Parallel()
	got := w.try(t, announces, minTimeout)
	if w.shortDeadline || w.shortAttempts {
		for timeout := minTimeout; got != want && timeout < maxTimeout; {
			timeout *= 2
			got = w.try(t, announces, timeout)
		}
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func (w *networkFault) try(t *testing.T, announces bool, timeout time.Duration) expected {
	t.Helper()
	n := newNetwork(t, cmp.Or(w.label, "guest"), func(s *setup) {
		if w.shortAttempts {
			s.attemptTimeout = timeout
		}
		if w.shortDeadline {
			s.defaultTimeout = timeout
		}
	}, w.toxics...)
	if w.refused {
		n.proxy.Stop()
	}
	got := n.call(t, announces)
	stats, journal := n.end(t)
	for _, entry := range journal {
		if want := n.update(announces).form; !sameForm(entry.Form, want) {
			t.Errorf("it was applied as %v, not %v", entry.Form, want)
		}
	}
	return expected{got, int(stats.Attempts), len(journal)}
}
