package storm_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service"
	"conferenced/service/outcome"
	"conferenced/service/outcome/outcometest"
)

// answer is the answer that a caller got.
type answer struct {
	// answered is false if the caller left before it got an answer.
	answered  bool
	code      codes.Code
	reason    string
	applied   string
	requestID string // Twilio's request ID, if the answer is OK.
}

func (a answer) ok() bool { return a.answered && a.code == codes.OK }

// ended reports whether the call ended by its deadline or its cancellation.
func (a answer) ended() bool {
	return !a.answered || a.code == codes.DeadlineExceeded || a.code == codes.Canceled
}

func (a answer) String() string {
	switch {
	case !a.answered:
		return "(left)"
	case a.code == codes.OK:
		return "OK"
	default:
		return fmt.Sprintf("%v %s applied=%s", a.code, a.reason, a.applied)
	}
}

// answerOf converts a status. A DeadlineExceeded or Canceled without ErrorInfo was
// created by the client.
func answerOf(err error) answer {
	st := status.Convert(err)
	if st.Code() == codes.OK {
		return answer{answered: true}
	}
	info := outcometest.Info(st)
	return answer{
		answered: info != nil || st.Code() != codes.DeadlineExceeded && st.Code() != codes.Canceled,
		code:     st.Code(),
		reason:   info.GetReason(),
		applied:  info.GetMetadata()[outcome.KeyApplied],
	}
}

// send makes a call and returns what its caller gets.
type send func(context.Context, *call) answer

// do makes the call with its deadline and cancellation.
func (c *call) do(ctx context.Context, send send) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if c.timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, c.timeout)
		defer stop()
	}
	c.begin = time.Now()
	if c.cancelAfter > 0 {
		defer time.AfterFunc(c.cancelAfter, cancel).Stop()
	}
	c.answer = send(ctx, c)
	c.end = time.Now()
}

// send calls the service over gRPC or REST.
func (w *world) send(ctx context.Context, c *call) answer {
	if c.conn == rest {
		return w.sendREST(ctx, c)
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", authorizationOf(c.caller))
	var header metadata.MD
	_, err := conferencev1.NewConferenceServiceClient(w.conns[c.conn]).
		UpdateParticipant(ctx, c.request(), grpc.Header(&header))
	got := answerOf(err)
	for _, id := range header.Get(service.RequestIDHeader) {
		got.requestID = id
	}
	return got
}

func (w *world) sendREST(ctx context.Context, c *call) answer {
	request, err := w.restRequest(ctx, c)
	if err != nil {
		return answer{answered: true, code: codes.Internal, reason: err.Error()}
	}
	response, err := w.http.Do(request)
	if err != nil {
		return answer{}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}
	}
	return restAnswer(response, body)
}

func restAnswer(response *http.Response, body []byte) answer {
	if response.StatusCode == http.StatusOK {
		return answer{answered: true, requestID: response.Header.Get(service.RequestIDHeader)}
	}
	var message spb.Status
	if err := protojson.Unmarshal(body, &message); err != nil {
		return answer{answered: true, code: codes.Internal, reason: err.Error()}
	}
	st := status.FromProto(&message)
	got := answerOf(st.Err())
	if want := outcometest.HTTPStatus(st); response.StatusCode != want {
		got.reason += fmt.Sprintf(" (over HTTP %d, not %d)", response.StatusCode, want)
	}
	return got
}

// restRequest varies the method, and whether the request ID is in the header or the
// body.
func (w *world) restRequest(ctx context.Context, c *call) (*http.Request, error) {
	message := c.request()
	message.ConferenceSid, message.CallSid = "", ""
	header := http.Header{
		"Authorization": {authorizationOf(c.caller)},
		"Content-Type":  {"application/json"},
	}
	method := http.MethodPatch
	if c.marker%2 == 0 {
		method = http.MethodPost
		message.RequestId = ""
		if c.requestID != "" {
			header.Set("Idempotency-Key", c.requestID)
		}
	}
	if c.timeout > 0 {
		header.Set("Grpc-Timeout", fmt.Sprintf("%dm", c.timeout.Milliseconds()))
	}
	body, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
	if err != nil {
		return nil, err
	}
	target := "http://" + w.servers[c.marker%len(w.servers)].HTTP.String() + participantPath(url.PathEscape(c.name()))
	request, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header = header
	return request, nil
}
