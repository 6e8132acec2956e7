package gateway

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// TestTheLastAnswerOfAConnection is any there can be: of a call, of the pages,
// and refusals.
func TestTheLastAnswerOfAConnection(t *testing.T) {
	var last atomic.Bool
	server := serve(t, newService(), Config{Docs: true, LastAnswer: func(r *http.Request) bool {
		return r.Header.Get("X-Last") != "" && last.Load()
	}})
	for _, request := range []struct {
		method, path string
		code         int
	}{
		{http.MethodPost, defaultAccountPath + callSID, http.StatusOK},
		{http.MethodDelete, defaultAccountPath + callSID, http.StatusMethodNotAllowed},
		{http.MethodGet, "/openapi.json", http.StatusOK},
		{http.MethodGet, "/nowhere", http.StatusNotFound},
	} {
		t.Run(request.method+" "+request.path, func(t *testing.T) {
			for _, want := range []bool{false, true} {
				last.Store(want)
				outgoing, err := http.NewRequestWithContext(t.Context(), request.method, server.URL+request.path, strings.NewReader(`{"muted": true}`))
				if err != nil {
					t.Fatal(err)
				}
				outgoing.Header.Set("X-Last", "yes")
				response, err := server.Client().Do(outgoing)
				if err != nil {
					t.Fatal(err)
				}
				if got := readReply(t, response); got.closed != want || got.code != request.code {
					t.Errorf("%d, closed: %v, want %d, %v", got.code, got.closed, request.code, want)
				}
			}
		})
	}
}
