package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"conferenced/service/leaktest"
	"conferenced/service/outcome"
	"conferenced/service/property"
	"conferenced/service/twilio"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Run(m)) }

var quiet = slog.New(slog.DiscardHandler)

// world is a Deliverer and a fake Twilio in a synctest bubble.
type world struct {
	*Deliverer
	t      *testing.T
	twilio *fake
	began  time.Time
}

// with runs a test with a Deliverer, and then calls wantNothingLeft.
func with(t *testing.T, cfg Config, test func(*world)) {
	t.Helper()
	withStore(t, cfg, func(store Store) Store { return store }, test)
}

// withStore is with, with a wrapped store.
func withStore(t *testing.T, cfg Config, wrap func(Store) Store, test func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, twilio: new(fake), began: time.Now()}
		w.Deliverer = New(cfg, w.twilio, wrap(NewMemory(cfg.Bounds)), quiet)
		test(w)
		w.wantNothingLeft()
	})
}

// wantNothingLeft checks that nothing is in flight or waiting, and that the state
// that is kept expires.
func (w *world) wantNothingLeft() {
	w.t.Helper()
	synctest.Wait()
	for _, c := range w.twilio.sent() {
		if c.open {
			w.t.Errorf("%s is still in flight", c)
		}
	}
	for _, state := range w.Upstreams() {
		if state.InFlight != 0 || state.Waiting != 0 {
			w.t.Errorf("left upstream: %+v", state)
		}
	}
	if left := w.Stats().Sizes; left.Queues != 0 || left.Waiting != 0 {
		w.t.Errorf("left in the queues: %+v", left)
	}
	w.pass(w.cfg.Bounds.Retention + w.cfg.Bounds.LabelAge)
	if left := w.Stats().Sizes; left != (Sizes{}) {
		w.t.Errorf("never expires: %+v", left)
	}
}

// pass advances the clock, and waits until every goroutine is blocked.
func (w *world) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// wantClock checks the time since the start of the test.
func (w *world) wantClock(want time.Duration) {
	w.t.Helper()
	if got := time.Since(w.began); got != want {
		w.t.Errorf("at %v, want %v", got, want)
	}
}

// deliver starts a delivery, and waits until every goroutine is blocked.
func (w *world) deliver(ctx context.Context, update *Update) *pending {
	p := &pending{done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.answer, p.err = w.Deliver(ctx, update)
	}()
	synctest.Wait()
	return p
}

// read starts a read, and waits until every goroutine is blocked.
func (w *world) read(ctx context.Context, request *twilio.Request) *pending {
	p := &pending{done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.answer, p.err = w.Read(ctx, on("CA1").Account, "caller", request)
	}()
	synctest.Wait()
	return p
}

// start is deliver with the test's context.
func (w *world) start(update *Update) *pending {
	return w.deliver(w.t.Context(), update)
}

// finish delivers an update and waits for its result.
func (w *world) finish(update *Update) *pending {
	p := w.start(update)
	<-p.done
	synctest.Wait()
	return p
}

// pending is a delivery that may not have ended.
type pending struct {
	done   chan struct{}
	answer *twilio.Answer
	err    error
}

