package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/delivery"
	"conferenced/service/outcome"
)

const (
	twilioParticipants = "/2010-04-01/Accounts/" + accountSID + "/Conferences/" + conferenceSID + "/Participants"
	twilioPathOfCall   = twilioParticipants + "/" + callSID + ".json"
)

// wantTwilioError compares a whole error answer with Twilio's form.
func wantTwilioError(t *testing.T, got reply, want twilioError) {
	t.Helper()
	if got.code != want.Status {
		t.Errorf("HTTP status %d, want %d", got.code, want.Status)
	}
	var body twilioError
	decoder := json.NewDecoder(strings.NewReader(string(got.body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil {
		t.Fatalf("the body %q is not an error in Twilio's form: %v", got.body, err)
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if contentType := got.header.Get("Content-Type"); contentType != "application/json" {
		t.Errorf("Content-Type: %q", contentType)
	}
}

// badRequest is Twilio's error for requests that break rules.
func badRequest(text string) twilioError {
	return twilioError{20001, "the request breaks a rule: " + text, moreInfo("20001"), 400}
}

func moreInfo(code string) string { return "https://www.twilio.com/docs/errors/" + code }

func pathOnly(change *conferencev1.UpdateParticipantRequest) *conferencev1.UpdateParticipantRequest {
	change.AccountSid, change.ConferenceSid, change.CallSid = accountSID, conferenceSID, callSID
	return change
}

func TestTwilioForm(t *testing.T) {
	type request = conferencev1.UpdateParticipantRequest
	tests := []struct {
		name, form string
		want       *request
	}{
		{
			"every field",
			"Muted=true&Hold=false&HoldUrl=https%3A%2F%2Fa.example%2Fh%23rc%3D2&HoldMethod=GET&AnnounceUrl=http://a.example/a&" +
				"AnnounceMethod=POST&WaitUrl=https://a.example/w&WaitMethod=POST&BeepOnExit=false&EndConferenceOnExit=true&" +
				"Coaching=true&CallSidToCoach=" + callSID,
			&request{
				Muted: proto.Bool(true), Hold: proto.Bool(false),
				HoldUrl: proto.String("https://a.example/h#rc=2"), HoldMethod: conferencev1.HttpMethod_HTTP_METHOD_GET,
				AnnounceUrl: proto.String("http://a.example/a"), AnnounceMethod: conferencev1.HttpMethod_HTTP_METHOD_POST,
				WaitUrl: proto.String("https://a.example/w"), WaitMethod: conferencev1.HttpMethod_HTTP_METHOD_POST,
				BeepOnExit: proto.Bool(false), EndConferenceOnExit: proto.Bool(true),
				Coaching: proto.Bool(true), CallSidToCoach: proto.String(callSID),
			},
		},
		{"nothing", "", &request{}},
		{"a boolean in capitals", "Muted=TRUE&Hold=False", &request{Muted: proto.Bool(true), Hold: proto.Bool(false)}},
		{"a boolean that is neither", "Muted=yes&Hold=1&BeepOnExit=&EndConferenceOnExit=%20true&Coaching=on", &request{
			Muted: proto.Bool(false), Hold: proto.Bool(false), BeepOnExit: proto.Bool(false),
			EndConferenceOnExit: proto.Bool(false), Coaching: proto.Bool(false),
		}},
		{"a field without a value", "Muted", &request{Muted: proto.Bool(false)}},
		{"the first of several values", "Muted=true&Muted=false&WaitUrl=&WaitUrl=x", &request{
			Muted: proto.Bool(true), WaitUrl: proto.String(""),
		}},
		{"an empty WaitUrl is a value", "WaitUrl=", &request{WaitUrl: proto.String("")}},
		{"an empty HoldUrl is for the service to refuse", "HoldUrl=", &request{HoldUrl: proto.String("")}},
		{"an empty AnnounceUrl announces nothing", "AnnounceUrl=&Muted=true", &request{Muted: proto.Bool(true)}},
		{"an empty CallSidToCoach names nobody", "CallSidToCoach=&Coaching=false", &request{Coaching: proto.Bool(false)}},
		{"a method in any case", "HoldMethod=get&WaitMethod=Post", &request{
			HoldMethod: conferencev1.HttpMethod_HTTP_METHOD_GET, WaitMethod: conferencev1.HttpMethod_HTTP_METHOD_POST,
		}},
		{"unknown fields, and the API's own names", "muted=true&Label=x&Foo=&Hold=true", &request{Hold: proto.Bool(true)}},
		{"a plus for a space, and UTF-8", "WaitUrl=a+b%2Bc%C3%A9", &request{WaitUrl: proto.String("a b+cé")}},
	}
	s := newService()
	server := serve(t, s, Config{})
	for _, test := range tests {
		for _, contentType := range []string{"", formType, "Application/X-WWW-Form-URLEncoded; charset=utf-8"} {
			t.Run(test.name+" as "+contentType, func(t *testing.T) {
				got := send(t, server, http.MethodPost, twilioPathOfCall, test.form, "Content-Type", contentType)
				if got.code != http.StatusOK {
					t.Fatalf("HTTP status %d: %s", got.code, got.body)
				}
				seen := s.seen(t)
				wantRequest(t, seen, pathOnly(test.want))
				if seen.protocol != ProtocolTwilio {
					t.Errorf("protocol %q", seen.protocol)
				}
			})
		}
	}
}

func TestTwilioFormThatCannotBeRead(t *testing.T) {
	tests := []struct{ name, contentType, form, want string }{
		{"JSON", "application/json", `{"Muted": true}`, "the body must be a form, of the type application/x-www-form-urlencoded"},
		{"a form in parts", "multipart/form-data; boundary=x", "--x--", "the body must be a form, of the type application/x-www-form-urlencoded"},
		{"an unreadable type", "a/b/c", "Muted=true", "the body must be a form, of the type application/x-www-form-urlencoded"},
		{"an unreadable escape", formType, "WaitUrl=%zz", "the body is not a readable form"},
		{"a semicolon", formType, "Muted=true;Hold=true", "the body is not a readable form"},
		{"an unknown method", formType, "HoldMethod=PUT", "HoldMethod must be GET or POST"},
		{"an empty method", formType, "AnnounceMethod=", "AnnounceMethod must be GET or POST"},
		{"what is not UTF-8", formType, "WaitUrl=%ff", "WaitUrl must be percent-encoded UTF-8"},
		{
			"several mistakes at once", formType, "HoldMethod=PUT&WaitMethod=s3cr3t",
			"HoldMethod must be GET or POST; WaitMethod must be GET or POST",
		},
	}
	s := newService()
	server := serve(t, s, Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := send(t, server, http.MethodPost, twilioPathOfCall, test.form, "Content-Type", test.contentType)
			wantTwilioError(t, got, badRequest(test.want))
			s.notCalled(t)
		})
	}
	t.Run("too long", func(t *testing.T) {
		got := send(t, server, http.MethodPost, twilioPathOfCall, "WaitUrl="+strings.Repeat("x", DefaultMaxBodyBytes))
		wantTwilioError(t, got, twilioError{20413, "the request is too large", moreInfo("20413"), 413})
		s.notCalled(t)
	})
}

func TestTwilioPath(t *testing.T) {
	tests := []struct{ name, encoded, want string }{
		{"a space", "front%20desk", "front desk"},
		{"two bytes", "caf%C3%A9", "café"},
		{"a plus", "a+b", "a+b"},
		{"an encoded plus", "a%2Bb", "a+b"},
		{"a percent sign", "100%25", "100%"},
		{"what looks encoded", "a%252Fb", "a%2Fb"},
		{"a question mark", "a%3Fb", "a?b"},
		{"the ending twice", "x.json", "x.json"},
		{"the ending encoded", "x%2Ejson", "x.json"},
		{"dots", "..", ".."},
	}
	s := newService()
	server := serve(t, s, Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := sendRaw(t, server, http.MethodPost, twilioParticipants+"/"+test.encoded+".json?Hold=true&x", "Muted=true")
			if got.code != http.StatusOK {
				t.Fatalf("HTTP status %d: %s", got.code, got.body)
			}
			wantRequest(t, s.seen(t), &conferencev1.UpdateParticipantRequest{
				AccountSid: accountSID, ConferenceSid: conferenceSID, CallSid: test.want, Muted: proto.Bool(true),
			})
		})
	}
}

