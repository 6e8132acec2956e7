package sandbox

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
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
)

const (
	// maxWaiting is how many callbacks of one conference may wait. It has room for
	// the end of a full conference.
	maxWaiting = 1024

	// callbackTimeout is Twilio's for webhooks of calls.
	callbackTimeout = 15 * time.Second

	// maxCallbackAnswer is how much of an answer is read, and ignored.
	maxCallbackAnswer = 64 << 10
)

// Callbacks counts status callbacks since the start or the last Reset.
type Callbacks struct {
	// Pending are waiting or on their way.
	Pending int `json:"pending"`

	// Delivered were answered with a status of 2xx.
	Delivered int `json:"delivered"`

	// Failed were answered otherwise, or not at all. They are not repeated.
	Failed int `json:"failed"`

	// Dropped found the queue of their conference full.
	Dropped int `json:"dropped"`

	// LastFailure says why the latest of those in Failed did.
	LastFailure string `json:"last_failure"`
}

// A callback is a request to be made of a status callback.
type callback struct {
	url    string
	method string
	form   url.Values
	token  string // signs it
}

// A mailer delivers callbacks, those of one conference one at a time and in
// order. It has goroutines only while there is something to deliver.
type mailer struct {
	ctx     context.Context // done once the mailer is closed
	cancel  context.CancelFunc
	sending sync.WaitGroup

	mu     sync.Mutex            // guards what follows; never held while sending
	queues map[string][]callback // by conference; each that is here has a goroutine
	counts Callbacks
}

func newMailer() *mailer {
	m := &mailer{queues: map[string][]callback{}}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// post takes a callback in, or drops it if the conference's queue is full or the
// mailer is closed.
func (m *mailer) post(conference string, c callback) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		return
	}
	queue, running := m.queues[conference]
	if len(queue) >= maxWaiting {
		m.counts.Dropped++
		return
	}
	m.queues[conference] = append(queue, c)
	m.counts.Pending++
	if !running {
		m.sending.Go(func() { m.drain(conference) })
	}
}

// close breaks off what is being sent, drops the rest, and returns when nothing
// runs any more. It may be called again.
func (m *mailer) close() {
	m.mu.Lock()
	m.cancel()
	m.mu.Unlock()
	m.sending.Wait()
}

func (m *mailer) tally() Callbacks {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts
}

// drain sends a conference's callbacks until there are none.
func (m *mailer) drain(conference string) {
	for {
		c, more := m.next(conference)
		if !more {
			return
		}
		m.count(m.deliver(c))
	}
}

func (m *mailer) next(conference string) (c callback, more bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	queue := m.queues[conference]
	if len(queue) == 0 || m.ctx.Err() != nil {
		m.counts.Pending -= len(queue)
		delete(m.queues, conference)
		return callback{}, false
	}
	m.queues[conference] = queue[1:]
	return queue[0], true
}

func (m *mailer) count(failure error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.Pending--
	if failure == nil {
		m.counts.Delivered++
		return
	}
	m.counts.Failed++
	m.counts.LastFailure = failure.Error()
}

func (m *mailer) deliver(c callback) error {
	ctx, cancel := context.WithTimeout(m.ctx, callbackTimeout)
	defer cancel()
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
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s is answered %s", c.method, c.url, answer.Status)
	}
	return nil
}

// request writes the callback as Twilio would: the form in the body, or for GET
// in the query. The signature covers the URL as requested and the body's fields.
func (c callback) request(ctx context.Context) (*http.Request, error) {
	u, err := url.Parse(c.url)
	if err != nil {
		return nil, err
	}
	u.Fragment, u.RawFragment = "", "" // connection overrides, which nobody is sent
	setDefault(&u.Path, "/")
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
	r.Header.Set("I-Twilio-Idempotency-Token", newToken())
	r.Header.Set("X-Twilio-Signature", sign(c.token, u.String(), signed))
	return r, nil
}

// sign is Twilio's X-Twilio-Signature: HMAC-SHA1, keyed with the auth token, of
// the URL and of each field's name and value in the order of the names.
func sign(token, requested string, form url.Values) string {
	mac := hmac.New(sha1.New, []byte(token))
	_, _ = io.WriteString(mac, requested)
	for _, name := range slices.Sorted(maps.Keys(form)) {
		_, _ = io.WriteString(mac, name+form.Get(name))
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// newToken is a random UUID.
func newToken() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// callbackClient reaches loopback and nothing else, whatever a name resolves to,
// and keeps no connections.
var callbackClient = &http.Client{
	Transport: &http.Transport{
		DialContext:       (&net.Dialer{Control: refuseOtherHosts}).DialContext,
		DisableKeepAlives: true,
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func refuseOtherHosts(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if !to.Addr().IsLoopback() {
		return fmt.Errorf("%s is not on loopback", address)
	}
	return nil
}

// checkCallback returns why a status callback to that URL is refused, or nil.
func checkCallback(address string) error {
	if !isWebURL(address) {
		return errors.New("is not a valid URL")
	}
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	switch {
	case u.User != nil:
		return errors.New("must not have credentials in it")
	case !isLoopback(u.Hostname()):
		return errors.New("must be on loopback, such as http://127.0.0.1:8080/: the sandbox calls no other host")
	}
	return nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || strings.EqualFold(host, "localhost")
}