// end describes the result of the delivery.
func (p *pending) end() string {
	select {
	case <-p.done:
	default:
		return "pending"
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

// cause describes an error of Deliver.
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

// fake is a Twilio whose answers are given by the test.
type fake struct {
	// respond returns how and when each call ends. If it is nil, the test ends each call
	// with answer or end.
	respond func(*call) step
	// unreachable makes connecting block until the context ends.
	unreachable bool
	// connected, if not nil, blocks connecting until it is closed.
	connected chan struct{}

	mu    sync.Mutex
	calls []*call
}

// call is one attempt.
type call struct {
	n       int // From 1.
	ctx     context.Context
	account *twilio.Account
	request *twilio.Request
	at      time.Time
	open    bool
	ended   chan step
}

// step is how and when a call ends.
type step struct {
	after time.Duration
	// answer is Twilio's answer; nil means a default one.
	answer *twilio.Answer
	err    error
}

// script ends the n-th call with the n-th step, and all further calls with success.
func script(steps ...step) func(*call) step {
	return func(c *call) step {
		if c.n > len(steps) {
			return step{}
		}
		return steps[c.n-1]
	}
}

// failing is a script of calls that end at once with these errors.
func failing(errs ...error) func(*call) step {
	steps := make([]step, len(errs))
	for i, err := range errs {
		steps[i] = step{err: err}
	}
	return script(steps...)
}

func (f *fake) Do(
	ctx context.Context, a *twilio.Account, r *twilio.Request, permit func() error,
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
	c := f.begin(&call{ctx: ctx, account: a, request: r, at: time.Now(), ended: make(chan step, 1)})
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

// String returns the participant and the form of an update, as in "CA1 Muted=true", or
// the method of another request.
func (c *call) String() string {
	what := c.request.Operation.Method()
	if c.request.Operation == twilio.UpdateParticipant {
		what = string(twilio.AppendForm(nil, c.request.Change))
	}
	return c.request.Path.Participant + " " + what
}

// wantSent checks the attempts made so far, in order.
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

// wantSends checks the number of attempts made so far.
func (w *world) wantSends(want int) {
	w.t.Helper()
	synctest.Wait()
	if got := len(w.twilio.sent()); got != want {
		w.t.Fatalf("%d attempts were made, want %d", got, want)
	}
}

// answer ends the n-th call, counted from 1, and waits until every goroutine is
// blocked.
func (w *world) answer(n int, err error) {
	w.t.Helper()
	w.end(n, step{err: err})
}

func (w *world) end(n int, s step) {
	w.t.Helper()
	calls := w.twilio.sent()
	if n > len(calls) || !calls[n-1].open {
		w.t.Fatalf("attempt %d is not in flight", n)
	}
	calls[n-1].ended <- s
	synctest.Wait()
}

// answerFor is an answer with both names of a participant.
func answerFor(label, callSID string) step {
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

// on returns an update of a participant.
func on(participant string, changes ...change) *Update {
	u := &Update{
		Request: twilio.Request{
			Path:   twilio.Path{AccountSID: "AC1", ConferenceSID: "CF1", Participant: participant},
			Change: &property.Values{},
		},
		Account: &twilio.Account{SID: "AC1", BaseURL: "https://twilio.test"},
		Caller:  "caller",
	}
	for _, change := range changes {
		change(u.Change)
	}
	return u
}

// fetch returns a request that fetches a participant.
func fetch(participant string) *twilio.Request {
	path := twilio.Path{AccountSID: "AC1", ConferenceSID: "CF1", Participant: participant}
	return &twilio.Request{Operation: twilio.FetchParticipant, Path: path}
}

// list returns a request that lists the participants of a conference.
func list(conference string) *twilio.Request {
	path := twilio.Path{AccountSID: "AC1", ConferenceSID: conference}
	return &twilio.Request{Operation: twilio.ListParticipants, Path: path}
}

// remove returns a removal of a participant.
func remove(participant string) *Update {
	u := on(participant)
	u.Operation, u.Change = twilio.RemoveParticipant, nil
	return u
}

// withID sets the update's request ID.
func withID(requestID string, u *Update) *Update {
	u.RequestID = requestID
	return u
}

// from sets the update's caller.
func from(caller string, u *Update) *Update {
	u.Caller = caller
	return u
}

// at sets the update's account.
func at(account string, u *Update) *Update {
	u.Account.SID, u.Path.AccountSID = account, account
	return u
}

// plain returns a configuration with every optional mechanism disabled.
func plain() Config {
	return Config{
		Retrying:         Retrying{Attempts: 1},
		Bounds:           Default().Bounds,
		Unordered:        true,
		IgnoreRequestIDs: true,
	}
}

// ordered is plain with queues.
func ordered() Config {
	cfg := plain()
	cfg.Unordered = false
	return cfg
}

// retrying is ordered with retries that do not wait.
func retrying(attempts int) Config {
	cfg := ordered()
	cfg.Retrying.Attempts = attempts
	return cfg
}

// withRequestIDs is ordered with request IDs.
func withRequestIDs() Config {
	cfg := ordered()
	cfg.IgnoreRequestIDs = false
	return cfg
}

// within returns a context that ends after d.
func (w *world) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(w.t.Context(), d)
	w.t.Cleanup(cancel)
	return ctx
}

// cancellable returns a context and a function that cancels it and waits until every
// goroutine is blocked.
func (w *world) cancellable() (context.Context, func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	return ctx, func() {
		cancel()
		synctest.Wait()
	}
}
