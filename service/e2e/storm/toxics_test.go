package storm_test

import (
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

// proxyAttempts is how often an update is sent through a bad network at most.
const proxyAttempts = 3

// network is a bad one, between the service and its upstream.
type network struct {
	*world
	proxy       *toxiproxy.Proxy
	participant sandbox.Participant
}

// newNetwork puts a proxy with the toxics, as JSON, in front of an upstream.
func newNetwork(t *testing.T, label string, tune func(*setup), toxics ...string) *network {
	t.Helper()
	up := newUpstream(t, nil)
	proxy := newProxy(t, up.addr, toxics)
	s := setup{delivery: delivery.Default(), defaultTimeout: patience, through: proxy.Listen}
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

// update is one that mutes, or one that announces.
func (n *network) update(announces bool) *update {
	form := url.Values{"Muted": {"true"}}
	if announces {
		form = url.Values{"AnnounceUrl": {"https://media.example/announce/1#rc=2"}}
	}
	return &update{participant: &n.participant, byLabel: true, form: form}
}

// call makes one call and returns what it is told.
func (n *network) call(t *testing.T, announces bool) answer {
	t.Helper()
	c := &call{update: n.update(announces)}
	c.do(t.Context(), n.send)
	c.answer.requestID = "" // It is another one each time.
	return c.answer
}

// end waits until all is over, closes everything and returns what was sent and
// what was applied.
func (n *network) end(t *testing.T) (delivery.Stats, []sandbox.Entry) {
	t.Helper()
	stats := n.await(t, "nothing is on the way", idle).Delivery
	n.close(t)
	n.proxy.Stop()
	return stats, n.upstream.Journal()
}

// What callers are told in a bad network.
var (
	fine         = answer{heard: true}
	unknown      = answer{heard: true, code: codes.Unavailable, reason: "OUTCOME_UNKNOWN", applied: "maybe"}
	unknownSound = answer{heard: true, code: codes.Unknown, reason: "OUTCOME_UNKNOWN", applied: "maybe"}
	unexpected   = answer{heard: true, code: codes.Internal, reason: "TWILIO_UNEXPECTED_ANSWER", applied: "yes"}
	late         = answer{heard: true, code: codes.DeadlineExceeded, reason: "DEADLINE", applied: "maybe"}
	unreachable  = answer{heard: true, code: codes.Unavailable, reason: "TWILIO_UNREACHABLE", applied: "no"}
	circuitOpen  = answer{heard: true, code: codes.Unavailable, reason: "CIRCUIT_OPEN", applied: "no"}
)

// fate is what becomes of an update.
type fate struct {
	answer            answer
	attempts, applied int
}

// weather is a kind of bad network.
type weather struct {
	name         string
	toxics       []string
	label        string        // Of the participant; "guest" if empty.
	deadline     time.Duration // The service's; 0: a late one.
	mute, sound  fate
	unproxied    bool // The proxy does not listen.
	untilAnswers bool // One attempt is given up when no answer comes.
}

const enough = 500 * time.Millisecond

var forecast = []weather{
	{
		name: "latency both ways",
		toxics: []string{
			`{"type": "latency", "stream": "upstream", "attributes": {"latency": 20, "jitter": 10}}`,
			`{"type": "latency", "stream": "downstream", "attributes": {"latency": 20, "jitter": 10}}`,
		},
		mute:  fate{fine, 1, 1},
		sound: fate{fine, 1, 1},
	},
	{
		name:     "latency past the deadline",
		toxics:   []string{`{"type": "latency", "stream": "downstream", "attributes": {"latency": 3000}}`},
		deadline: enough,
		mute:     fate{late, 1, 1},
		sound:    fate{late, 1, 1},
	},
	{
		name:   "reset before the request is read",
		toxics: []string{`{"type": "reset_peer", "stream": "upstream", "attributes": {"timeout": 0}}`},
		mute:   fate{unknown, proxyAttempts, 0},
		sound:  fate{unknownSound, 1, 0},
	},
	{
		name:   "reset instead of the answer",
		toxics: []string{`{"type": "reset_peer", "stream": "downstream", "attributes": {"timeout": 0}}`},
		mute:   fate{unknown, proxyAttempts, proxyAttempts},
		sound:  fate{unknownSound, 1, 1},
	},
	{
		name:   "reset a while after the answer began",
		toxics: []string{`{"type": "reset_peer", "stream": "downstream", "attributes": {"timeout": 30}}`},
		mute:   fate{unknown, proxyAttempts, proxyAttempts},
		sound:  fate{unknownSound, 1, 1},
	},
	{
		name:         "half-open: requests are swallowed",
		toxics:       []string{`{"type": "timeout", "stream": "upstream", "attributes": {"timeout": 0}}`},
		untilAnswers: true,
		mute:         fate{unknown, proxyAttempts, 0},
		sound:        fate{unknownSound, 1, 0},
	},
	{
		name:         "half-open: answers are swallowed",
		toxics:       []string{`{"type": "timeout", "stream": "downstream", "attributes": {"timeout": 0}}`},
		untilAnswers: true,
		mute:         fate{unknown, proxyAttempts, proxyAttempts},
		sound:        fate{unknownSound, 1, 1},
	},
	{
		name:     "half-open until the deadline: requests are swallowed",
		toxics:   []string{`{"type": "timeout", "stream": "upstream", "attributes": {"timeout": 0}}`},
		deadline: enough,
		mute:     fate{late, 1, 0},
		sound:    fate{late, 1, 0},
	},
	{
		name:     "half-open until the deadline: answers are swallowed",
		toxics:   []string{`{"type": "timeout", "stream": "downstream", "attributes": {"timeout": 0}}`},
		deadline: enough,
		mute:     fate{late, 1, 1},
		sound:    fate{late, 1, 1},
	},
	{
		name: "little bandwidth",
		toxics: []string{
			`{"type": "bandwidth", "stream": "upstream", "attributes": {"rate": 20}}`,
			`{"type": "bandwidth", "stream": "downstream", "attributes": {"rate": 20}}`,
		},
		mute:  fate{fine, 1, 1},
		sound: fate{fine, 1, 1},
	},
	{
		name: "everything in small slices",
		toxics: []string{
			`{"type": "slicer", "stream": "upstream", "attributes": {"average_size": 7, "size_variation": 5, "delay": 50}}`,
			`{"type": "slicer", "stream": "downstream", "attributes": {"average_size": 7, "size_variation": 5, "delay": 50}}`,
		},
		mute:  fate{fine, 1, 1},
		sound: fate{fine, 1, 1},
	},
	{
		name:   "slow close of an answer cut short",
		toxics: []string{`{"type": "slow_close", "stream": "downstream", "attributes": {"delay": 50}}`},
		label:  "fault:truncated",
		mute:   fate{unexpected, 1, 1},
		sound:  fate{unexpected, 1, 1},
	},
	{
		name:   "slow close instead of the answer",
		toxics: []string{`{"type": "slow_close", "stream": "downstream", "attributes": {"delay": 50}}`},
		label:  "fault:reset-after",
		mute:   fate{unknown, proxyAttempts, proxyAttempts},
		sound:  fate{unknownSound, 1, 1},
	},
	{
		name:   "the answer ends within its header",
		toxics: []string{`{"type": "limit_data", "stream": "downstream", "attributes": {"bytes": 20}}`},
		mute:   fate{unknown, proxyAttempts, proxyAttempts},
		sound:  fate{unknownSound, 1, 1},
	},
	{
		name:      "connections are refused",
		unproxied: true,
		mute:      fate{unreachable, proxyAttempts, 0},
		sound:     fate{unreachable, proxyAttempts, 0},
	},
}

// TestNetwork sends an update that mutes and one that announces through each bad
// network, and compares what the caller is told with what was applied.
func TestNetwork(t *testing.T) {
	for _, w := range forecast {
		t.Run(w.name+", mute", func(t *testing.T) { w.test(t, false, w.mute) })
		t.Run(w.name+", announcement", func(t *testing.T) { w.test(t, true, w.sound) })
	}
}

func (w *weather) test(t *testing.T, announces bool, want fate) {
	t.Parallel()
	label := "guest"
	if w.label != "" {
		label = w.label
	}
	n := newNetwork(t, label, func(s *setup) {
		if w.untilAnswers {
			s.attemptTimeout = enough
		}
		if w.deadline > 0 {
			s.defaultTimeout = w.deadline
		}
	}, w.toxics...)
	if w.unproxied {
		n.proxy.Stop()
	}
	told := n.call(t, announces)
	stats, journal := n.end(t)
	if told != want.answer {
		t.Errorf("the caller was told %v, not %v", told, want.answer)
	}
	if int(stats.Attempts) != want.attempts {
		t.Errorf("%d attempts were made, not %d", stats.Attempts, want.attempts)
	}
	if len(journal) != want.applied {
		t.Errorf("it was applied %d times, not %d", len(journal), want.applied)
	}
	for _, entry := range journal {
		if asked := n.update(announces).form; !sameForm(entry.Form, asked) {
			t.Errorf("it was applied as %v, not %v", entry.Form, asked)
		}
	}
}
