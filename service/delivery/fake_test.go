package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"conferenced/service/outcome"
	"conferenced/service/property"
	"conferenced/service/twilio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// world is a Deliverer and its Twilio, with a clock of their own.
type world struct {
	*Deliverer
	t      *testing.T
	twilio *fake
	began  time.Time
}

// with runs a test with a Deliverer, and checks that nothing is left of it.
func with(t *testing.T, cfg Config, test func(*world)) {
	t.Helper()
	withStore(t, cfg, func(store Store) Store { return store }, test)
}

// withStore is with, and wrap around the store.
func withStore(t *testing.T, cfg Config, wrap func(Store) Store, test func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, twilio: new(fake), began: time.Now()}
		w.Deliverer = New(cfg, w.twilio, wrap(NewMemory(cfg.Bounds)), quiet)
		test(w)
		w.wantNothingLeft()
	})
}

// wantNothingLeft checks that nothing is on the way or waiting, and that what is
// remembered is forgotten in time.
func (w *world) wantNothingLeft() {
	w.t.Helper()
	synctest.Wait()
	for _, c := range w.twilio.sent() {
		if c.open {
			w.t.Errorf("%s is still on the way", c)
		}
	}
	for _, lane := range w.Lanes() {
		if lane.InFlight != 0 || lane.Waiting != 0 {
			w.t.Errorf("left in the lane: %+v", lane)
		}
	}
	if left := w.Stats().Sizes; left.Queues != 0 || left.Waiting != 0 {
		w.t.Errorf("left in line: %+v", left)
	}
	w.pass(w.cfg.Bounds.Retention + w.cfg.Bounds.LabelAge)
	if left := w.Stats().Sizes; left != (Sizes{}) {
		w.t.Errorf("remembered for ever: %+v", left)
	}
}

// pass lets time pass, and then everything happen that can.
func (w *world) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// wantClock checks how much time has passed.
func (w *world) wantClock(want time.Duration) {
	w.t.Helper()
	if got := time.Since(w.began); got != want {
		w.t.Errorf("at %v, want %v", got, want)
	}
}

// deliver starts a delivery, and lets everything happen that can.
func (w *world) deliver(ctx context.Context, update *Update) *pending {
	p := &pending{done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.answer, p.err = w.Deliver(ctx, update)
	}()
	synctest.Wait()
	return p
}

// start is deliver for a caller who stays.
func (w *world) start(update *Update) *pending {
	return w.deliver(w.t.Context(), update)
}

// finish delivers an update and waits for its end.
func (w *world) finish(update *Update) *pending {
	p := w.start(update)
	<-p.done
	synctest.Wait()
	return p
}

// pending is a delivery that may still be under way.
type pending struct {
	done   chan struct{}
	answer *twilio.Answer
	err    error
}

// end is how the delivery ended, in words.
func (p *pending) end() string {
	select {
	case <-p.done:
	default:
		return "under way"
	}
	if p.err == nil {
		return "ok"
	}
	return cause(p.err) + ", " + outcome.From(p.err).Applied.String()
}

func (w *world) wantEnd(p *pending, want string) {
	w.t.Helper()
	synctest.Wait()
	if got := p.end(); got != want {
		w.t.Errorf("the update's end is %q, want %q (%v)", got, want, p.err)
	}
}

// cause names what an error of Deliver is about.
func cause(err error) string {
	var (
		failed   *outcome.Error
		answered *twilio.Error
		unusable *twilio.AnswerError
	)
	switch {
	case !errors.As(err, &failed):
		return fmt.Sprintf("not an *outcome.Error: %v", err)
	case errors.As(err, &answered):
		return fmt.Sprint(answered.HTTPStatus)
	case errors.As(err, &unusable):
		return fmt.Sprintf("answer %d", unusable.HTTPStatus)
	case errors.Is(err, errPanicked):
		return "panicked"
	}
	switch failed.Reason {
	case "OUTCOME_UNKNOWN":
		return "lost"
	case "TWILIO_UNREACHABLE":
		return "not sent"
	case "INTERNAL":
		return "malformed"
	default:
		return strings.ToLower(strings.ReplaceAll(failed.Reason, "_", " "))
	}
}

// fake is a Twilio whose every answer the test gives.
type fake struct {
	// respond says how and when each call ends; nil: the test ends each by hand.
	respond func(*call) step
	// unreachable: connecting takes for ever.
	unreachable bool
	// connected, if not nil, is closed when a connection has been made.
	connected chan struct{}

	mu    sync.Mutex
	calls []*call
}

// call is one attempt.
type call struct {
	n       int // From 1.
	ctx     context.Context
	account *twilio.Account
	path    twilio.ParticipantPath
	change  *property.Values
	at      time.Time
	open    bool
	ended   chan step
}

// step is how and when a call ends.
type step struct {
	after time.Duration
	// answer is nil for an ordinary one.
	answer *twilio.Answer
	err    error
}

// script ends the n-th call with the n-th step, and all further calls well.
func script(steps ...step) func(*call) step {
	return func(c *call) step {
		if c.n > len(steps) {
			return step{}
		}
		return steps[c.n-1]
	}
}

// failing is a script of calls that end at once.
func failing(errs ...error) func(*call) step {
	steps := make([]step, len(errs))
	for i, err := range errs {
		steps[i] = step{err: err}
	}
	return script(steps...)
}