func TestTwilioPathsThatAreNotServed(t *testing.T) {
	notHere := twilioError{
		20404, "no such path: of Twilio's API, only the update of a conference participant is served here", moreInfo("20404"), 404,
	}
	noEnding := twilioError{20404, "no such path: it must end in .json, for answers are JSON and never XML", moreInfo("20404"), 404}
	slash := badRequest("CallSid must have no /, not as %2F either: no SID or label has one")
	tests := []struct {
		name, path string
		want       twilioError
	}{
		{"creating a participant", twilioParticipants + ".json", notHere},
		{"a conference", strings.TrimSuffix(twilioParticipants, "/Participants") + ".json", notHere},
		{"another resource", "/2010-04-01/Accounts/" + accountSID + "/Messages.json", notHere},
		{"the root", "/2010-04-01/", notHere},
		{"a slash too many", twilioParticipants + "/a/b.json", notHere},
		{"another case", strings.Replace(twilioPathOfCall, "Accounts", "accounts", 1), notHere},
		{"no ending", strings.TrimSuffix(twilioPathOfCall, ".json"), noEnding},
		{"another ending", strings.TrimSuffix(twilioPathOfCall, ".json") + ".xml", noEnding},
		{"a slash in the label", twilioParticipants + "/a%2Fb.json", slash},
		{"a slash of lower-case digits", twilioParticipants + "/a%2fb.json", slash},
		{"no participant", twilioParticipants + "/.json", badRequest("CallSid is empty in the path")},
		{"what is not UTF-8", twilioParticipants + "/%ff.json", badRequest("CallSid must be percent-encoded UTF-8")},
	}
	s := newService()
	server := serve(t, s, Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantTwilioError(t, sendRaw(t, server, http.MethodPost, test.path, "Muted=true"), test.want)
			s.notCalled(t)
		})
	}
}

