package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"conferenced/service/delivery"
	"conferenced/service/settings"
)

// admin answers what operators and orchestrators ask: whether the process is
// alive, whether it should be sent calls, and how the ways to Twilio are. A
// Twilio that is down does not make the service unready: it still has to answer.
func admin(ready *atomic.Bool, deliverer *delivery.Deliverer, live *settings.Live) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "ok\n")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			answer(w, http.StatusServiceUnavailable, "not serving\n")
			return
		}
		answer(w, http.StatusOK, "ok\n"+reloadText(live.Status()))
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(details{ // Whoever asked is gone.
			Serving: ready.Load(), Upstream: deliverer.Lanes(), Delivery: deliverer.Stats(),
			Settings: live.Status(),
		})
	})
	return mux
}

// details is the health of the service for a person.
type details struct {
	Serving  bool            `json:"serving"`
	Upstream []delivery.Lane `json:"upstream"`
	Delivery delivery.Stats  `json:"delivery"`
	Settings settings.Status `json:"settings"`
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
