package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"conferenced/service/browser"
	"conferenced/service/delivery"
	"conferenced/service/settings"
	"conferenced/service/telemetry"
)

// adminPages returns the handler of admin: probes, health in detail, metrics, the log
// level, profiles, and an index of them at /. The service is ready while Twilio or Redis
// is down: it still answers its callers, and no other replica could serve them better.
// It is not ready while it refuses calls because it cannot write the audit.
func (s *Server) adminPages() http.Handler {
	pages := []adminPage{
		{"/livez", "the liveness probe", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, http.StatusOK, "ok\n")
		}},
		{"/startupz", "the startup probe", s.answerStarted},
		{"/readyz", "the readiness probe, with the error of the last reload", s.answerReady},
		{"/healthz", "the state of Twilio, delivery, settings and Redis, as JSON", s.answerHealth},
		{"/metrics", "the metrics, for Prometheus", s.metrics.Handler().ServeHTTP},
		{"/loglevel", "the log level; PUT changes it", s.answerLogLevel},
		{"/debug/pprof/", "profiles", pprof.Index},
	}
	mux := http.NewServeMux()
	for _, page := range pages {
		mux.HandleFunc("GET "+page.path, page.handler)
	}
	mux.Handle("GET /{$}", adminIndex(pages))
	mux.HandleFunc("PUT /loglevel", s.changeLogLevel)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return withoutForeignPages(s.withLoopbackHost(mux))
}

// withoutForeignPages refuses requests that browsers send for pages of other origins.
// Their scripts could not read the response, but a profile costs CPU.
func withoutForeignPages(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if browser.FromForeignPage(r, protection) {
			answer(w, http.StatusForbidden, "the request comes from a web page of another origin\n")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// adminPage is a page that the index of admin lists.
type adminPage struct {
	path, about string
	handler     http.HandlerFunc
}

// adminIndex returns a page with links to the pages.
func adminIndex(pages []adminPage) http.HandlerFunc {
	var text strings.Builder
	text.WriteString(`<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>conferenced: admin</title>
<h1>conferenced: admin</h1>
<ul>
`)
	for _, page := range pages {
		fmt.Fprintf(&text, "<li><a href=%q>%[1]s</a>: %s</li>\n", page.path, page.about)
	}
	text.WriteString("</ul>\n")
	return func(w http.ResponseWriter, _ *http.Request) {
		answerAs(w, "text/html; charset=utf-8", http.StatusOK, text.String())
	}
}

// withLoopbackHost refuses requests for other hosts if admin is on a loopback address. A
// browser lets a page read admin if the name of the page's host resolves to that address.
func (s *Server) withLoopbackHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isLoopback(s.Admin) && !browser.IsLoopbackHost(r.Host) {
			answer(w, http.StatusForbidden, "the Host must be localhost or a loopback address\n")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// answerStarted answers 200 as soon as every address is served, and during a drain too.
func (s *Server) answerStarted(w http.ResponseWriter, _ *http.Request) {
	if !s.started.Load() {
		answer(w, http.StatusServiceUnavailable, "starting\n")
		return
	}
	answer(w, http.StatusOK, "ok\n")
}

func (s *Server) answerReady(w http.ResponseWriter, _ *http.Request) {
	if !s.ready.Load() {
		answer(w, http.StatusServiceUnavailable, "not serving\n")
		return
	}
	if s.cfg.Audit != nil && !s.cfg.AuditFailOpen && s.cfg.Audit.Check() != nil {
		answer(w, http.StatusServiceUnavailable, "calls are refused: the audit cannot be written\n")
		return
	}
	answer(w, http.StatusOK, "ok\n"+reloadText(s.cfg.Settings.Status()))
}

func (s *Server) answerHealth(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(details{ // It fails if the client has disconnected.
		Serving: s.ready.Load(), Upstream: s.deliverer.Upstreams(), Delivery: s.deliverer.Stats(),
		Settings: s.cfg.Settings.Status(), Redis: s.redisDetails(),
	})
}

// redisDetails returns nil if the state is in memory.
func (s *Server) redisDetails() *redisDetails {
	if s.shared == nil {
		return nil
	}
	state := s.shared.State()
	if state.Up {
		return &redisDetails{"up", state.Since}
	}
	return &redisDetails{"down", state.Since}
}

func (s *Server) answerLogLevel(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, telemetry.ControlOf(s.cfg.Logger).Level()+"\n")
}

// maxLevelBytes is the maximum size of a log level in a request.
const maxLevelBytes = 16

// changeLogLevel sets the log level to the request's body.
func (s *Server) changeLogLevel(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLevelBytes))
	if err != nil {
		answer(w, http.StatusBadRequest, "the body must be debug, info, warn or error\n")
		return
	}
	control := telemetry.ControlOf(s.cfg.Logger)
	before, level := control.Level(), strings.TrimSpace(string(body))
	if err := control.SetLevel(level); err != nil {
		answer(w, http.StatusBadRequest, err.Error()+"\n")
		return
	}
	s.cfg.Logger.Warn("log level changed", "from", before, "to", level)
	answer(w, http.StatusOK, level+"\n")
}

// details is the JSON of /healthz.
type details struct {
	Serving  bool                     `json:"serving"`
	Upstream []delivery.UpstreamState `json:"upstream"`
	Delivery delivery.Stats           `json:"delivery"`
	Settings settings.Status          `json:"settings"`
	Redis    *redisDetails            `json:"redis,omitempty"`
}

// redisDetails is the state of Redis, up or down, and the time of its last change.
type redisDetails struct {
	State string    `json:"state"`
	Since time.Time `json:"since"`
}

// reloadText returns the error of the last reload, or nothing. The service is ready
// nevertheless, with the settings of the last reload that succeeded.
func reloadText(status settings.Status) string {
	if status.LastError == "" {
		return ""
	}
	return fmt.Sprintf("settings of %s are in force; those of %s could not be loaded:\n%s\n",
		status.LoadedAt.UTC().Format(time.RFC3339), status.LastErrorAt.UTC().Format(time.RFC3339), status.LastError)
}

func answer(w http.ResponseWriter, code int, text string) {
	answerAs(w, "text/plain; charset=utf-8", code, text)
}

func answerAs(w http.ResponseWriter, contentType string, code int, text string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text) // It fails if the client has disconnected.
}