func (f *fake) UpdateParticipant(
	ctx context.Context, a *twilio.Account, p *twilio.ParticipantPath, u *property.Values, permit func() error,
) (*twilio.Answer, error) {
	if f.unreachable {
		<-ctx.Done()
		return nil, &twilio.TransportError{Err: ctx.Err()}
	}
	if f.connected != nil {
		<-f.connected
	}
	if err := permit(); err != nil {
		return nil, &twilio.TransportError{Err: err}
	}
	c := f.begin(&call{ctx: ctx, account: a, path: *p, change: u, at: time.Now(), ended: make(chan step, 1)})
	if f.respond != nil {
		s := f.respond(c)
		time.AfterFunc(s.after, func() { c.ended <- s })
	}
	f.set(c, true)
	defer f.set(c, false)
	select {
	case s := <-c.ended:
		return s.result(c.n)
	case <-ctx.Done():
		return nil, &twilio.TransportError{Sent: true, Err: ctx.Err()}
	}
}

func (s step) result(n int) (*twilio.Answer, error) {
	switch {
	case s.err != nil:
		return nil, s.err
	case s.answer != nil:
		return s.answer, nil
	default:
		return &twilio.Answer{HTTPStatus: 200, RequestID: fmt.Sprint("RQ", n)}, nil
	}
}

func (f *fake) begin(c *call) *call {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, c)
	c.n = len(f.calls)
	return c
}

func (f *fake) set(c *call, open bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c.open = open
}

func (f *fake) sent() []*call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*call(nil), f.calls...)
}

// String is what the call asks, as in "CA1 Muted=true".
func (c *call) String() string {
	return c.path.Participant + " " + string(twilio.AppendForm(nil, c.change))
}

// wantSent checks all that was sent so far, in its order.
func (w *world) wantSent(want ...string) {
	w.t.Helper()
	synctest.Wait()
	got := []string{}
	for _, c := range w.twilio.sent() {
		got = append(got, c.String())
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		w.t.Fatalf("sent:\n\t%s\nwant:\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// wantSends checks how many attempts were made so far.
func (w *world) wantSends(want int) {
	w.t.Helper()
	synctest.Wait()
	if got := len(w.twilio.sent()); got != want {
		w.t.Fatalf("%d attempts were made, want %d", got, want)
	}
}

// answer ends the n-th call, from 1, and lets everything happen that follows.
func (w *world) answer(n int, err error) {
	w.t.Helper()
	w.end(n, step{err: err})
}

func (w *world) end(n int, s step) {
	w.t.Helper()
	calls := w.twilio.sent()
	if n > len(calls) || !calls[n-1].open {
		w.t.Fatalf("attempt %d is not on the way", n)
	}
	calls[n-1].ended <- s
	synctest.Wait()
}

// known is an answer that tells a participant's two names.
func known(label, callSID string) step {
	return step{answer: &twilio.Answer{Participant: twilio.Participant{Label: &label, CallSID: &callSID}}}
}

func status(code int) error { return &twilio.Error{HTTPStatus: code} }

func coded(status, code int) error { return &twilio.Error{HTTPStatus: status, Code: code} }

func retryAfter(status int, d time.Duration) error {
	return &twilio.Error{HTTPStatus: status, RetryAfter: d, HasRetryAfter: true}
}

var (
	errConnection = errors.New("connection refused")
	errNotSent    = &twilio.TransportError{Sent: false, Err: errConnection}
	errNoAnswer   = &twilio.TransportError{Sent: true, Err: errConnection}
	errNoRequest  = &twilio.RequestError{Reason: "no participant"}
)

func unreadable(status int) error {
	return &twilio.AnswerError{HTTPStatus: status, Reason: "unreadable"}
}

type change func(*property.Values)

var (
	mute     = put(property.Muted, "true")
	unmute   = put(property.Muted, "false")
	hold     = put(property.Hold, "true")
	unhold   = put(property.Hold, "false")
	announce = put(property.AnnounceURL, "a")
)

func put(p property.Property, value string) change {
	return func(v *property.Values) { v.Put(p, value) }
}

const (
	muteCA1     = "CA1 Muted=true"
	unmuteCA1   = "CA1 Muted=false"
	holdCA1     = "CA1 Hold=true"
	announceCA1 = "CA1 AnnounceUrl=a"
)

// on is an update of a participant.
func on(participant string, changes ...change) *Update {
	u := &Update{
		Account: &twilio.Account{SID: "AC1", BaseURL: "https://twilio.test"},
		Path:    twilio.ParticipantPath{AccountSID: "AC1", ConferenceSID: "CF1", Participant: participant},
		Change:  &property.Values{},
		Caller:  "caller",
	}
	for _, change := range changes {
		change(u.Change)
	}
	return u
}

// by is an update with a request id.
func by(requestID string, u *Update) *Update {
	u.RequestID = requestID
	return u
}

// from is an update of a caller.
func from(caller string, u *Update) *Update {
	u.Caller = caller
	return u
}

// at is an update that goes to an account.
func at(account string, u *Update) *Update {
	u.Account.SID, u.Path.AccountSID = account, account
	return u
}

// plain is a configuration with every mechanism off that can be.
func plain() Config {
	return Config{
		Retrying:  Retrying{Attempts: 1},
		Bounds:    Default().Bounds,
		Unordered: true,
		Forgetful: true,
	}
}

// ordered is plain, with lines.
func ordered() Config {
	cfg := plain()
	cfg.Unordered = false
	return cfg
}

// retrying is ordered, with retries after exactly no time at all.
func retrying(attempts int) Config {
	cfg := ordered()
	cfg.Retrying.Attempts = attempts
	return cfg
}

// remembering is ordered, with request ids.
func remembering() Config {
	cfg := ordered()
	cfg.Forgetful = false
	return cfg
}

// within is a context that ends after a time.
func (w *world) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(w.t.Context(), d)
	w.t.Cleanup(cancel)
	return ctx
}

// cancellable is a context and its end, after which everything happens that can.
func (w *world) cancellable() (context.Context, func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	return ctx, func() {
		cancel()
		synctest.Wait()
	}
}
