package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const about = `This is a sandbox: an imitation, in memory, of Twilio's conference participants.

Below /2010-04-01/Accounts/{AccountSid}:

GET     /Conferences.json                                         list
GET     /Conferences/{Sid}.json                                   fetch
POST    /Conferences/{Sid}.json                                   announce, or end
GET     /Conferences/{Sid}/Participants.json                      list
POST    /Conferences/{Sid or friendly name}/Participants.json     call somebody
GET     /Conferences/{Sid}/Participants/{CallSid or label}.json   fetch
POST    /Conferences/{Sid}/Participants/{CallSid or label}.json   update
DELETE  /Conferences/{Sid}/Participants/{CallSid or label}.json   remove

And its own:

GET     /sandbox/state     everything, as JSON
POST    /sandbox/reset     start over
POST    /sandbox/advance   move the clock on: by=5s
POST    /sandbox/hangup    end a call: ConferenceSid, and a Call SID or label as CallSid

An update of a label such as fault:503, fault:429x2 or fault:slow=300ms goes wrong as the label says.

`

// maxControl is the size of the largest form that the sandbox's own pages take.
const maxControl = 64 << 10

// controlHandler serves the sandbox's own pages, which Twilio does not have.
func (s *Sandbox) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.serveAbout)
	mux.HandleFunc("GET /sandbox/state", s.serveState)
	mux.HandleFunc("POST /sandbox/reset", s.serveReset)
	mux.HandleFunc("POST /sandbox/advance", s.serveAdvance)
	mux.HandleFunc("POST /sandbox/hangup", s.serveHangUp)
	return mux
}

func (s *Sandbox) serveAbout(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(about + s.State().summary()))
}

// summary lists all that has a SID, a line each.
func (s State) summary() string {
	var text strings.Builder
	for _, account := range s.Accounts {
		fmt.Fprintf(&text, "%s  %s\n", account.SID, account.FriendlyName)
		for _, conference := range account.Conferences {
			fmt.Fprintf(&text, "  %s  %s, %s\n", conference.SID, conference.FriendlyName, conference.Status)
			for _, p := range conference.Participants {
				fmt.Fprintf(&text, "    %s  %s\n", p.CallSID, p.summary())
			}
		}
	}
	return text.String()
}

func (p *Participant) summary() string {
	said := []string{p.Status}
	if p.Label != "" {
		said = append(said, fmt.Sprintf("label %q", p.Label))
	}
	if p.Muted {
		said = append(said, "muted")
	}
	if p.Hold {
		said = append(said, "on hold")
	}
	return strings.Join(said, ", ")
}

func (s *Sandbox) serveState(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", typeJSON)
	w.Header().Set("Cache-Control", "no-store")
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(s.State())
}

func (s *Sandbox) serveReset(w http.ResponseWriter, _ *http.Request) {
	s.Reset()
	w.WriteHeader(http.StatusNoContent)
}

func (s *Sandbox) serveAdvance(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxControl)
	by, err := time.ParseDuration(r.FormValue("by"))
	if err != nil || by < 0 {
		http.Error(w, "by is not a duration such as 5s", http.StatusBadRequest)
		return
	}
	s.Advance(by)
	w.WriteHeader(http.StatusNoContent)
}

func (s *Sandbox) serveHangUp(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxControl)
	if !s.HangUp(r.FormValue("ConferenceSid"), r.FormValue("CallSid")) {
		http.Error(w, "there is no such participant", http.StatusNotFound)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
