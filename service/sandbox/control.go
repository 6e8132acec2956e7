package sandbox

import (
	"encoding/json"
	"net/http"
)

const about = `This is a sandbox: an imitation, in memory, of Twilio's conference participants.

POST /2010-04-01/Accounts/{AccountSid}/Conferences/{ConferenceSid}/Participants/{CallSid or label}.json   update
GET  /2010-04-01/Accounts/{AccountSid}/Conferences/{ConferenceSid}/Participants/{CallSid or label}.json   fetch
GET  /2010-04-01/Accounts/{AccountSid}/Conferences/{ConferenceSid}/Participants.json                      list
GET  /sandbox/state                                                                                       everything, as JSON
POST /sandbox/reset                                                                                       start over

Account     ` + AccountSID + `
Conference  ` + ConferenceSID + `
Agent       ` + AgentSID + `   (label "agent")
Customer    ` + CustomerSID + `   (label "customer")
Supervisor  ` + SupervisorSID + `   (label "supervisor")
Front desk  ` + FrontDeskSID + `   (label "front desk")
On hold     ` + HeldSID + `

An update of a label such as fault:503, fault:429x2 or fault:slow=300ms goes wrong as the label says.
`

// controlHandler serves the sandbox's own pages, which Twilio does not have.
func (s *Sandbox) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", serveAbout)
	mux.HandleFunc("GET /sandbox/state", s.serveState)
	mux.HandleFunc("POST /sandbox/reset", s.serveReset)
	return mux
}

func serveAbout(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(about))
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
