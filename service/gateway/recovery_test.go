package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/delivery"
	"conferenced/service/outcome"
)

// panicking is a service whose calls panic.
type panicking struct {
	conferencev1.UnimplementedConferenceServiceServer
	cause any
}

func (p panicking) UpdateParticipant(
	context.Context, *conferencev1.UpdateParticipantRequest,
) (*conferencev1.UpdateParticipantResponse, error) {
	panic(p.cause)
}

func quietServer(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Start()
	t.Cleanup(server.Close)
	return server
}

func TestPanicsAreAnsweredAndLogged(t *testing.T) {
	var nobody *service
	tests := map[string]struct {
		cause  any
		logged string
	}{
		"with a text":     {"secret", "cause=string"},
		"with an error":   {errors.New("secret"), "cause=*errors.errorString"},
		"of the run time": {runtimePanic(func() { nobody.calls = nil }), "nil pointer dereference"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			cfg := Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}
			server := quietServer(t, newHandler(t, panicking{cause: test.cause}, cfg))
			got := send(t, server, http.MethodPost, defaultAccountPath+callSID, "{}")
			wantStatus(t, got, outcome.Internal.Status(outcome.Facts{Applied: delivery.Maybe}))
			if !strings.Contains(log.String(), test.logged) || !strings.Contains(log.String(), "panicking.UpdateParticipant") {
				t.Errorf("the log does not tell what and where: %s", log.String())
			}
			if strings.Contains(log.String(), "secret") {
				t.Errorf("the log has the value of the panic: %s", log.String())
			}
		})
	}
}

func runtimePanic(f func()) (cause any) {
	defer func() { cause = recover() }()
	f()
	return nil
}

func TestAbortIsPassedOn(t *testing.T) {
	server := quietServer(t, newHandler(t, panicking{cause: http.ErrAbortHandler}, Config{}))
	response, err := server.Client().Post(server.URL+defaultAccountPath+callSID, "", strings.NewReader("{}"))
	if err == nil {
		response.Body.Close()
		t.Errorf("HTTP status %d", response.StatusCode)
	}
}

func TestPanicWithinAnAnswerCutsIt(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	server := quietServer(t, withRecovery(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half an ans")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		panic("secret")
	}), Config{Logger: logger, Panicked: func() {}, LastAnswer: func(*http.Request) bool { return false }}))
	response, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("the answer looks whole: %q", body)
	}
}
