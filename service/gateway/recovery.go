package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"

	"conferenced/service/outcome"
)

// withRecovery answers a panic of the gateway with INTERNAL and logs it. It re-panics
// with http.ErrAbortHandler, so that the server closes the connection, if that was
// the panic or if the answer has begun.
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
			cfg.Logger.ErrorContext(r.Context(), "panic in the REST gateway", "cause", PanicText(cause), "stack", string(debug.Stack()))
			if answer.begun {
				panic(http.ErrAbortHandler)
			}
			refuse(w, r, outcome.Internal.Err(outcome.Facts{Applied: outcome.Maybe}))
		}()
		next.ServeHTTP(answer, r)
	})
}

// PanicText returns the text of a panic of the Go runtime. For any other value, which may
// contain secrets, it returns only the type.
func PanicText(cause any) string {
	if err, ok := cause.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("%T", cause)
}

// watchedWriter records whether the answer has begun. It sets Connection: close if
// the answer is the last one of the connection.
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

// Unwrap supports http.ResponseController.
func (w *watchedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
