package sandbox

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio signs with SHA-1.
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"conferenced/service/clientaddr"

	"github.com/google/uuid"
)

const (
	// maxWaiting is the number of callbacks of a conference that can wait. It has
	// room for the end of a full conference.
	maxWaiting = 1024

	// callbackTimeout is Twilio's for webhooks of calls.
	callbackTimeout = 15 * time.Second

	// maxCallbackAnswer is how much of an answer is read. Its content is ignored.
	maxCallbackAnswer = 64 << 10
)

// Callbacks counts status callbacks since the start or the last Reset.
type Callbacks struct {
	// Pending callbacks are waiting or being sent.
	Pending int `json:"pending"`

	// Delivered callbacks got an answer with a 2xx status.
	Delivered int `json:"delivered"`

	// Failed callbacks got another answer or none. They are not repeated.
	Failed int `json:"failed"`

	// Dropped callbacks found the queue of their conference full.
	Dropped int `json:"dropped"`

	// LastFailure is the error of the last failed callback.
	LastFailure string `json:"last_failure"`
}

func (c *Callbacks) add(other Callbacks) {
	c.Pending += other.Pending
	c.Delivered += other.Delivered
	c.Failed += other.Failed
	c.Dropped += other.Dropped
	c.LastFailure = cmp.Or(c.LastFailure, other.LastFailure)
}

// A callback is a request to a status callback URL.
type callback struct {
	conference string
	url        string
	method     string
	form       url.Values
	token      string // The key of the signature.
	entry      *Entry // In the journal.
}

// A mailer sends callbacks. It sends the callbacks of a conference one at a time and in
// order.
type mailer struct {
	ctx     context.Context // Done once the mailer is closed.
	cancel  context.CancelFunc
	finish  func(*Entry, *Answer) // Called after each callback.
	sending sync.WaitGroup

	mu     sync.Mutex            // Guards the fields below. Not held during requests.
	queues map[string][]callback // By conference. Each has a goroutine until it is empty.
	counts Callbacks
}

func newMailer(ctx context.Context, finish func(*Entry, *Answer)) *mailer {
	m := &mailer{finish: finish, queues: map[string][]callback{}}
	m.ctx, m.cancel = context.WithCancel(ctx)
	return m
}

// post queues a callback. It drops it if the queue is full, and ignores it if the
// mailer is closed.
func (m *mailer) post(c callback) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		return
	}
	queue, running := m.queues[c.conference]
	if len(queue) >= maxWaiting {
		m.counts.Dropped++
		c.entry.Answer = &Answer{Error: "dropped: too many callbacks of the conference wait"}
		return
	}
	m.queues[c.conference] = append(queue, c)
	m.counts.Pending++
	if !running {
		m.sending.Go(func() { m.drain(c.conference) })
	}
}

// close cancels the callbacks being sent, drops the waiting ones, and returns when
// no goroutine is left. It may be called more than once.
func (m *mailer) close() {
	m.mu.Lock()
	m.cancel()
	m.mu.Unlock()
	m.sending.Wait()
}

func (m *mailer) count() Callbacks {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts
}

// drain sends the callbacks of a conference until none is left or the mailer is
// closed.
func (m *mailer) drain(conference string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.queues[conference]) > 0 && m.ctx.Err() == nil {
		next := m.queues[conference][0]
		m.queues[conference] = m.queues[conference][1:]
		m.mu.Unlock()
		answer := m.deliver(next)
		m.finish(next.entry, answer)
		m.mu.Lock()
		m.counts.Pending--
		if answer.Error == "" {
			m.counts.Delivered++
		} else {
			m.counts.Failed++
			m.counts.LastFailure = answer.Error
		}
	}
	m.counts.Pending -= len(m.queues[conference])
	delete(m.queues, conference)
}

// finishCallback completes the entry of a callback.
func (s *Sandbox) finishCallback(e *Entry, answer *Answer) {
	now := s.lock()
	defer s.unlock(now)
	e.Answer = answer
}

// deliver makes the request. The answer has an error unless its status is 2xx.
func (m *mailer) deliver(c callback) *Answer {
	ctx, cancel := context.WithTimeout(m.ctx, callbackTimeout)
	defer cancel()
	started := time.Now()
	answered := &Answer{}
	if err := c.send(ctx, answered); err != nil {
		answered.Error = err.Error()
	}
	answered.Milliseconds = milliseconds(time.Since(started))
	return answered
}

func (c callback) send(ctx context.Context, answered *Answer) error {
	r, err := c.request(ctx)
	if err != nil {
		return err
	}
	answer, err := callbackClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxCallbackAnswer))
	answered.Status = answer.StatusCode
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s is answered %s", c.method, c.url, answer.Status)
	}
	return nil
}

// request returns the callback as Twilio sends it: the form is in the body, or for
// GET in the query. The signature covers the URL as requested and the fields of
// the body.
func (c callback) request(ctx context.Context) (*http.Request, error) {
	u, err := url.Parse(c.url)
	if err != nil {
		return nil, err
	}
	u.Fragment, u.RawFragment = "", "" // Connection overrides, which are not sent.
	u.Path = cmp.Or(u.Path, "/")
	signed, body := c.form, c.form.Encode()
	if c.method == http.MethodGet {
		u.RawQuery = strings.TrimPrefix(u.RawQuery+"&"+body, "&")
		signed, body = nil, ""
	}
	r, err := http.NewRequestWithContext(ctx, c.method, u.String(), strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if c.method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	}
	r.Header.Set("Accept", "*/*")
	r.Header.Set("User-Agent", "TwilioProxy/1.1")
	r.Header.Set("I-Twilio-Idempotency-Token", uuid.NewString())
	r.Header.Set("X-Twilio-Signature", sign(c.token, u.String(), signed))
	return r, nil
}

// sign returns Twilio's X-Twilio-Signature: HMAC-SHA1, keyed with the auth token,
// of the URL and of the fields' names and values in the order of the names.
func sign(token, requestURL string, form url.Values) string {
	mac := hmac.New(sha1.New, []byte(token))
	_, _ = io.WriteString(mac, requestURL)
	for _, name := range slices.Sorted(maps.Keys(form)) {
		_, _ = io.WriteString(mac, name+form.Get(name))
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// callbackClient connects to loopback addresses only, whatever a name resolves to.
// It follows no redirects and keeps no connections.
var callbackClient = &http.Client{
	Transport: &http.Transport{
		DialContext:       (&net.Dialer{Control: refuseOtherHosts}).DialContext,
		DisableKeepAlives: true,
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func refuseOtherHosts(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err == nil && !to.Addr().IsLoopback() {
		err = fmt.Errorf("%s is not on loopback", address)
	}
	return err
}

// checkCallback returns an error if a status callback URL is refused.
func checkCallback(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil, !isWebURL(address):
		return errors.New("is not a valid URL")
	case u.User != nil:
		return errors.New("must not have credentials in it")
	case !clientaddr.IsLoopback(u.Hostname()):
		return errors.New("must be on loopback, such as http://127.0.0.1:8080/: the sandbox calls no other host")
	}
	return nil
}
