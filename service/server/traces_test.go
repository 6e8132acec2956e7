package server

import (
	"cmp"
	"context"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/sandbox"
	"conferenced/service/telemetry"
)

const (
	callersTrace = "0af7651916cd43dd8448eb211c80319c"
	callersSpan  = "b7ad6b7169203331"
)

// collector is an OTLP receiver, over gRPC and over HTTP.
type collector struct {
	collectorpb.UnimplementedTraceServiceServer

	mu       sync.Mutex
	received []*tracepb.ResourceSpans
}

// Export implements the OTLP service.
func (c *collector) Export(
	_ context.Context, request *collectorpb.ExportTraceServiceRequest,
) (*collectorpb.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received = append(c.received, request.GetResourceSpans()...)
	return new(collectorpb.ExportTraceServiceResponse), nil
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var request collectorpb.ExportTraceServiceRequest
	body, err := io.ReadAll(r.Body)
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &request) != nil {
		http.Error(w, "not OTLP", http.StatusBadRequest)
		return
	}
	_, _ = c.Export(r.Context(), &request)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// overGRPC and overHTTP serve the collector and set the standard variables to it.
func (c *collector) overGRPC(t *testing.T) {
	t.Helper()
	server := grpc.NewServer()
	collectorpb.RegisterTraceServiceServer(server, c)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+listener.Addr().String())
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
}

func (c *collector) overHTTP(t *testing.T) {
	t.Helper()
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
}

// span is the part of a span that tests check.
type span struct {
	id, parent, trace string
	name              string
	kind              tracepb.Span_SpanKind
	failed            bool
	attributes        map[string]any
}

// spans returns the received spans by name, in the order of their arrival.
func (c *collector) spans() map[string][]span {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := map[string][]span{}
	for _, resource := range c.received {
		for _, scope := range resource.GetScopeSpans() {
			for _, one := range scope.GetSpans() {
				found[one.GetName()] = append(found[one.GetName()], spanOf(one))
			}
		}
	}
	return found
}

func spanOf(one *tracepb.Span) span {
	s := span{
		id: hex.EncodeToString(one.GetSpanId()), parent: hex.EncodeToString(one.GetParentSpanId()),
		trace: hex.EncodeToString(one.GetTraceId()), name: one.GetName(), kind: one.GetKind(),
		failed:     one.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR,
		attributes: map[string]any{},
	}
	for _, attribute := range one.GetAttributes() {
		value := attribute.GetValue()
		switch {
		case value.GetStringValue() != "":
			s.attributes[attribute.GetKey()] = value.GetStringValue()
		case value.GetIntValue() != 0:
			s.attributes[attribute.GetKey()] = value.GetIntValue()
		default:
			s.attributes[attribute.GetKey()] = value.GetBoolValue()
		}
	}
	return s
}

// traced starts a server with the collector of the environment. Requests to Twilio pass
// through watch.
func traced(t *testing.T, watch func(*http.Request), choose ...func(*setup)) *running {
	t.Helper()
	return start(t, append(choose, func(s *setup) {
		tracing, err := telemetry.NewTracing(t.Context(), "v1.2.3", cmp.Or(s.Logger, discarded))
		if err != nil {
			t.Fatal(err)
		}
		s.Tracing = tracing
		s.box.Fault = func(r *http.Request) sandbox.Fault {
			watch(r)
			return sandbox.Fault{}
		}
	})...)
}

// end stops the server, which exports the remaining spans.
func (r *running) end(t *testing.T) {
	t.Helper()
	r.stop()
	await(t, r.ended, "Run to return")
}

func withTrace(ctx context.Context, flags string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "traceparent", "00-"+callersTrace+"-"+callersSpan+"-"+flags,
		"tracestate", "vendor=secret-4711", "baggage", "key=secret-4711")
}

func restWithTrace(t *testing.T, r *running, message *request) {
	t.Helper()
	path, body := restOf(t, message)
	sendREST(t, t.Context(), r, http.MethodPatch, path, body,
		"Traceparent", "00-"+callersTrace+"-"+callersSpan+"-01", "Tracestate", "vendor=secret-4711")
}

const callSpan, attemptSpan = "conference.v1.ConferenceService/UpdateParticipant", "twilio update participant"

