package server

import (
	"encoding/json"
	"io"
	"net/http"
	"sync/atomic"

	"conferenced/service/delivery"
)

// admin answers what operators and orchestrators ask: whether the process is
// alive, whether it should be sent calls, and how the ways to Twilio are. A
// Twilio that is down does not make the service unready: it still has to answer.
func admin(ready *atomic.Bool, deliverer *delivery.Deliverer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "ok\n")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			answer(w, http.StatusServiceUnavailable, "not serving\n")
			return
		}
		answer(w, http.StatusOK, "ok\n")
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(details{ // Whoever asked is gone.
			Serving: ready.Load(), Upstream: deliverer.Lanes(), Delivery: deliverer.Stats(),
		})
	})
	return mux
}

// details is the health of the service for a person.
type details struct {
	Serving  bool            `json:"serving"`
	Upstream []delivery.Lane `json:"upstream"`
	Delivery delivery.Stats  `json:"delivery"`
}

func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text) // Whoever asked is gone.
}
