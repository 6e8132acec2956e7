package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/delivery"
	"conferenced/service/outcome"
)

func TestHeadersThatBecomeMetadata(t *testing.T) {
	tests := []struct {
		name   string
		header []string
		want   metadata.MD
	}{
		{"none", nil, metadata.MD{}},
		{
			"the ones that are let through",
			[]string{"Authorization", "Bearer x", "Traceparent", "00-1", "Tracestate", "a=b"},
			metadata.MD{"authorization": {"Bearer x"}, "traceparent": {"00-1"}, "tracestate": {"a=b"}},
		},
		{
			"two credentials", // Which of them counts is not for the gateway to choose.
			[]string{"Authorization", "Bearer x", "Authorization", "Bearer y"},
			metadata.MD{"authorization": {"Bearer x", "Bearer y"}},
		},
		{
			"grpc-gateway's own prefix",
			[]string{
				"Grpc-Metadata-Authorization", "Bearer x", "Grpc-Metadata-Caller", "root", "Grpc-Metadata-Traceparent", "00-1",
				"Grpc-Metadata-X-Forwarded-For", "10.0.0.1", "Grpc-Metadata-Caller-Bin", "AAAA", "Grpcgateway-Authorization", "x",
			},
			metadata.MD{},
		},
		{
			"addresses of others",
			[]string{"X-Forwarded-For", "10.0.0.1", "X-Forwarded-Host", "evil", "X-Real-Ip", "10.0.0.1", "Forwarded", "for=10.0.0.1"},
			metadata.MD{},
		},
		{
			"names of gRPC's own",
			[]string{"Grpc-Encoding", "gzip", "Grpc-Status", "0", "Grpc-Tags-Bin", "AAAA", ":authority", "evil"},
			metadata.MD{},
		},
		{
			"the usual ones of HTTP",
			[]string{"Cookie", "a=b", "User-Agent", "x", "Origin", "http://x", "Accept", "*/*", "Te", "trailers", "Connection", "close"},
			metadata.MD{},
		},
		{"a credential that is not ASCII", []string{"Authorization", "Bearer é"}, metadata.Pairs("authorization", "?")},
	}
	s := newService()
	handler := newHandler(t, s, Config{CORSOrigins: []string{"http://x"}})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			request := httptest.NewRequest(http.MethodPost, defaultAccountPath+callSID, strings.NewReader("{}"))
			for i := 0; i < len(test.header); i += 2 {
				request.Header[test.header[i]] = append(request.Header[test.header[i]], test.header[i+1])
			}
			handler.ServeHTTP(httptest.NewRecorder(), request)
			got := s.seen(t).metadata
			if got == nil {
				got = metadata.MD{}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("metadata (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMetadataThatBecomesHeaders(t *testing.T) {
	for name, failure := range map[string]error{
		"of an answer": nil,
		"of an error":  outcome.ParticipantNotFound.Err(outcome.Facts{}),
	} {
		t.Run(name, func(t *testing.T) {
			s := newService()
			s.answer = func(ctx context.Context, _ *conferencev1.UpdateParticipantRequest) (*conferencev1.UpdateParticipantResponse, error) {
				header := metadata.Pairs("twilio-request-id", "RQ1", "secret", "x", "set-cookie", "a=b", "content-length", "3")
				if err := grpc.SetHeader(ctx, header); err != nil {
					t.Error(err)
				}
				if err := grpc.SetTrailer(ctx, metadata.Pairs("late", "x")); err != nil {
					t.Error(err)
				}
				return &conferencev1.UpdateParticipantResponse{}, failure
			}
			got := send(t, serve(t, s, Config{}), http.MethodPost, defaultAccountPath+callSID, "{}", "Te", "trailers")
			got.header.Del("Date")
			got.header.Del("Content-Length")
			want := http.Header{
				"Cache-Control": {"no-store"}, "Content-Type": {"application/json"},
				"X-Content-Type-Options": {"nosniff"}, "Twilio-Request-Id": {"RQ1"},
			}
			if diff := cmp.Diff(want, got.header); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestIdempotencyKey(t *testing.T) {
	const id, other = "11111111-2222-4333-8444-555555555555", "66666666-2222-4333-8444-555555555555"
	tests := []struct {
		name       string
		keys       []string
		body       string
		want       string
		violations []string
	}{
		{"neither", nil, `{}`, "", nil},
		{"the header alone", []string{id}, `{}`, id, nil},
		{"the header alone, without a body", []string{id}, ``, id, nil},
		{"the field alone", nil, `{"request_id": "` + id + `"}`, id, nil},
		{"both, the same", []string{id}, `{"request_id": "` + id + `"}`, id, nil},
		{"both, different", []string{id}, `{"request_id": "` + other + `"}`, "", []string{
			"request_id", "differs from the Idempotency-Key header: give one of them, or the same in both",
		}},
		{"the header in quotes", []string{`"` + id + `"`}, `{}`, id, nil},
		{"the header twice, the same", []string{id, id}, `{}`, id, nil},
		{"the header twice, different", []string{id, other}, `{}`, "", []string{
			"Idempotency-Key", "is given more than once, with different values",
		}},
		{"an empty header", []string{""}, `{}`, "", []string{"Idempotency-Key", "is empty"}},
		{"an empty header in quotes", []string{`""`}, `{}`, "", []string{"Idempotency-Key", "is empty"}},
		{"no UUID, which a validator refuses", []string{"x"}, `{}`, "x", nil},
	}
	s := newService()
	server := serve(t, s, Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var header []string
			for _, key := range test.keys {
				header = append(header, "Idempotency-Key", key)
			}
			got := send(t, server, http.MethodPost, defaultAccountPath+callSID, test.body, header...)
			if test.violations != nil {
				wantStatus(t, got, refusal(test.violations...))
				s.notCalled(t)
				return
			}
			wantRequest(t, s.seen(t), &conferencev1.UpdateParticipantRequest{
				ConferenceSid: conferenceSID, CallSid: callSID, RequestId: test.want,
			})
		})
	}
}

func TestIdempotencyKeyOfAMessageWithoutRequestID(t *testing.T) {
	got := adoptIdempotencyKey(&conferencev1.Warning{}, http.Header{"Idempotency-Key": {"x"}})
	if len(got) != 1 || got[0].GetField() != "Idempotency-Key" {
		t.Errorf("violations %v", got)
	}
}

func TestTimeoutsThatAreRefused(t *testing.T) {
	s := newService()
	server := serve(t, s, Config{})
	want := refusal("Grpc-Timeout", "must be 1 to 8 digits, not zero, and a unit: H, M, S, m, u or n")
	for _, value := range []string{"5", "S", "5s", "-5S", "+5S", "1.5S", "5 S", "0S", "000000001S", "123456789n", "secret", "5é"} {
		t.Run(value, func(t *testing.T) {
			wantStatus(t, send(t, server, http.MethodPost, defaultAccountPath+callSID, "{}", "Grpc-Timeout", value), want)
			s.notCalled(t)
		})
	}
}

func TestTimeoutIsTheDeadline(t *testing.T) {
	tests := map[string]time.Duration{
		"": 0, "1H": time.Hour, "2M": 2 * time.Minute, "00000030S": 30 * time.Second,
		"1500m": 1500 * time.Millisecond, "99999999u": 99999999 * time.Microsecond,
	}
	for value, want := range tests {
		t.Run(value, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService()
				s.answer = func(ctx context.Context, _ *conferencev1.UpdateParticipantRequest) (*conferencev1.UpdateParticipantResponse, error) {
					deadline, ok := ctx.Deadline()
					if ok != (want != 0) || ok && time.Until(deadline) != want {
						t.Errorf("deadline %v %v, want %v from now", ok, time.Until(deadline), want)
					}
					return &conferencev1.UpdateParticipantResponse{}, nil
				}
				callInBubble(t, s, "Grpc-Timeout", value)
				s.seen(t)
			})
		})
	}
}

func TestATimeoutOfCenturies(t *testing.T) {
	s := newService()
	got := send(t, serve(t, s, Config{}), http.MethodPost, defaultAccountPath+callSID, "{}", "Grpc-Timeout", "99999999H")
	if got.code != http.StatusOK || !s.seen(t).hasDeadline {
		t.Errorf("HTTP status %d: %s", got.code, got.body)
	}
}

func TestDeadlineThatPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.answer = func(ctx context.Context, _ *conferencev1.UpdateParticipantRequest) (*conferencev1.UpdateParticipantResponse, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		recorder := callInBubble(t, s, "Grpc-Timeout", "5S")
		got := reply{code: recorder.Code, header: recorder.Header(), body: recorder.Body.Bytes()}
		wantStatus(t, got, outcome.Deadline.Status(outcome.Facts{Applied: delivery.Maybe}))
	})
}

func callInBubble(t *testing.T, s *service, header, value string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, defaultAccountPath+callSID, strings.NewReader("{}"))
	request.Header.Set(header, value)
	recorder := httptest.NewRecorder()
	newHandler(t, s, Config{}).ServeHTTP(recorder, request)
	synctest.Wait()
	return recorder
}

func TestClientThatGoesAwayCancelsTheCall(t *testing.T) {
	s := newService()
	began, ended := make(chan struct{}), make(chan error)
	s.answer = func(ctx context.Context, _ *conferencev1.UpdateParticipantRequest) (*conferencev1.UpdateParticipantResponse, error) {
		close(began)
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}
	server := serve(t, s, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-began
		cancel()
	}()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+defaultAccountPath+callSID, strings.NewReader(`{"muted": true}`))
	if err != nil {
		t.Fatal(err)
	}
	if response, err := server.Client().Do(request); err == nil {
		response.Body.Close()
		t.Error("the cancelled request was answered")
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the call ended with %v", err)
	}
	want := &conferencev1.UpdateParticipantRequest{ConferenceSid: conferenceSID, CallSid: callSID, Muted: proto.Bool(true)}
	wantRequest(t, s.seen(t), want)
}