func TestSpansOfACallOverEachProtocol(t *testing.T) {
	receivers := map[string]func(*collector, *testing.T){"OTLP over gRPC": (*collector).overGRPC, "OTLP over HTTP": (*collector).overHTTP}
	for name, serve := range receivers {
		for _, protocol := range []string{"grpc", "rest"} {
			t.Run(name+"/"+protocol, func(t *testing.T) {
				c := new(collector)
				serve(c, t)
				var mu sync.Mutex
				var sent http.Header
				r := traced(t, func(r *http.Request) {
					mu.Lock()
					defer mu.Unlock()
					sent = r.Header.Clone()
				})
				if protocol == "grpc" {
					callGRPC(t, withTrace(t.Context(), "01"), r, muting(sandbox.AgentSID))
				} else {
					restWithTrace(t, r, muting(sandbox.AgentSID))
				}
				r.end(t)
				checkSpans(t, c, protocol)
				mu.Lock()
				defer mu.Unlock()
				checkHandedOn(t, c, sent)
				if got := r.log.lines(t, "call"); len(got) != 1 || got[0].text("trace_id") != callersTrace {
					t.Errorf("lines: %v", got)
				}
			})
		}
	}
}

func checkSpans(t *testing.T, c *collector, protocol string) {
	t.Helper()
	spans := c.spans()
	if len(spans) != 2 || len(spans[callSpan]) != 1 || len(spans[attemptSpan]) != 1 {
		t.Fatalf("spans: %v", spans)
	}
	call, attempt := spans[callSpan][0], spans[attemptSpan][0]
	if call.trace != callersTrace || call.parent != callersSpan || call.kind != tracepb.Span_SPAN_KIND_SERVER || call.failed {
		t.Errorf("the call's span: %+v", call)
	}
	if attempt.trace != callersTrace || attempt.parent != call.id || attempt.kind != tracepb.Span_SPAN_KIND_CLIENT || attempt.failed {
		t.Errorf("the attempt's span: %+v", attempt)
	}
	want := map[string]any{
		"rpc.system": "grpc", "rpc.service": "conference.v1.ConferenceService", "rpc.method": "UpdateParticipant",
		"rpc.grpc.status_code": false, "conferenced.protocol": protocol, // false: zero.
		"twilio.account_sid": sandbox.AccountSID, "twilio.conference_sid": sandbox.ConferenceSID, "twilio.call_sid": sandbox.AgentSID,
		"twilio.request_id": attempt.attributes["twilio.request_id"],
	}
	if diff := gocmp.Diff(want, call.attributes); diff != "" {
		t.Errorf("attributes of the call's span (-want +got):\n%s", diff)
	}
	want = map[string]any{
		"http.request.method": "POST", "http.response.status_code": int64(200), "conferenced.attempt": int64(1),
		"conferenced.outcome": "ok", "conferenced.connection_reused": false,
		"twilio.request_id": attempt.attributes["twilio.request_id"],
	}
	if diff := gocmp.Diff(want, attempt.attributes); diff != "" {
		t.Errorf("attributes of the attempt's span (-want +got):\n%s", diff)
	}
}

// TestSpansOfARemovalByLabel: the look-up and the removal are attempts of one call.
func TestSpansOfARemovalByLabel(t *testing.T) {
	c := new(collector)
	c.overGRPC(t)
	r := traced(t, func(*http.Request) {})
	if _, err := r.service().RemoveParticipant(t.Context(), &conferencev1.RemoveParticipantRequest{
		ConferenceSid: sandbox.ConferenceSID, CallSid: "front desk",
	}); err != nil {
		t.Fatal(err)
	}
	r.end(t)
	spans := c.spans()
	calls := spans["conference.v1.ConferenceService/RemoveParticipant"]
	if len(spans) != 3 || len(calls) != 1 || calls[0].attributes["twilio.call_sid"] != sandbox.FrontDeskSID {
		t.Fatalf("spans: %v", spans)
	}
	for name, method := range map[string]string{"twilio fetch participant": "GET", "twilio remove participant": "DELETE"} {
		attempts := spans[name]
		if len(attempts) != 1 || attempts[0].parent != calls[0].id || attempts[0].attributes["http.request.method"] != method {
			t.Errorf("%s: %+v", name, attempts)
		}
	}
}

// checkHandedOn checks the trace headers that Twilio got: those of the attempt's span and
// none of the caller's.
func checkHandedOn(t *testing.T, c *collector, sent http.Header) {
	t.Helper()
	attempt := c.spans()[attemptSpan][0]
	if got, want := sent.Get("Traceparent"), "00-"+callersTrace+"-"+attempt.id+"-01"; got != want {
		t.Errorf("Twilio was sent the traceparent %q, want %q", got, want)
	}
	if sent.Get("Tracestate")+sent.Get("Baggage") != "" {
		t.Errorf("Twilio was sent %v", sent)
	}
}

