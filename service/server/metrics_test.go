package server

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/grpc/health/grpc_health_v1"

	"conferenced/service/delivery"
	"conferenced/service/delivery/redisstore/redistest"
	"conferenced/service/sandbox"
	"conferenced/service/settings"
)

// metricNames has the service's own metrics, with type and labels. Dashboards and alerts
// use them.
var metricNames = map[string]string{
	"conferenced_calls_total":           "COUNTER code method protocol",
	"conferenced_call_duration_seconds": "HISTOGRAM code method protocol",
	"conferenced_calls_in_flight":       "GAUGE protocol",
	"conferenced_call_errors_total":     "COUNTER reason",
	"conferenced_policy_refusals_total": "COUNTER",

	"conferenced_gateway_refusals_total": "COUNTER reason",

	"conferenced_upstream_attempts_total":           "COUNTER outcome",
	"conferenced_upstream_attempt_duration_seconds": "HISTOGRAM outcome",
	"conferenced_upstream_connections_total":        "COUNTER reused",
	"conferenced_upstream_concurrent_requests":      "GAUGE account",
	"conferenced_upstream_in_flight":                "GAUGE",

	"conferenced_retries_total":            "COUNTER",
	"conferenced_superseded_total":         "COUNTER",
	"conferenced_replays_total":            "COUNTER",
	"conferenced_delivery_refusals_total":  "COUNTER reason",
	"conferenced_abandoned_total":          "COUNTER",
	"conferenced_queue_wait_seconds":       "HISTOGRAM queue",
	"conferenced_queue_length":             "GAUGE queue",
	"conferenced_concurrency_limit":        "GAUGE",
	"conferenced_concurrency_limit_lowest": "GAUGE",
	"conferenced_breakers":                 "GAUGE state",
	"conferenced_breaker_changes_total":    "COUNTER state",

	"conferenced_participants_busy":      "GAUGE",
	"conferenced_request_ids_remembered": "GAUGE",
	"conferenced_labels_remembered":      "GAUGE",

	"conferenced_shared_state_up":                       "GAUGE",
	"conferenced_shared_state_requests_total":           "COUNTER operation result",
	"conferenced_shared_state_request_duration_seconds": "HISTOGRAM operation",
	"conferenced_shared_state_lost_total":               "COUNTER what",
	"conferenced_shared_state_alone_total":              "COUNTER",

	"conferenced_settings_reloads_total":            "COUNTER result",
	"conferenced_settings_loaded_timestamp_seconds": "GAUGE",
	"conferenced_settings_reload_failing":           "GAUGE",
	"conferenced_expires_in_seconds":                "GAUGE kind",

	"conferenced_accept_failures_total":          "COUNTER listener",
	"conferenced_connection_reads_delayed_total": "COUNTER listener",
	"conferenced_connections_closed_total":       "COUNTER listener reason",
	"conferenced_tls_handshake_failures_total":   "COUNTER listener reason",
	"conferenced_grpc_streams_refused_total":     "COUNTER reason",

	"conferenced_audit_records_skipped_total": "COUNTER",
	"conferenced_log_lines_dropped_total":     "COUNTER",
	"conferenced_unauthenticated_calls_total": "COUNTER code protocol",
	"conferenced_audit_failures_total":        "COUNTER",
	"conferenced_log_lines_suppressed_total":  "COUNTER level",
	"conferenced_panics_total":                "COUNTER",
	"conferenced_build_info":                  "GAUGE go_version revision version",
}

