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
	"strings"
	"time"
)

const (
	typeJSON = "application/json"
	typeXML  = "application/xml"
)

// An answer is what a request gets.
type answer struct {
	status int
	body   any    // a resource or an error, to be written as JSON or XML, an htmlPage, or nil
	allow  string // the header of a 405
	ending ending
}

// An ending is what becomes of the connection.
type ending int

const (
	whole    ending = iota
	cutShort        // the body stops half-way
	reset           // there is no answer
)

// broken is the answer of a connection that is reset.
var broken = answer{ending: reset}

func ok(body any) answer      { return answer{status: http.StatusOK, body: body} }
func created(body any) answer { return answer{status: http.StatusCreated, body: body} }

// gone is the answer to a deletion.
var gone = answer{status: http.StatusNoContent}

func (a answer) send(w http.ResponseWriter, c *call) {
	if a.ending == reset {
		resetConnection(w, c.Request)
		return
	}
	a.setHeader(w.Header(), c)
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	contentType, body := a.encode(c.target.json)
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(a.status)
	if a.ending == cutShort {
		body = body[:len(body)/2]
	}
	_, _ = w.Write(body)
}

func (a answer) setHeader(h http.Header, c *call) {
	h.Set("Twilio-Request-Id", c.id)
	h.Set("Twilio-Concurrent-Requests", strconv.Itoa(c.concurrent))
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

func (a answer) encode(asJSON bool) (contentType string, body []byte) {
	if page, isPage := a.body.(htmlPage); isPage {
		return "text/html; charset=utf-8", []byte(page)
	}
	var buffer bytes.Buffer
	if !asJSON {
		buffer.WriteString(xml.Header)
		mustEncode(xml.NewEncoder(&buffer).Encode(xmlDocument{Body: a.body}))
		return typeXML, buffer.Bytes()
	}
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	mustEncode(encoder.Encode(a.body))
	return typeJSON, bytes.TrimSpace(buffer.Bytes())
}

// mustEncode panics: the types of bodies are all in this package, and each of
// them can be written.
func mustEncode(err error) {
	if err != nil {
		panic(fmt.Sprintf("sandbox: write an answer: %v", err))
	}
}

// resetConnection closes the connection so that the client sees a reset and not
// an end.
func resetConnection(w http.ResponseWriter, r *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		abort(w, r)
		return
	}
	if secure, isTLS := conn.(*tls.Conn); isTLS {
		conn = secure.NetConn()
	}
	if tcp, isTCP := conn.(*net.TCPConn); isTCP {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// abort ends a request whose connection is out of reach: HTTP/2, or no
// connection at all.
func abort(w http.ResponseWriter, r *http.Request) {
	if r.Context().Value(http.ServerContextKey) != nil {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(http.StatusBadGateway)
}

// A participantResource is a participant in Twilio's form.
type participantResource struct {
	XMLName                xml.Name `json:"-" xml:"Participant"`
	AccountSID             string   `json:"account_sid" xml:"AccountSid"`
	CallSID                string   `json:"call_sid" xml:"CallSid"`
	Label                  nullable `json:"label" xml:"Label"`
	CallSIDToCoach         nullable `json:"call_sid_to_coach" xml:"CallSidToCoach"`
	Coaching               bool     `json:"coaching" xml:"Coaching"`
	ConferenceSID          string   `json:"conference_sid" xml:"ConferenceSid"`
	DateCreated            string   `json:"date_created" xml:"DateCreated"`
	DateUpdated            string   `json:"date_updated" xml:"DateUpdated"`
	EndConferenceOnExit    bool     `json:"end_conference_on_exit" xml:"EndConferenceOnExit"`
	Muted                  bool     `json:"muted" xml:"Muted"`
	Hold                   bool     `json:"hold" xml:"Hold"`
	StartConferenceOnEnter bool     `json:"start_conference_on_enter" xml:"StartConferenceOnEnter"`
	Status                 string   `json:"status" xml:"Status"`
	QueueTime              nullable `json:"queue_time" xml:"QueueTime"`
	URI                    string   `json:"uri" xml:"Uri"`
}

// show returns p in the form in which Twilio shows it under this path.
func (t target) show(p *Participant) participantResource {
	return participantResource{
		AccountSID:             t.account,
		CallSID:                p.CallSID,
		Label:                  nullable(p.Label),
		CallSIDToCoach:         nullable(p.CallSIDToCoach),
		Coaching:               p.Coaching,
		ConferenceSID:          t.conference,
		DateCreated:            formatDate(p.DateCreated),
		DateUpdated:            formatDate(p.DateUpdated),
		EndConferenceOnExit:    p.EndConferenceOnExit,
		Muted:                  p.Muted,
		Hold:                   p.Hold,
		StartConferenceOnEnter: p.StartConferenceOnEnter,
		Status:                 p.Status,
		QueueTime:              nullable(p.QueueTime),
		URI:                    t.uri("Conferences", t.conference, "Participants", p.CallSID),
	}
}

// uri is that of a resource of the target's account, in the target's format.
func (t target) uri(segments ...string) string {
	uri := apiRoot + "Accounts/" + t.account + "/" + strings.Join(segments, "/")
	if t.json {
		uri += ".json"
	}
	return uri
}

// formatDate writes a date as Twilio's resources have it.
func formatDate(date time.Time) string { return date.UTC().Format(time.RFC1123Z) }

// A nullable is a string whose absence is null in JSON and empty in XML.
type nullable string

// MarshalJSON writes null for "".
func (n nullable) MarshalJSON() ([]byte, error) {
	if n == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(n))
}

type xmlDocument struct {
	XMLName xml.Name `xml:"TwilioResponse"`
	Body    any
}

// An htmlPage is a body that is neither JSON nor XML.
type htmlPage string

const unavailablePage = `<!DOCTYPE html>
<html><head><title>503 Service Temporarily Unavailable</title></head>
<body><h1>503 Service Temporarily Unavailable</h1></body></html>
`
