package telemetry

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/delivery"
	"conferenced/service/outcome"
	"conferenced/service/properties"
)

// Record is one line of the audit: who asked for what, and what came of it. It
// holds no label, no URL and no secret.
type Record struct {
	Time time.Time `json:"time"`
	// Caller is the caller's name, empty if it is not known, and KnownBy how it
	// was known: `token`, `jwt`, `mtls` or `anonymous`.
	Caller  string `json:"caller"`
	KnownBy string `json:"known_by"`
	// Peer is the client's own address, Protocol the way it came in.
	Peer     string `json:"peer"`
	Protocol string `json:"protocol"`
	Method   string `json:"method"`

	AccountSID    string `json:"account_sid,omitempty"`
	ConferenceSID string `json:"conference_sid,omitempty"`
	// CallSID is the participant's Call SID. An update that named it by label
	// and was not answered by Twilio has none.
	CallSID string `json:"call_sid,omitempty"`
	// Properties are the names of what was to be set, Values the values of those
	// that are true or false.
	Properties []string        `json:"properties,omitempty"`
	Values     map[string]bool `json:"values,omitempty"`

	// Outcome is `OK` or the reason of the error, Applied whether the update
	// changed the conference.
	Outcome string `json:"outcome"`
	Applied string `json:"applied"`

	RequestID       string `json:"request_id,omitempty"`
	TwilioRequestID string `json:"twilio_request_id,omitempty"`
	TraceID         string `json:"trace_id,omitempty"`
}

// Audit returns the interceptor that writes a Record of every call of the API,
// refused ones too.
//
// When a record cannot be written the call fails, unless failOpen: it is told
// AUDIT_FAILED with what came of it, and nothing is let through until a record
// can be written again.
func Audit(sink *AuditSink, failOpen bool, logger *slog.Logger, where Where) grpc.UnaryServerInterceptor {
	return func(
		ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (any, error) {
		if !isAPI(info.FullMethod) {
			return handler(ctx, request)
		}
		if err := sink.ready(); err != nil && !failOpen {
			logger.ErrorContext(ctx, "audit failed: the call is refused", "cause", err)
			return nil, auditFailed(delivery.No)
		}
		ctx, call := WithCall(ctx)
		response, err := handler(ctx, request)
		record := recordPool.Get().(*Record)
		defer recordPool.Put(record)
		record.begin(ctx, info.FullMethod, where, call)
		record.ask(request, call)
		applied := record.conclude(response, err)
		if auditErr := sink.write(record); auditErr != nil {
			logger.ErrorContext(ctx, "audit failed", "cause", auditErr)
			if !failOpen {
				return nil, auditFailed(applied)
			}
		}
		return response, err
	}
}

func auditFailed(applied delivery.Applied) error {
	return outcome.AuditFailed.Err(outcome.Facts{Applied: applied})
}

// Where tells where a call came from.
type Where struct {
	// Protocol is the way in.
	Protocol func(context.Context) string
	// Client is the client's own address.
	Client func(context.Context) string
}

// recordPool has the records of calls that have ended, of which slices and maps
// are used again.
var recordPool = sync.Pool{New: func() any { return &Record{Values: map[string]bool{}} }}

func (r *Record) begin(ctx context.Context, method string, where Where, call *Call) {
	clear(r.Values)
	*r = Record{
		Time:            time.Now().UTC(),
		Caller:          call.Caller,
		KnownBy:         call.KnownBy,
		Peer:            where.Client(ctx),
		Protocol:        where.Protocol(ctx),
		Method:          method,
		TwilioRequestID: call.TwilioRequestID,
		TraceID:         call.traceID(ctx),
		Properties:      r.Properties[:0],
		Values:          r.Values,
	}
}

// ask puts down what was asked. A text of the caller's is put down only where it
// has the form of an id.
func (r *Record) ask(request any, call *Call) {
	update, ok := request.(*conferencev1.UpdateParticipantRequest)
	if !ok {
		return
	}
	known := idsOf(request, call)
	r.AccountSID, r.ConferenceSID, r.CallSID, r.RequestID = known.account, known.conference, known.call, known.request
	r.Properties = properties.Append(r.Properties, update)
	properties.Booleans(r.Values, update)
}

// conclude puts down what came of it.
func (r *Record) conclude(response any, err error) delivery.Applied {
	r.Outcome, r.Applied = "OK", delivery.Yes.String()
	if answer, ok := response.(*conferencev1.UpdateParticipantResponse); ok && err == nil {
		participant := answer.GetParticipant()
		if isSID("CA", participant.GetCallSid()) {
			r.CallSID = participant.GetCallSid()
		}
	}
	if err == nil {
		return delivery.Yes
	}
	info := outcome.Info(outcome.Complete(status.Convert(err), delivery.Maybe))
	r.Outcome, r.Applied = info.GetReason(), info.GetMetadata()[outcome.KeyApplied]
	switch r.Applied {
	case delivery.No.String():
		return delivery.No
	case delivery.Yes.String():
		return delivery.Yes
	default:
		return delivery.Maybe
	}
}

func isAPI(method string) bool { return strings.HasPrefix(method, "/conference.") }
