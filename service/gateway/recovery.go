package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"

	"conferenced/service/delivery"
	"conferenced/service/outcome"
)

// withRecovery answers a panic of the gateway with INTERNAL and logs it.
// http.ErrAbortHandler, which asks the server to cut the connection, is passed
// on, and takes the place of a panic within an answer.
func withRecovery(next http.Handler, cfg Config) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &watchedWriter{
			ResponseWriter: w, refused: cfg.Refused,
			last: func() bool { return cfg.LastAnswer(r) },
		}
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(http.ErrAbortHandler)
			}
			cfg.Panicked()
			cfg.Logger.ErrorContext(r.Context(), "panic in the REST gateway", "cause", describe(cause), "stack", string(debug.Stack()))
			if answer.begun {
				panic(http.ErrAbortHandler)
			}
			refuse(w, r, outcome.Internal.Status(outcome.Facts{Applied: delivery.Maybe}))
		}()
		next.ServeHTTP(answer, r)
	})
}

// describe tells what a panic was about. Only the Go runtime's own texts are
// known to hold nothing of the request.
func describe(cause any) string {
	if err, ok := cause.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("%T", cause)
}

// watchedWriter knows whether an answer has begun, and is told of refusals. It
// tells the client if the answer is the last one of its connection.
type watchedWriter struct {
	http.ResponseWriter
	begun   bool
	refused func(reason string)
	last    func() bool
}

func (w *watchedWriter) begin() {
	if w.begun {
		return
	}
	w.begun = true
	if w.last() {
		w.Header().Set("Connection", "close")
	}
}

func (w *watchedWriter) WriteHeader(code int) {
	w.begin()
	w.ResponseWriter.WriteHeader(code)
}

func (w *watchedWriter) Write(p []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *watchedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
