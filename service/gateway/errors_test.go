package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/delivery"
	"conferenced/service/outcome"
)

func TestEveryOutcomeIsAnsweredAsTheTableSays(t *testing.T) {
	for _, kind := range outcome.Table {
		t.Run(kind.Reason+" "+kind.Code.String(), func(t *testing.T) {
			want := kind.Status(outcome.Facts{
				Applied:  delivery.Maybe,
				Detail:   "detail",
				Resource: "resource",
				Twilio:   &outcome.TwilioAnswer{HTTPStatus: 500, Code: 20500, RequestID: "RQ1", MoreInfo: "https://x"},
			})
			s := newService()
			s.answer = func(context.Context, *conferencev1.UpdateParticipantRequest) (*conferencev1.UpdateParticipantResponse, error) {
				return nil, want.Err()
			}
			wantStatus(t, send(t, serve(t, s, Config{}), http.MethodPost, defaultAccountPath+callSID, "{}"), want)
		})
	}
}

func TestHeadersOfErrors(t *testing.T) {
	overloaded := func(delay time.Duration) *status.Status {
		return outcome.Overloaded.Status(outcome.Facts{RetryAfter: delay})
	}
	tests := []struct {
		name         string
		status       *status.Status
		retryAfter   string
		authenticate string
	}{
		{"a delay of the table", overloaded(0), "1", ""},
		{"a nanosecond", overloaded(1), "1", ""},
		{"whole seconds", overloaded(3 * time.Second), "3", ""},
		{"a little more", overloaded(3*time.Second + 1), "4", ""},
		{"no delay", outcome.Internal.Status(outcome.Facts{}), "", ""},
		{"an unknown caller", outcome.CallerUnknown.Status(outcome.Facts{Detail: "secret"}), "", "Bearer"},
		{"a refused caller", outcome.NotAllowed.Status(outcome.Facts{}), "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			recorder := httptest.NewRecorder()
			writeStatus(recorder, test.status)
			if got := recorder.Header().Get("Retry-After"); got != test.retryAfter {
				t.Errorf("Retry-After: %q, want %q", got, test.retryAfter)
			}
			if got := recorder.Header().Get("WWW-Authenticate"); got != test.authenticate {
				t.Errorf("WWW-Authenticate: %q, want %q", got, test.authenticate)
			}
		})
	}
}

func TestErrorsThatTheServiceDidNotMake(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	tests := []struct {
		name string
		ctx  context.Context
		err  error
		want outcome.Kind
	}{
		{"a status of gRPC", t.Context(), status.Error(codes.DeadlineExceeded, "secret"), outcome.Deadline},
		{"an unknown status", t.Context(), status.Error(codes.Unknown, "secret"), outcome.Internal},
		{"a Go error", t.Context(), errors.New("secret"), outcome.Internal},
		{"a bare context error", t.Context(), context.DeadlineExceeded, outcome.Deadline},
		{"no answer", t.Context(), io.EOF, outcome.Internal},
		{"no answer, the client gone", cancelled, io.EOF, outcome.Cancelled},
		{"no answer, the deadline passed", late, io.EOF, outcome.Deadline},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := test.want.Status(outcome.Facts{Applied: delivery.Maybe})
			if diff := cmp.Diff(want.Proto(), statusOf(test.ctx, test.err).Proto(), protocmp.Transform()); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("what the service made is kept, whatever the context", func(t *testing.T) {
		want := outcome.Superseded.Status(outcome.Facts{Applied: delivery.No})
		if got := statusOf(cancelled, want.Err()); !cmp.Equal(want.Proto(), got.Proto(), protocmp.Transform()) {
			t.Errorf("got %v", got)
		}
	})
}

func TestDetailThatCannotBeShown(t *testing.T) {
	recorder := httptest.NewRecorder()
	withLimits(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeStatus(w, status.FromProto(&spb.Status{
			Code: int32(codes.NotFound), Details: []*anypb.Any{{TypeUrl: "type.googleapis.com/no.such.Type"}},
		}))
	}), 1).ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, "/", nil))
	got := reply{code: recorder.Code, header: recorder.Header(), body: recorder.Body.Bytes()}
	wantStatus(t, got, outcome.Internal.Status(outcome.Facts{Applied: delivery.Maybe}))
}
