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
POST    /Conferences/{Sid or friendly name}/Participants.json     create: place a call
GET     /Conferences/{Sid}/Participants/{CallSid or label}.json   fetch
POST    /Conferences/{Sid}/Participants/{CallSid or label}.json   update
DELETE  /Conferences/{Sid}/Participants/{CallSid or label}.json   remove

The sandbox's own pages:

GET     /sandbox/state     everything, as JSON
POST    /sandbox/reset     return to the initial state
POST    /sandbox/advance   move the clock forward: by=5s
POST    /sandbox/hangup    end a call: ConferenceSid, and a Call SID or label as CallSid

An update of a label such as fault:503, fault:429x2 or fault:slow=300ms fails as the label says.

`

// maxControlForm is the maximal size of a form for the sandbox's own pages.
const maxControlForm = 64 << 10

// controlHandler serves the sandbox's own pages, which Twilio does not have.
func (s *Sandbox) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = fmt.Fprint(w, about, s.State().summary())
	})
	mux.HandleFunc("GET /sandbox/state", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(s.State()) // It fails if the client has disconnected.
	})
	mux.HandleFunc("POST /sandbox/reset", func(w http.ResponseWriter, _ *http.Request) {
		s.Reset()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /sandbox/advance", func(w http.ResponseWriter, r *http.Request) {
		by, err := time.ParseDuration(r.FormValue("by"))
		if err != nil || by < 0 {
			http.Error(w, "by is not a duration such as 5s", http.StatusBadRequest)
			return
		}
		s.Advance(by)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /sandbox/hangup", func(w http.ResponseWriter, r *http.Request) {
		if !s.HangUp(r.FormValue("ConferenceSid"), r.FormValue("CallSid")) {
			http.Error(w, "there is no such participant", http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return http.MaxBytesHandler(mux, maxControlForm)
}

// summary lists everything that has a SID, one line each.
func (s State) summary() string {
	var text strings.Builder
	for _, account := range s.Accounts {
		fmt.Fprintf(&text, "%s  %s\n", account.SID, account.FriendlyName)
		for _, c := range account.Conferences {
			fmt.Fprintf(&text, "  %s  %s, %s\n", c.SID, c.FriendlyName, c.Status)
			for _, p := range c.Participants {
				fmt.Fprintf(&text, "    %s  %s", p.CallSID, p.Status)
				if p.Label != "" {
					fmt.Fprintf(&text, ", label %q", p.Label)
				}
				if p.Muted {
					text.WriteString(", muted")
				}
				if p.Hold {
					text.WriteString(", on hold")
				}
				text.WriteString("\n")
			}
		}
	}
	return text.String()
}