// scrape reads /metrics.
func scrape(t *testing.T, r *running) map[string]*dto.MetricFamily {
	t.Helper()
	code, _, body := askAdmin(t, r, http.MethodGet, "/metrics")
	if code != http.StatusOK {
		t.Fatalf("/metrics answers %d", code)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// valueOf returns the value of a series such as `name{a="b",c="d"}`, with the labels in
// order, or the count of a histogram; 0 if there is no such series.
func valueOf(families map[string]*dto.MetricFamily, series string) float64 {
	name, labels, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
	for _, metric := range families[name].GetMetric() {
		if labelsOf(metric) != labels {
			continue
		}
		return metric.GetCounter().GetValue() + metric.GetGauge().GetValue() +
			float64(metric.GetHistogram().GetSampleCount())
	}
	return 0
}

func labelsOf(metric *dto.Metric) string {
	var labels []string
	for _, label := range metric.GetLabel() {
		labels = append(labels, fmt.Sprintf("%s=%q", label.GetName(), label.GetValue()))
	}
	slices.Sort(labels)
	return strings.Join(labels, ",")
}

func TestNamesOfTheMetrics(t *testing.T) {
	r := start(t, sharing(redistest.StartMini(t)))
	callGRPC(t, t.Context(), r, muting(sandbox.AgentSID))
	sendREST(t, t.Context(), r, http.MethodGet, "/nowhere", "")
	got := map[string]string{}
	others := map[string]bool{}
	for name, family := range scrape(t, r) {
		if !strings.HasPrefix(name, "conferenced_") {
			others[name] = true
			continue
		}
		got[name] = describe(family)
		if family.GetHelp() == "" {
			t.Errorf("%s has no help", name)
		}
	}
	if diff := cmp.Diff(metricNames, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, name := range []string{"go_goroutines", "go_memstats_heap_alloc_bytes", "process_cpu_seconds_total"} {
		if !others[name] {
			t.Errorf("there is no %s", name)
		}
	}
}

// describe returns the family's type and the names of its labels.
func describe(family *dto.MetricFamily) string {
	text := []string{family.GetType().String()}
	for _, label := range family.GetMetric()[0].GetLabel() {
		text = append(text, label.GetName())
	}
	slices.Sort(text[1:])
	return strings.Join(text, " ")
}

// TestCallsMoveTheirMetrics makes calls one after the other and checks by how much each
// moves which series.
func TestCallsMoveTheirMetrics(t *testing.T) {
	const update = `method="` + updateMethod + `"`
	requestID := to(sandbox.AgentSID, &request{Hold: yes, RequestId: "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"})
	tests := []struct {
		name string
		call func(*testing.T, *running)
		want map[string]float64
	}{
		{"a call over gRPC", calling(callGRPC, muting(sandbox.AgentSID)), map[string]float64{
			`conferenced_calls_total{code="OK",` + update + `,protocol="grpc"}`:              1,
			`conferenced_call_duration_seconds{code="OK",` + update + `,protocol="grpc"}`:    1,
			`conferenced_upstream_attempts_total{outcome="ok"}`:                              1,
			`conferenced_upstream_attempt_duration_seconds{outcome="ok"}`:                    1,
			`conferenced_upstream_connections_total{reused="false"}`:                         1,
			`conferenced_queue_wait_seconds{queue="participant"}`:                            1,
			`conferenced_queue_wait_seconds{queue="limit"}`:                                  1,
			`conferenced_labels_remembered`:                                                  1,
			`conferenced_upstream_concurrent_requests{account="` + sandbox.AccountSID + `"}`: 1,
			`conferenced_concurrency_limit`:                                                  1000,
			`conferenced_concurrency_limit_lowest`:                                           1000,
			`conferenced_breakers{state="off"}`:                                              1,
		}},
		{"a call over REST", calling(callREST, muting(sandbox.AgentSID)), map[string]float64{
			`conferenced_calls_total{code="OK",` + update + `,protocol="rest"}`: 1,
			`conferenced_upstream_connections_total{reused="true"}`:             1,
		}},
		{"a call in Twilio's own form", func(t *testing.T, r *running) {
			postTwilio(t, r, sandbox.AgentSID+".json", "Muted=true")
		}, map[string]float64{`conferenced_calls_total{code="OK",` + update + `,protocol="twilio"}`: 1}},
		{"a form that cannot be read", func(t *testing.T, r *running) {
			postTwilio(t, r, sandbox.AgentSID+".json", "Muted=%")
		}, map[string]float64{`conferenced_calls_total{code="InvalidArgument",` + update + `,protocol="twilio"}`: 1}},
		{"a call that Twilio rejects", calling(callREST, muting(absentSID)), map[string]float64{
			`conferenced_calls_total{code="NotFound",` + update + `,protocol="rest"}`: 1,
			`conferenced_call_errors_total{reason="PARTICIPANT_NOT_FOUND"}`:           1,
			`conferenced_upstream_attempts_total{outcome="rejected"}`:                 1,
		}},
		{"a call that is limited, twice", calling(callGRPC, muting("fault:429x2")), map[string]float64{
			`conferenced_upstream_attempts_total{outcome="rate_limited"}`: 2,
			`conferenced_retries_total`:                                   2,
		}},
		{"a call whose answer is lost", calling(callGRPC, announcing("fault:reset")), map[string]float64{
			`conferenced_upstream_attempts_total{outcome="lost"}`:     1,
			`conferenced_call_errors_total{reason="OUTCOME_UNKNOWN"}`: 1,
		}},
		{"a call that Twilio fails", calling(callGRPC, announcing("fault:503")), map[string]float64{
			`conferenced_upstream_attempts_total{outcome="failed"}`: 1,
		}},
		{"an answer that cannot be read", calling(callGRPC, muting("fault:truncated")), map[string]float64{
			`conferenced_upstream_attempts_total{outcome="unexpected"}`: 1,
		}},
		{"a request id", calling(callGRPC, requestID), map[string]float64{`conferenced_request_ids_remembered`: 1}},
		{"a request id again", calling(callREST, requestID), map[string]float64{`conferenced_replays_total`: 1}},
		{"a request id for something else", calling(callGRPC, to(sandbox.AgentSID, &request{
			Hold: no, RequestId: requestID.GetRequestId(),
		})), map[string]float64{`conferenced_delivery_refusals_total{reason="request_id_reused"}`: 1}},
		{"a request that the gateway refuses", func(t *testing.T, r *running) {
			sendREST(t, t.Context(), r, http.MethodGet, "/nowhere", "")
		}, map[string]float64{`conferenced_gateway_refusals_total{reason="ROUTE_NOT_FOUND"}`: 1}},
		{"a health check", func(t *testing.T, r *running) {
			if _, err := grpc_health_v1.NewHealthClient(r.conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
				t.Fatal(err)
			}
		}, map[string]float64{`conferenced_calls_total{code="OK",method="/grpc.health.v1.Health/Check",protocol="grpc"}`: 1}},
		{"a reload", func(_ *testing.T, r *running) { r.Reload() },
			map[string]float64{`conferenced_settings_reloads_total{result="ok"}`: 1}},
	}
	r := start(t, func(s *setup) { s.Delivery.Grace = patience })
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := scrape(t, r)
			test.call(t, r)
			wantMoved(t, before, scrape(t, r), test.want)
		})
	}
}

