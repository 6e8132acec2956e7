package sandbox

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// An answer is the answer to an API request.
type answer struct {
	status int
	body   any    // A resource, an *apiError, a page or nil.
	allow  string // The Allow header of a 405.

	truncated bool // The connection ends after half of the body.
	reset     bool // The connection is reset instead.

	concurrent  int // The account's requests in flight, this one included.
	contentType string
	content     []byte // The encoded body.
}

// A page is a body that is not a resource.
type page struct{ contentType, text string }

var noAnswer = answer{reset: true}

func (a answer) send(w http.ResponseWriter, c *call) {
	if a.reset {
		resetConnection(w, c.Request)
		return
	}
	a.setHeader(w.Header(), c)
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	w.Header().Set("Content-Type", a.contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(a.content)))
	w.WriteHeader(a.status)
	if a.truncated {
		a.content = a.content[:len(a.content)/2]
	}
	_, _ = w.Write(a.content)
}

func (a answer) setHeader(h http.Header, c *call) {
	h.Set("Twilio-Request-Id", c.id)
	h.Set("Twilio-Concurrent-Requests", strconv.Itoa(a.concurrent))
	h.Set("Twilio-Request-Duration", fmt.Sprintf("%.3f", time.Since(c.started).Seconds()))
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, If-Match, "+
		"If-Modified-Since, If-None-Match, If-Unmodified-Since, Idempotency-Key")
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Access-Control-Expose-Headers", "ETag")
	if a.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Basic realm="Twilio API"`)
	}
	if a.allow != "" {
		h.Set("Allow", a.allow)
	}
}

// encode encodes the body as JSON or XML. It panics if that fails, because all types of
// bodies are in this package.
func (a answer) encode(asJSON bool) (contentType string, body []byte) {
	if page, ok := a.body.(page); ok {
		return page.contentType, []byte(page.text)
	}
	if a.body == nil {
		return "", nil
	}
	var buffer bytes.Buffer
	var err error
	if asJSON {
		contentType = "application/json"
		encoder := json.NewEncoder(&buffer)
		encoder.SetEscapeHTML(false)
		err = encoder.Encode(a.body)
	} else {
		contentType = "application/xml"
		buffer.WriteString(xml.Header)
		err = xml.NewEncoder(&buffer).Encode(xmlDocument{Body: a.body})
	}
	if err != nil {
		panic(fmt.Sprintf("sandbox: encode an answer: %v", err))
	}
	return contentType, bytes.TrimSpace(buffer.Bytes())
}

type xmlDocument struct {
	XMLName xml.Name `xml:"TwilioResponse"`
	Body    any
}

// resetConnection closes the connection so that the client sees a reset rather
// than an end of file.
func resetConnection(w http.ResponseWriter, r *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	switch {
	case err == nil:
	case r.Context().Value(http.ServerContextKey) != nil: // HTTP/2.
		panic(http.ErrAbortHandler)
	default: // There is no connection.
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
