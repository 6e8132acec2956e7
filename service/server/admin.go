package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"conferenced/service/delivery"
	"conferenced/service/settings"
	"conferenced/service/telemetry"
)

// adminPages answer what operators and orchestrators ask: whether the process has
// started, whether it is alive, whether it should be sent calls, how the ways to Twilio are, what it
// counted and what it spends its time on. A Twilio that is down does not make the
// service unready, and neither does a Redis that is: it still has to answer, and
// what it is not ready for, no other replica is.
func (s *Server) adminPages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "ok\n")
	})
	mux.HandleFunc("GET /startupz", s.answerStarted)
	mux.HandleFunc("GET /readyz", s.answerReady)
	mux.HandleFunc("GET /healthz", s.answerHealth)
	mux.Handle("GET /metrics", s.metrics.Handler())
	mux.HandleFunc("GET /loglevel", s.answerLogLevel)
	mux.HandleFunc("PUT /loglevel", s.changeLogLevel)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// answerStarted says whether the settings are loaded and every address is bound
// and served. Once that is so it stays so, in a drain too.
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
	answer(w, http.StatusOK, "ok\n"+reloadText(s.cfg.Settings.Status()))
}

func (s *Server) answerHealth(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(details{ // Whoever asked is gone.
		Serving: s.ready.Load(), Upstream: s.deliverer.Lanes(), Delivery: s.deliverer.Stats(),
		Settings: s.cfg.Settings.Status(), Redis: s.redisDetails(),
	})
}

// redisDetails are nil if the state is in memory.
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

// maxLevelBytes is more than any level needs.
const maxLevelBytes = 16

// changeLogLevel takes the level as the body, in plain text.
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

// details is the health of the service for a person.
type details struct {
	Serving  bool            `json:"serving"`
	Upstream []delivery.Lane `json:"upstream"`
	Delivery delivery.Stats  `json:"delivery"`
	Settings settings.Status `json:"settings"`
	Redis    *redisDetails   `json:"redis,omitempty"`
}

// redisDetails say whether Redis, which the replicas share their state in, is
// `up` or `down`, and since when.
type redisDetails struct {
	State string    `json:"state"`
	Since time.Time `json:"since"`
}

// reloadText says what is wrong with the files of the settings. The service
// goes on with those that it has, so it is ready all the same.
func reloadText(status settings.Status) string {
	if status.LastError == "" {
		return ""
	}
	return fmt.Sprintf("settings of %s are in force; those of %s could not be loaded:\n%s\n",
		status.LoadedAt.UTC().Format(time.RFC3339), status.LastErrorAt.UTC().Format(time.RFC3339), status.LastError)
}

func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text) // Whoever asked is gone.
}