func TestEachAttemptHasASpan(t *testing.T) {
	c := new(collector)
	c.overGRPC(t)
	r := traced(t, func(*http.Request) {})
	callGRPC(t, t.Context(), r, muting("fault:429x1"))
	callREST(t, t.Context(), r, announcing("fault:503"))
	r.end(t)
	spans := c.spans()
	var outcomes []string
	for _, attempt := range spans[attemptSpan] {
		outcomes = append(outcomes, attempt.attributes["conferenced.outcome"].(string))
		if attempt.failed != (attempt.attributes["conferenced.outcome"] != "ok") {
			t.Errorf("the attempt's span: %+v", attempt)
		}
	}
	if want := []string{"rate_limited", "ok", "failed"}; !slices.Equal(outcomes, want) {
		t.Errorf("the attempts' outcomes are %v, want %v", outcomes, want)
	}
	if len(spans[callSpan]) != 2 {
		t.Fatalf("spans: %v", spans)
	}
	failed := spans[callSpan][1]
	if !failed.failed || failed.attributes["conferenced.reason"] != "OUTCOME_UNKNOWN" || failed.attributes["conferenced.applied"] != "maybe" {
		t.Errorf("the span of the call that failed: %+v", failed)
	}
}

func TestNothingSecretIsInASpan(t *testing.T) {
	c := new(collector)
	c.overGRPC(t)
	r := traced(t, func(*http.Request) {})
	ctx := metadata.AppendToOutgoingContext(withTrace(t.Context(), "01"), "authorization", "Bearer secret-4711")
	message := to("secret-4711", &request{
		HoldUrl: text("https://user:secret-4711@a.example/"), RequestId: "secret-4711", AccountSid: "secret-4711",
	})
	callGRPC(t, ctx, r, message)
	callGRPC(t, withTrace(t.Context(), "01"), r, message)
	message.RequestId, message.AccountSid = "", ""
	callGRPC(t, withTrace(t.Context(), "01"), r, message)
	r.end(t)
	spans := c.spans()
	if len(spans[callSpan]) != 3 || len(spans[attemptSpan]) != 1 {
		t.Fatalf("spans: %v", spans)
	}
	for _, resource := range c.received {
		if all := resource.String(); strings.Contains(strings.ReplaceAll(all, "vendor=secret-4711", ""), "secret-4711") ||
			strings.Contains(all, sandbox.AuthToken) {
			t.Errorf("a secret is in %s", all)
		}
	}
}

func TestACallThatItsCallerSampledOutHasNoSpan(t *testing.T) {
	c := new(collector)
	c.overGRPC(t)
	r := traced(t, func(r *http.Request) {
		if got := r.Header.Get("Traceparent"); got != "" {
			t.Errorf("Twilio was sent the traceparent %q", got)
		}
	})
	callGRPC(t, withTrace(t.Context(), "00"), r, muting(sandbox.AgentSID))
	r.end(t)
	if spans := c.spans(); len(spans) != 0 {
		t.Errorf("spans: %v", spans)
	}
	if got := r.log.lines(t, "call"); len(got) != 1 || got[0].text("trace_id") != callersTrace {
		t.Errorf("lines: %v", got)
	}
}

func TestTheAuditHasTheTraceOfTheSpan(t *testing.T) {
	c := new(collector)
	c.overGRPC(t)
	configure, read := audited(t)
	r := traced(t, func(*http.Request) {}, configure)
	callREST(t, t.Context(), r, muting(sandbox.AgentSID))
	r.end(t)
	call := c.spans()[callSpan][0]
	if records := read(); len(records) != 1 || records[0].TraceID != call.trace || call.parent != "" {
		t.Errorf("the audit has %+v, the span is %+v", records, call)
	}
}

func TestAnUnreachableCollectorIsLogged(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+noListener)
	log := new(logged)
	logger, err := telemetry.NewLogger(log, "info", "json")
	if err != nil {
		t.Fatal(err)
	}
	r := traced(t, func(*http.Request) {}, func(s *setup) { s.Logger = logger })
	if got := callGRPC(t, t.Context(), r, muting(sandbox.AgentSID)); got.status != nil {
		t.Errorf("the call ends as %v", got.status)
	}
	r.end(t)
	if r.err != nil {
		t.Errorf("Run returned %v", r.err)
	}
	if len(log.lines(t, "traces: spans are lost")) == 0 {
		t.Errorf("nothing is logged:\n%s", log)
	}
}
