package main

import (
	"io"
	"net"
	"net/http"
	"path"
	"strings"
	"time"
)

// newUpstream is the stub of Twilio: every update succeeds, after the delay.
func newUpstream(s roleSettings, _ net.Addr) (role, error) {
	server := &http.Server{Handler: stub(s.delay), ReadHeaderTimeout: patience, Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(s.http2)
	return role{http: server, tls: s.cert != ""}, nil
}

func stub(delay time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // A request that breaks off gets no answer.
		time.Sleep(delay)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Twilio-Request-Id", "RQ00000000000000000000000000000001")
		callSID := strings.TrimSuffix(path.Base(r.URL.Path), ".json")
		_, _ = io.WriteString(w, answerBegin+callSID+answerEnd)
	}
}

// The stub's answer, with the participant's Call SID in between.
const (
	answerBegin = `{"account_sid": "` + accountSID + `", "call_sid": "`
	answerEnd   = `", "label": null, "call_sid_to_coach": null, "coaching": false, ` +
		`"conference_sid": "` + conferenceSID + `", ` +
		`"date_created": "Fri, 18 Feb 2011 21:07:19 +0000", "date_updated": "Fri, 18 Feb 2011 21:07:19 +0000", ` +
		`"end_conference_on_exit": false, "muted": true, "hold": false, "start_conference_on_enter": true, ` +
		`"status": "connected", "queue_time": "1000", ` +
		`"uri": "/2010-04-01/Accounts/` + accountSID + `/Conferences/` + conferenceSID +
		`/Participants/CA00000000000000000000000000000001.json"}`
)

// tunedTransport is the pool of connections to Twilio that floor and peer have.
func tunedTransport(s roleSettings) *http.Transport {
	t := &http.Transport{
		MaxIdleConnsPerHost: 512,
		IdleConnTimeout:     50 * time.Second,
		DisableCompression:  true,
		Protocols:           new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	t.Protocols.SetHTTP2(s.http2)
	return t
}