// postTwilio makes an update on the Twilio-shaped route.
func postTwilio(t *testing.T, r *running, participant, form string) {
	t.Helper()
	answer, err := r.rest.Post(r.restURL("/2010-04-01/Accounts/"+sandbox.AccountSID+"/Conferences/"+
		sandbox.ConferenceSID+"/Participants/"+participant), "application/x-www-form-urlencoded", strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
}

func wantMoved(t *testing.T, before, after map[string]*dto.MetricFamily, want map[string]float64) {
	t.Helper()
	for series, by := range want {
		if got := valueOf(after, series) - valueOf(before, series); got != by {
			t.Errorf("%s moved by %v, want %v", series, got, by)
		}
	}
}

func calling(call func(*testing.T, context.Context, *running, *request) reply, message *request) func(*testing.T, *running) {
	return func(t *testing.T, r *running) { call(t, t.Context(), r, message) }
}

// awaitSeries scrapes until the series has the value.
func awaitSeries(t *testing.T, r *running, series string, want float64) {
	t.Helper()
	var got float64
	for until := time.Now().Add(patience); time.Now().Before(until); {
		if got = valueOf(scrape(t, r), series); got == want {
			return
		}
	}
	t.Fatalf("%s is %v and does not become %v", series, got, want)
}

func wantValues(t *testing.T, r *running, want map[string]float64) {
	t.Helper()
	wantMoved(t, nil, scrape(t, r), want)
}

// begin starts a call over gRPC.
func begin(t *testing.T, ctx context.Context, r *running, message *request) <-chan reply {
	done := make(chan reply, 1)
	go func() { done <- callGRPC(t, ctx, r, message) }()
	return done
}

func TestGaugesOfCallsInFlight(t *testing.T) {
	held := newHolds()
	r := start(t, held.setup, func(s *setup) {
		s.Delivery.Limits = delivery.Limits{MaxConcurrency: 1, MinConcurrency: 1, Queue: 1}
	})
	first := held.begin(t, r, bothWays[0], sandbox.AgentSID)
	second := begin(t, t.Context(), r, to(sandbox.AgentSID, &request{Hold: yes}))
	awaitSeries(t, r, `conferenced_queue_length{queue="participant"}`, 1)
	third := begin(t, t.Context(), r, to(sandbox.AgentSID, &request{Hold: no}))
	awaitSeries(t, r, `conferenced_queue_length{queue="participant"}`, 2)
	fourth := begin(t, t.Context(), r, muting(sandbox.CustomerSID))
	awaitSeries(t, r, `conferenced_queue_length{queue="limit"}`, 1)
	wantValues(t, r, map[string]float64{
		`conferenced_calls_in_flight{protocol="grpc"}`: 4,
		`conferenced_upstream_in_flight`:               1,
		`conferenced_participants_busy`:                2,
		`conferenced_concurrency_limit`:                1,
	})
	callREST(t, t.Context(), r, muting("front desk"))
	close(held.let)
	for _, call := range []<-chan reply{first, second, third, fourth} {
		await(t, call, "an update")
	}
	awaitSeries(t, r, `conferenced_calls_in_flight{protocol="grpc"}`, 0)
	wantValues(t, r, map[string]float64{
		`conferenced_superseded_total`:                             1,
		`conferenced_call_errors_total{reason="SUPERSEDED"}`:       1,
		`conferenced_delivery_refusals_total{reason="overloaded"}`: 1,
		`conferenced_upstream_attempts_total{outcome="ok"}`:        3,
		`conferenced_upstream_in_flight`:                           0,
	})
}

// TestCallerThatLeavesDuringAnAttempt: the attempt continues for the grace period.
func TestCallerThatLeavesDuringAnAttempt(t *testing.T) {
	for grace, want := range map[time.Duration]string{0: "cut_off", patience: "ok"} {
		t.Run(want, func(t *testing.T) {
			held := newHolds()
			release := sync.OnceFunc(func() { close(held.let) })
			defer release()
			r := start(t, held.setup, func(s *setup) { s.Delivery.Grace = grace })
			ctx, cancel := context.WithCancel(t.Context())
			call := begin(t, ctx, r, muting(sandbox.AgentSID))
			await(t, held.arrived, "the call to reach the sandbox")
			cancel()
			await(t, call, "the call to be cancelled")
			awaitSeries(t, r, `conferenced_abandoned_total`, 1)
			if grace > 0 {
				release()
			}
			awaitSeries(t, r, `conferenced_upstream_attempts_total{outcome="`+want+`"}`, 1)
		})
	}
}

func TestTheBreakerIsMeasured(t *testing.T) {
	r := start(t, func(s *setup) {
		s.Delivery.Breaking = delivery.Breaking{Failures: 1, OpenFor: time.Hour, Probes: 1}
	})
	callGRPC(t, t.Context(), r, muting(sandbox.AgentSID))
	wantValues(t, r, map[string]float64{`conferenced_breakers{state="closed"}`: 1})
	callGRPC(t, t.Context(), r, announcing("fault:503"))
	callGRPC(t, t.Context(), r, muting(sandbox.AgentSID))
	wantValues(t, r, map[string]float64{
		`conferenced_breakers{state="closed"}`:                       0,
		`conferenced_breakers{state="open"}`:                         1,
		`conferenced_breaker_changes_total{state="open"}`:            1,
		`conferenced_delivery_refusals_total{reason="circuit_open"}`: 1,
	})
}

func TestFailuresOfTheAuditAreCounted(t *testing.T) {
	r := start(t, func(s *setup) { s.Audit = fullAudit(t) })
	callGRPC(t, t.Context(), r, muting(sandbox.AgentSID))
	callGRPC(t, t.Context(), r, muting(sandbox.AgentSID))
	wantValues(t, r, map[string]float64{
		`conferenced_audit_failures_total`:                     2,
		`conferenced_call_errors_total{reason="AUDIT_FAILED"}`: 2,
		`conferenced_upstream_attempts_total{outcome="ok"}`:    1,
	})
}

// A policy that allows no caller of the test, and then an invalid one.
func TestThePolicyAndItsReloadsAreCounted(t *testing.T) {
	policy := writeFile(t, "rules: [{callers: [{name: nobody}], accounts: ['*'], properties: ['*']}]\n")
	r := start(t, func(s *setup) { s.Settings = withFiles(t, s.Settings, settings.Files{Policy: policy}) })
	callGRPC(t, t.Context(), r, muting(sandbox.AgentSID))
	wantValues(t, r, map[string]float64{
		`conferenced_policy_refusals_total`:                   1,
		`conferenced_call_errors_total{reason="NOT_ALLOWED"}`: 1,
		`conferenced_settings_reload_failing`:                 0,
	})
	if err := os.WriteFile(policy, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Reload()
	families := scrape(t, r)
	if valueOf(families, `conferenced_settings_reload_failing`) != 1 ||
		valueOf(families, `conferenced_settings_reloads_total{result="failed"}`) < 1 {
		t.Error("the failed reload is not told")
	}
}

// TestWhatExpires has a token that expires in an hour, and nothing else that does. The
// log says how callers are authenticated.
func TestWhatExpires(t *testing.T) {
	files := settings.Files{
		Tokens: writeFile(t, fmt.Sprintf("tokens: [{name: ui, sha256: %064d, expires: %s}]\n", 1, time.Now().Add(time.Hour).Format(time.RFC3339))),
		Policy: writeFile(t, "rules: [{callers: [{name: ui}], accounts: ['*'], properties: ['*']}]\n"),
	}
	r := start(t, func(s *setup) {
		s.Version, s.Settings = "v1.2.3", withFiles(t, s.Settings, files)
	})
	families := scrape(t, r)
	if left := valueOf(families, `conferenced_expires_in_seconds{kind="token"}`); left <= 0 || left > 3600 {
		t.Errorf("the token expires in %v s", left)
	}
	for _, kind := range []string{"certificate", "client_ca"} {
		if left := valueOf(families, `conferenced_expires_in_seconds{kind="`+kind+`"}`); !math.IsInf(left, 1) {
			t.Errorf("a %s expires in %v s", kind, left)
		}
	}
	serving := r.log.awaitLine(t, "serving")
	for _, key := range []string{"time", "level", "msg", "grpc", "http", "admin"} {
		delete(serving, key)
	}
	want := line{"version": "v1.2.3", "tls": false, "callers": "token", "accounts": 1.0, "redis": "none"}
	if diff := cmp.Diff(want, serving); diff != "" {
		t.Errorf("the line serving (-want +got):\n%s", diff)
	}
}

func TestAFailingTwilioDoesNotFloodTheLog(t *testing.T) {
	r := start(t)
	for range 25 {
		callGRPC(t, t.Context(), r, announcing("fault:503"))
	}
	callGRPC(t, t.Context(), r, muting(sandbox.AgentSID))
	if got := len(r.log.lines(t, "call")); got != 21 {
		t.Errorf("%d lines about calls, want 20 and one", got)
	}
	wantValues(t, r, map[string]float64{`conferenced_log_lines_suppressed_total{level="warn"}`: 5})
	r.stop()
	await(t, r.ended, "Run to return")
	told := r.log.lines(t, "log lines suppressed")
	if len(told) != 1 || told[0]["lines"] != 5.0 || told[0].text("reason") != "OUTCOME_UNKNOWN" {
		t.Errorf("told: %v", told)
	}
}

func TestTheLogLevelChangesWhileTheServiceRuns(t *testing.T) {
	r := start(t)
	put := func(level string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, r.adminURL("/loglevel"), strings.NewReader(level))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := r.rest.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	for _, test := range []struct {
		level string
		code  int
		body  string
		now   string
	}{
		{"error", 200, "error\n", "error\n"},
		{"loud", 400, "log level \"loud\": must be debug, info, warn or error\n", "error\n"},
		{strings.Repeat("debug", 100), 400, "the body must be debug, info, warn or error\n", "error\n"},
		{"debug\n", 200, "debug\n", "debug\n"},
	} {
		if code, body := put(test.level); code != test.code || body != test.body {
			t.Errorf("%.10q: %d %q", test.level, code, body)
		}
		if _, _, body := askAdmin(t, r, http.MethodGet, "/loglevel"); body != test.now {
			t.Errorf("after %.10q the level is %q", test.level, body)
		}
	}
	if _, err := r.healthOf(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if lines := r.log.lines(t, "call"); len(lines) != 1 || lines[0].text("level") != "DEBUG" {
		t.Errorf("lines about calls: %v", lines)
	}
	changed := r.log.lines(t, "log level changed")
	if len(changed) != 1 || changed[0].text("from") != "error" || changed[0].text("to") != "debug" {
		t.Errorf("lines about the level: %v", changed)
	}
}

func TestProfilesAreForAdminAlone(t *testing.T) {
	r := start(t)
	for _, path := range []string{"/metrics", "/loglevel", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline"} {
		if code, _, _ := askAdmin(t, r, http.MethodGet, path); code != http.StatusOK {
			t.Errorf("admin answers %s with %d", path, code)
		}
		if got := sendREST(t, t.Context(), r, http.MethodGet, path, ""); got.code != http.StatusNotFound {
			t.Errorf("REST answers %s with %d", path, got.code)
		}
	}
}

// TestDocumentHasEveryMetric compares the table of docs/observability.md with the
// metrics.
func TestDocumentHasEveryMetric(t *testing.T) {
	got := map[string]string{}
	for line := range strings.Lines(string(read(t, "docs/observability.md"))) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`conferenced_") {
			continue
		}
		labels := strings.FieldsFunc(cells[3], func(r rune) bool { return strings.ContainsRune(" `,", r) })
		slices.Sort(labels)
		text := append([]string{strings.ToUpper(strings.TrimSpace(cells[2]))}, labels...)
		got[strings.Trim(cells[1], " `")] = strings.Join(text, " ")
	}
	if diff := cmp.Diff(metricNames, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
