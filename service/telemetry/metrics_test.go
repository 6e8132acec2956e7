package telemetry

import (
	"net/http/httptest"
	"strings"
	"testing"

	"conferenced/service/call"
	"conferenced/service/outcome"
)

// TestMetricsOfUnauthenticatedCalls checks that conferenced_calls_total, on which
// alerts are based, does not count them.
func TestMetricsOfUnauthenticatedCalls(t *testing.T) {
	m := NewMetrics("", "")
	step := m.Interceptor()
	late := answering(nil, outcome.Deadline.Err(outcome.Facts{}))
	for _, made := range []call.Call{
		{Method: method, Protocol: call.REST},
		{Method: method, Protocol: call.REST, Caller: "ui", KnownBy: "token"},
		{Method: method, Protocol: call.REST, KnownBy: "anonymous"},
		{Method: healthCheck, Protocol: call.GRPC},
	} {
		_, _ = through(t.Context(), step, made, nil, late)
	}
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`conferenced_calls_total{code="DeadlineExceeded",method="` + method + `",protocol="rest"} 2`,
		`conferenced_calls_total{code="DeadlineExceeded",method="` + healthCheck + `",protocol="grpc"} 1`,
		`conferenced_unauthenticated_calls_total{code="DeadlineExceeded",protocol="rest"} 1`,
		`conferenced_unauthenticated_calls_total{code="Unauthenticated",protocol="rest"} 0`,
		`conferenced_call_errors_total{reason="DEADLINE"} 4`,
	} {
		if !strings.Contains(answer.Body.String(), "\n"+want+"\n") {
			t.Errorf("no %s in\n%s", want, answer.Body)
		}
	}
}