func TestTwilioMethodsThatAreNotServed(t *testing.T) {
	s := newService()
	server := serve(t, s, Config{})
	for _, method := range []string{"GET", "DELETE", "PUT", "PATCH", "OPTIONS", "post"} {
		t.Run(method, func(t *testing.T) {
			got := send(t, server, method, twilioPathOfCall, "Muted=true")
			wantTwilioError(t, got, twilioError{
				20004, "the path does not have this method: Twilio fetches and removes a participant here by GET and DELETE; " +
					"this service updates it, by POST", moreInfo("20004"), 405,
			})
			if allow := got.header.Get("Allow"); allow != "POST" {
				t.Errorf("Allow: %q", allow)
			}
			s.notCalled(t)
		})
	}
}

func TestTwilioAnswer(t *testing.T) {
	const date = `"Fri, 18 Feb 2011 21:07:19 +0000"`
	at := timestamppb.New(time.Date(2011, 2, 18, 21, 7, 19, 0, time.UTC))
	tests := []struct {
		name        string
		participant *conferencev1.Participant
		want        string
	}{
		{
			"everything",
			&conferencev1.Participant{
				AccountSid: proto.String("AC1"), CallSid: proto.String("CA1"), Label: proto.String("<&>é"),
				CallSidToCoach: proto.String("CA2"), Coaching: proto.Bool(true), ConferenceSid: proto.String("CF1"),
				DateCreated: at, DateUpdated: at, EndConferenceOnExit: proto.Bool(false), Muted: proto.Bool(true),
				Hold: proto.Bool(false), StartConferenceOnEnter: proto.Bool(true),
				Status:    conferencev1.ParticipantStatus_PARTICIPANT_STATUS_CONNECTED,
				QueueTime: durationpb.New(1500 * time.Millisecond), Uri: proto.String("/x.json"),
			},
			`{"account_sid":"AC1","call_sid":"CA1","label":"<&>é","call_sid_to_coach":"CA2","coaching":true,` +
				`"conference_sid":"CF1","date_created":` + date + `,"date_updated":` + date + `,"end_conference_on_exit":false,` +
				`"muted":true,"hold":false,"start_conference_on_enter":true,"status":"connected","queue_time":"1500","uri":"/x.json"}`,
		},
		{
			"nothing", nil,
			`{"account_sid":null,"call_sid":null,"label":null,"call_sid_to_coach":null,"coaching":null,` +
				`"conference_sid":null,"date_created":null,"date_updated":null,"end_conference_on_exit":null,` +
				`"muted":null,"hold":null,"start_conference_on_enter":null,"status":null,"queue_time":null,"uri":null}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newService()
			s.answer = func(ctx context.Context, _ *conferencev1.UpdateParticipantRequest) (*conferencev1.UpdateParticipantResponse, error) {
				_ = grpc.SetHeader(ctx, metadata.Pairs("twilio-request-id", "RQ1", "x-other", "y"))
				return &conferencev1.UpdateParticipantResponse{Participant: test.participant}, nil
			}
			got := send(t, serve(t, s, Config{}), http.MethodPost, twilioPathOfCall, "Muted=true")
			if diff := cmp.Diff(test.want, strings.TrimSpace(string(got.body))); got.code != http.StatusOK || diff != "" {
				t.Errorf("HTTP status %d, body (-want +got):\n%s", got.code, diff)
			}
			for name, value := range map[string]string{
				"Content-Type": "application/json", "Twilio-Request-Id": "RQ1", "X-Other": "", "Cache-Control": "no-store",
				"Access-Control-Allow-Origin":      "*",
				"Access-Control-Allow-Methods":     "GET, POST, DELETE, OPTIONS",
				"Access-Control-Allow-Credentials": "true",
				"Access-Control-Expose-Headers":    "ETag",
			} {
				if got.header.Get(name) != value {
					t.Errorf("%s: %q, want %q", name, got.header.Get(name), value)
				}
			}
			if allowed := got.header.Get("Access-Control-Allow-Headers"); !strings.HasPrefix(allowed, "Accept, Authorization, ") {
				t.Errorf("Access-Control-Allow-Headers: %q", allowed)
			}
		})
	}
}

func TestTwilioStatusWords(t *testing.T) {
	want := []string{"", "queued", "connecting", "ringing", "connected", "complete", "failed"}
	values := conferencev1.ParticipantStatus(0).Descriptor().Values()
	if values.Len() != len(want) {
		t.Fatalf("%d statuses, want %d", values.Len(), len(want))
	}
	for i, word := range want {
		got := statusText(conferencev1.ParticipantStatus(values.Get(i).Number()))
		if got == nil && word != "" || got != nil && *got != word {
			t.Errorf("%s: got %v, want %q", values.Get(i).Name(), got, word)
		}
	}
}

func TestTwilioRequestIDs(t *testing.T) {
	const id = "5a4ad4a4-6d8e-4a0b-9d3a-0d6d9f0f6f2e"
	tests := []struct {
		name   string
		header []string
		want   string
		broken string
	}{
		{"the idempotency key", []string{"Idempotency-Key", id}, id, ""},
		{"in quotes", []string{"Idempotency-Key", `"` + id + `"`}, id, ""},
		{"that of Twilio's webhooks is another", []string{"I-Twilio-Idempotency-Token", id}, "", ""},
		{"empty", []string{"Idempotency-Key", ""}, "", "Idempotency-Key is empty"},
		{
			"two", []string{"Idempotency-Key", id, "Idempotency-Key", "x"}, "",
			"Idempotency-Key is given more than once, with different values",
		},
	}
	s := newService()
	server := serve(t, s, Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := send(t, server, http.MethodPost, twilioPathOfCall, "Muted=true", test.header...)
			if test.broken != "" {
				wantTwilioError(t, got, badRequest(test.broken))
				s.notCalled(t)
				return
			}
			wantRequest(t, s.seen(t), pathOnly(&conferencev1.UpdateParticipantRequest{Muted: proto.Bool(true), RequestId: test.want}))
		})
	}
}

func TestTwilioMetadata(t *testing.T) {
	s := newService()
	send(t, serve(t, s, Config{}), http.MethodPost, twilioPathOfCall, "Muted=true",
		"Authorization", "Basic dTpw", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"Tracestate", "a=b", "Grpc-Metadata-Authorization", "Bearer forged", "X-Forwarded-For", "10.9.9.9", "Cookie", "x=y")
	got := s.seen(t)
	want := metadata.MD{
		"authorization": {"Basic dTpw"}, "tracestate": {"a=b"},
		"traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	}
	if diff := cmp.Diff(want, got.metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(got.peer.Addr.String(), "127.0.0.1:") {
		t.Errorf("the peer is %v", got.peer.Addr)
	}
}

// statusAnswering is a service that answers with a status.
func statusAnswering(err error) *service {
	s := newService()
	s.answer = func(context.Context, *conferencev1.UpdateParticipantRequest) (*conferencev1.UpdateParticipantResponse, error) {
		return nil, err
	}
	return s
}

func TestTwilioErrors(t *testing.T) {
	const unknownText = "Twilio failed or its answer was lost; the announcement may have been played, and repeating it may play it again"
	notFound := outcome.Facts{
		Detail: "The requested resource /call_sid was not found",
		Twilio: &outcome.TwilioAnswer{HTTPStatus: 404, Code: 20404, MoreInfo: "https://www.twilio.com/docs/errors/other"},
	}
	rejected := outcome.Facts{
		Twilio: &outcome.TwilioAnswer{HTTPStatus: 401, Code: 20003, MoreInfo: "https://www.twilio.com/docs/errors/20003"},
	}
	twilio := func(status, code int) outcome.Facts {
		return outcome.Facts{Twilio: &outcome.TwilioAnswer{HTTPStatus: status, Code: code}}
	}
	maybe := func(facts outcome.Facts) outcome.Facts {
		facts.Applied = delivery.Maybe
		return facts
	}
	tests := []struct {
		name       string
		form       string
		err        error
		want       twilioError
		retryAfter string
	}{
		{
			"Twilio's own code, page and words", "Muted=true", outcome.ParticipantNotFound.Err(notFound),
			twilioError{20404, outcome.ParticipantNotFound.Text + ": The requested resource /call_sid was not found", moreInfo("other"), 404}, "",
		},
		{
			"Twilio without a code", "Muted=true", outcome.ConflictingState.Err(twilio(409, 0)),
			twilioError{20409, outcome.ConflictingState.Text, moreInfo("20409"), 400}, "",
		},
		{
			"the service's credentials are not the caller's", "Muted=true", outcome.TwilioCredentialsRejected.Err(rejected),
			twilioError{20500, outcome.TwilioCredentialsRejected.Text, moreInfo("20500"), 500}, "",
		},
		{
			"a field under Twilio's name", "Muted=true", outcome.NotAllowed.Err(outcome.Facts{Detail: "property announce_url"}),
			twilioError{20403, outcome.NotAllowed.Text + ": property AnnounceUrl", moreInfo("20403"), 403}, "",
		},
		{
			"the request id under its header's name", "Muted=true", outcome.RequestIDReused.Err(outcome.Facts{}),
			twilioError{20001, "Idempotency-Key was used before for another update", moreInfo("20001"), 400}, "",
		},
		{
			"a rate limit", "Muted=true", outcome.TwilioRateLimited.Err(twilio(429, 20429)),
			twilioError{20429, outcome.TwilioRateLimited.Text, moreInfo("20429"), 429}, "1",
		},
		{
			"a full queue, of an announcement", "AnnounceUrl=x", outcome.Overloaded.Err(outcome.Facts{RetryAfter: 1500 * time.Millisecond}),
			twilioError{20429, outcome.Overloaded.Text, moreInfo("20429"), 429}, "2",
		},
		{
			"an announcement that was not made may be sent again", "AnnounceUrl=x", outcome.CircuitOpen.Err(outcome.Facts{}),
			twilioError{20503, outcome.CircuitOpen.Text, moreInfo("20503"), 503}, "1",
		},
		{
			"an update of unknown outcome may be sent again", "Muted=true", outcome.OutcomeUnknown.Err(maybe(twilio(500, 20500))),
			twilioError{20500, outcome.OutcomeUnknown.Text, moreInfo("20500"), 503}, "",
		},
		{
			"an announcement of unknown outcome may not", "AnnounceUrl=x", outcome.AnnouncementOutcomeUnknown.Err(maybe(twilio(503, 20503))),
			twilioError{20503, unknownText, moreInfo("20503"), 424}, "",
		},
		{
			"nor when the deadline passed", "AnnounceUrl=x", outcome.Deadline.Err(maybe(outcome.Facts{})),
			twilioError{20504, outcome.Deadline.Text, moreInfo("20504"), 424}, "",
		},
		{
			"nor when it was made", "AnnounceUrl=x", outcome.AuditFailed.Err(outcome.Facts{Applied: delivery.Yes}),
			twilioError{20500, outcome.AuditFailed.Text, moreInfo("20500"), 424}, "",
		},
		{
			"nor when a rate limit came after it", "AnnounceUrl=x", outcome.TwilioRateLimited.Err(maybe(twilio(429, 20429))),
			twilioError{20429, outcome.TwilioRateLimited.Text, moreInfo("20429"), 424}, "",
		},
		{
			"an error that is no status", "Muted=true", context.DeadlineExceeded,
			twilioError{20504, outcome.Deadline.Text, moreInfo("20504"), 504}, "",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := send(t, serve(t, statusAnswering(test.err), Config{}), http.MethodPost, twilioPathOfCall, test.form)
			wantTwilioError(t, got, test.want)
			if after := got.header.Get("Retry-After"); after != test.retryAfter {
				t.Errorf("Retry-After: %q, want %q", after, test.retryAfter)
			}
			if got.header.Get("Access-Control-Allow-Origin") != "*" {
				t.Error("an error is without the Access-Control headers")
			}
		})
	}
	t.Run("an unknown caller is asked for basic authentication", func(t *testing.T) {
		s := statusAnswering(outcome.CallerUnknown.Err(outcome.Facts{}))
		got := send(t, serve(t, s, Config{}), http.MethodPost, twilioPathOfCall, "Muted=true")
		wantTwilioError(t, got, twilioError{20003, outcome.CallerUnknown.Text, moreInfo("20003"), 401})
		if challenge := got.header.Get("WWW-Authenticate"); challenge != `Basic realm="Twilio API"` {
			t.Errorf("WWW-Authenticate: %q", challenge)
		}
	})
	t.Run("an error has Twilio's request id", func(t *testing.T) {
		s := newService()
		s.answer = func(ctx context.Context, _ *conferencev1.UpdateParticipantRequest) (*conferencev1.UpdateParticipantResponse, error) {
			_ = grpc.SetHeader(ctx, metadata.Pairs("twilio-request-id", "RQ1"))
			return nil, outcome.TwilioRejected.Err(outcome.Facts{})
		}
		got := send(t, serve(t, s, Config{}), http.MethodPost, twilioPathOfCall, "Muted=true")
		if id := got.header.Get("Twilio-Request-Id"); got.code != 400 || id != "RQ1" {
			t.Errorf("HTTP status %d, Twilio-Request-Id: %q", got.code, id)
		}
	})
}

// Every outcome has a code, and keeps its HTTP status unless an announcement may
// have been played.
func TestTwilioCodesCoverTheTable(t *testing.T) {
	for _, kind := range outcome.Table {
		if twilioCodes[kind.Reason] == 0 {
			t.Errorf("%s has no code", kind.Reason)
		}
		for _, applied := range []delivery.Applied{delivery.No, delivery.Maybe, delivery.Yes} {
			for _, announces := range []bool{true, false} {
				want := kind.HTTP
				if announces && applied != delivery.No {
					want = http.StatusFailedDependency
				}
				form := "Muted=true"
				if announces {
					form = "AnnounceUrl=x"
				}
				s := statusAnswering(kind.Err(outcome.Facts{Applied: applied}))
				got := send(t, serve(t, s, Config{}), http.MethodPost, twilioPathOfCall, form)
				if got.code != want {
					t.Errorf("%s, applied %s, announcing %v: HTTP status %d, want %d", kind.Reason, applied, announces, got.code, want)
				}
			}
		}
	}
	if len(twilioCodes) != len(outcome.Table)-1 { // Two rows share a reason.
		t.Errorf("%d codes for %d outcomes", len(twilioCodes), len(outcome.Table))
	}
}
