package gateway_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/gateway"
	"conferenced/service/outcome"
	"conferenced/service/twilio"
)

const (
	twilioParticipants = "/2010-04-01/Accounts/" + accountSID + "/Conferences/" + conferenceSID + "/Participants"
	twilioPath         = twilioParticipants + "/" + callSID + ".json"
)

// twilioError is an error in Twilio's format.
type twilioError struct {
	Code     int    `json:"code"`
	Message  string `json:"message"`
	MoreInfo string `json:"more_info"`
	Status   int    `json:"status"`
}

// wantTwilioError compares an error answer, headers included, with an error in
// Twilio's format.
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

// badRequest returns the error of an invalid request in Twilio's format.
func badRequest(text string) twilioError {
	return twilioError{20001, "the request breaks a rule: " + text, moreInfo("20001"), 400}
}

func moreInfo(code string) string { return "https://www.twilio.com/docs/errors/" + code }

func TestTwilioPath(t *testing.T) {
	tests := []struct{ name, encoded, want string }{
		{"a space", "front%20desk", "front desk"},
		{"two bytes", "caf%C3%A9", "café"},
		{"a plus", "a+b", "a+b"},
		{"an encoded plus", "a%2Bb", "a+b"},
		{"a percent sign", "100%25", "100%"},
		{"a decoded escaped slash", "a%252Fb", "a%2Fb"},
		{"a question mark", "a%3Fb", "a?b"},
		{"the ending twice", "x.json", "x.json"},
		{"the ending encoded", "x%2Ejson", "x.json"},
		{"dots", "..", ".."},
	}
	s := newService()
	server := serve(t, s, gateway.Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := sendRaw(t, server, http.MethodPost, twilioParticipants+"/"+test.encoded+".json?Hold=true&x", "Muted=true")
			if got.code != http.StatusOK {
				t.Fatalf("HTTP status %d: %s", got.code, got.body)
			}
			wantRequest(t, s.seen(t), &request{
				AccountSid: accountSID, ConferenceSid: conferenceSID, CallSid: test.want, Muted: proto.Bool(true),
			})
		})
	}
}

const scope = "of Twilio's API, this service fetches, lists, updates and removes participants of conferences, " +
	"and fetches and lists conferences; it creates no participants and does not update conferences"

func TestUnknownTwilioPaths(t *testing.T) {
	notHere := twilioError{
		20404, "no such path: " + scope, moreInfo("20404"), 404,
	}
	noEnding := twilioError{20404, "no such path: the path must end in .json, because answers are JSON", moreInfo("20404"), 404}
	slash := badRequest("CallSid must have no /, not as %2F either")
	tests := []struct {
		name, path string
		want       twilioError
	}{
		{"another resource", "/2010-04-01/Accounts/" + accountSID + "/Messages.json", notHere},
		{"the root", "/2010-04-01/", notHere},
		{"a label with a bare slash", twilioParticipants + "/a/b.json", notHere},
		{"another case", strings.Replace(twilioPath, "Accounts", "accounts", 1), notHere},
		{"no ending", strings.TrimSuffix(twilioPath, ".json"), noEnding},
		{"another ending", strings.TrimSuffix(twilioPath, ".json") + ".xml", noEnding},
		{"a slash in the label", twilioParticipants + "/a%2Fb.json", slash},
		{"a slash of lower-case digits", twilioParticipants + "/a%2fb.json", slash},
		{"no participant", twilioParticipants + "/.json", badRequest("CallSid is empty in the path")},
		{"what is not UTF-8", twilioParticipants + "/%ff.json", badRequest("CallSid must be percent-encoded UTF-8")},
	}
	s := newService()
	server := serve(t, s, gateway.Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantTwilioError(t, sendRaw(t, server, http.MethodPost, test.path, "Muted=true"), test.want)
			s.notCalled(t)
		})
	}
	for _, path := range []string{twilioParticipants, "/2010-04-01/Accounts/" + accountSID + "/Conferences"} {
		t.Run("a list without an ending", func(t *testing.T) {
			wantTwilioError(t, sendRaw(t, server, http.MethodGet, path, ""), noEnding)
		})
	}
}

func TestUnsupportedTwilioMethods(t *testing.T) {
	s := newService()
	server := serve(t, s, gateway.Config{})
	conference := strings.TrimSuffix(twilioParticipants, "/Participants") + ".json"
	for _, test := range []struct{ method, path, allow string }{
		{"PUT", twilioPath, "GET, HEAD, POST, DELETE"},
		{"PATCH", twilioPath, "GET, HEAD, POST, DELETE"},
		{"OPTIONS", twilioPath, "GET, HEAD, POST, DELETE"},
		{"post", twilioPath, "GET, HEAD, POST, DELETE"},
		{"POST", twilioParticipants + ".json", "GET, HEAD"},
		{"POST", conference, "GET, HEAD"},
		{"DELETE", conference, "GET, HEAD"},
		{"POST", "/2010-04-01/Accounts/" + accountSID + "/Conferences.json", "GET, HEAD"},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			got := send(t, server, test.method, test.path, "Muted=true")
			wantTwilioError(t, got, twilioError{
				20004, "the path does not have this method: " + scope, moreInfo("20004"), 405,
			})
			if allow := got.header.Get("Allow"); allow != test.allow {
				t.Errorf("Allow: %q", allow)
			}
			s.notCalled(t)
		})
	}
}

// TestTwilioReads has what is passed on of a query and of an answer.
func TestTwilioReads(t *testing.T) {
	const conferences = "/2010-04-01/Accounts/" + accountSID + "/Conferences"
	next := conferences + ".json?Page=1&PageSize=1&PageToken=PA1"
	page := &twilio.Paging{Page: jsontext.Value("0"), PageSize: jsontext.Value("1"), NextPageURI: &next}
	const paging = `,"page":0,"page_size":1,"start":null,"end":null,"uri":null,"first_page_uri":null,"previous_page_uri":null,`
	const conference = `{"account_sid":null,"sid":"CF1","friendly_name":null,"status":null,"date_created":null,"date_updated":null,` +
		`"region":null,"reason_conference_ended":null,"call_sid_ending_conference":null,"api_version":null,"uri":null,` +
		`"subresource_uris":{"participants":"/p.json"}}`
	answer := &twilio.Answer{
		Participants: []twilio.Participant{},
		Conferences:  []twilio.Conference{{SID: "CF1", SubresourceURIs: map[string]string{"participants": "/p.json"}}},
		Paging:       page,
	}
	for _, test := range []struct {
		name, path string
		want       twilio.Request
		body       string
	}{
		{
			"conferences", conferences + ".json?FriendlyName=a%20b;c&%&Status=init&Status=x&DateCreated%3E=2026-01-01&Page=1&PageToken=PA1&More=1",
			twilio.Request{Operation: twilio.ListConferences, Query: url.Values{
				"FriendlyName": {"a b;c"}, "Status": {"init"}, "DateCreated>": {"2026-01-01"}, "Page": {"1"}, "PageToken": {"PA1"},
			}},
			`{"conferences":[` + conference + `]` + paging + `"next_page_uri":"` + next + `"}`,
		},
		{
			"a conference by name", conferences + "/name:a%20b.json?x=1",
			twilio.Request{
				Operation: twilio.FetchConference, Path: twilio.Path{ConferenceSID: "name:a b"}, Query: url.Values{},
			}, conference,
		},
		{
			"participants", twilioParticipants + ".json?Muted=true&PageSize=1",
			twilio.Request{
				Operation: twilio.ListParticipants, Path: twilio.Path{ConferenceSID: conferenceSID},
				Query: url.Values{"Muted": {"true"}, "PageSize": {"1"}},
			}, `{"participants":[]` + paging + `"next_page_uri":"` + next + `"}`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var seen *twilio.Request
			server := serve(t, newService(), gateway.Config{
				ReadTwilio: func(_ context.Context, r *twilio.Request) (*twilio.Answer, error) { seen = r; return answer, nil },
			})
			got := send(t, server, http.MethodGet, test.path, "")
			test.want.Path.AccountSID = accountSID
			if diff := cmp.Diff(&test.want, seen); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
			wantJSON(t, got.body, test.body)
		})
	}
	s := newService()
	got := send(t, serve(t, s, gateway.Config{}), http.MethodGet, conferences+".json?FriendlyName=100%", "")
	wantTwilioError(t, got, badRequest("FriendlyName must be percent-encoded UTF-8, with %25 for a percent sign"))
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
			s.answer = func(ctx context.Context, _ *request) (*response, error) {
				_ = grpc.SetHeader(ctx, metadata.Pairs("twilio-request-id", "RQ1", "x-other", "y"))
				return &response{Participant: test.participant}, nil
			}
			got := updateByForm(t, serve(t, s, gateway.Config{}), "Muted=true")
			if got.code != http.StatusOK {
				t.Errorf("HTTP status %d", got.code)
			}
			wantJSON(t, got.body, test.want)
			if strings.Contains(string(got.body), `\u00`) {
				t.Errorf("characters are escaped for HTML: %s", got.body)
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
	for status, want := range map[conferencev1.ParticipantStatus]any{
		0: nil, 1: "queued", 2: "connecting", 3: "ringing", 4: "connected", 5: "complete", 6: "failed", 7: nil,
	} {
		s := newService()
		s.answer = func(context.Context, *request) (*response, error) {
			return &response{Participant: &conferencev1.Participant{Status: status}}, nil
		}
		got := updateByForm(t, serve(t, s, gateway.Config{}), "Muted=true")
		var body map[string]any
		if err := json.Unmarshal(got.body, &body); err != nil || body["status"] != want {
			t.Errorf("%s: got %v, error %v", status, body["status"], err)
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
	server := serve(t, s, gateway.Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := updateByForm(t, server, "Muted=true", test.header...)
			if test.broken != "" {
				wantTwilioError(t, got, badRequest(test.broken))
				s.notCalled(t)
				return
			}
			wantRequest(t, s.seen(t), addressed(&request{Muted: proto.Bool(true), RequestId: test.want}))
		})
	}
}

func TestTwilioErrors(t *testing.T) {
	const unknownText = "Twilio failed or its answer was lost; the change may have been applied, and repeating it may play an announcement again or " +
		"remove another participant with the label"
	const mayBe = "it may have been applied: "
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
		facts.Applied = outcome.Maybe
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
			"every rule, with the fields under Twilio's names", "Muted=true", outcome.InvalidRequest.Err(outcome.Facts{
				Detail: "hold_url must be a URL",
				Violations: []*errdetails.BadRequest_FieldViolation{
					{Field: "hold_url", Description: "must be a URL"}, {Field: "request_id", Description: "must be a UUID"},
					{Field: "coaching", Description: "true needs call_sid_to_coach"},
				},
			}), badRequest("HoldUrl must be a URL; Idempotency-Key must be a UUID; Coaching true needs CallSidToCoach"), "",
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
			"an announcement that was not sent may be retried", "AnnounceUrl=x", outcome.CircuitOpen.Err(outcome.Facts{}),
			twilioError{20503, outcome.CircuitOpen.Text, moreInfo("20503"), 503}, "1",
		},
		{
			"an update with an unknown outcome may be retried", "Muted=true", outcome.OutcomeUnknown.Err(maybe(twilio(500, 20500))),
			twilioError{20500, outcome.OutcomeUnknown.Text, moreInfo("20500"), 503}, "",
		},
		{
			"an announcement with an unknown outcome may not be retried", "AnnounceUrl=x", outcome.UnrepeatableOutcomeUnknown.Err(maybe(twilio(503, 20503))),
			twilioError{20503, unknownText, moreInfo("20503"), 424}, "",
		},
		{
			"an announcement in flight at the deadline may not be retried", "AnnounceUrl=x", outcome.Deadline.Err(maybe(outcome.Facts{})),
			twilioError{20504, outcome.Deadline.Text, moreInfo("20504"), 424}, "",
		},
		{
			"an announcement that was applied may not be retried", "AnnounceUrl=x", outcome.AuditFailed.Err(outcome.Facts{Applied: outcome.Yes}),
			twilioError{20500, outcome.AuditFailed.Text, moreInfo("20500"), 424}, "",
		},
		{
			"an announcement that was lost before a rate limit may not be retried", "AnnounceUrl=x", outcome.TwilioRateLimited.Err(maybe(twilio(429, 20429))),
			twilioError{20500, mayBe + outcome.TwilioRateLimited.Text, moreInfo("20500"), 424}, "",
		},
		{
			"a rate limit after a lost attempt", "Muted=true", outcome.TwilioRateLimited.Err(maybe(twilio(429, 20429))),
			twilioError{20500, mayBe + outcome.TwilioRateLimited.Text, moreInfo("20500"), 503}, "1",
		},
		{
			"an update superseded after a lost attempt", "Muted=true", outcome.Superseded.Err(maybe(outcome.Facts{})),
			twilioError{20500, mayBe + outcome.Superseded.Text, moreInfo("20500"), 424}, "",
		},
		{
			"an error of the context", "Muted=true", context.DeadlineExceeded,
			twilioError{20504, outcome.Deadline.Text, moreInfo("20504"), 504}, "",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := updateByForm(t, serve(t, failing(test.err), gateway.Config{}), test.form)
			wantTwilioError(t, got, test.want)
			if after := got.header.Get("Retry-After"); after != test.retryAfter {
				t.Errorf("Retry-After: %q, want %q", after, test.retryAfter)
			}
			if got.header.Get("Access-Control-Allow-Origin") != "*" {
				t.Error("an error is without the Access-Control headers")
			}
		})
	}
	t.Run("an unknown caller gets a challenge for basic authentication", func(t *testing.T) {
		got := updateByForm(t, serve(t, failing(outcome.CallerUnknown.Err(outcome.Facts{})), gateway.Config{}), "Muted=true")
		wantTwilioError(t, got, twilioError{20003, outcome.CallerUnknown.Text, moreInfo("20003"), 401})
		if challenge := got.header.Get("WWW-Authenticate"); challenge != `Basic realm="Twilio API"` {
			t.Errorf("WWW-Authenticate: %q", challenge)
		}
	})
}

// TestTwilioStatusAgreesWithApplied checks the statuses that SDKs take to mean that
// nothing was changed: 4xx and the code 20429.
func TestTwilioStatusAgreesWithApplied(t *testing.T) {
	for _, kind := range outcome.Table {
		for _, applied := range []outcome.Applied{outcome.No, outcome.Maybe, outcome.Yes} {
			for _, announces := range []bool{true, false} {
				form := "Muted=true"
				if announces {
					form = "AnnounceUrl=x"
				}
				got := updateByForm(t, serve(t, failing(kind.Err(outcome.Facts{
					Applied: applied, Twilio: &outcome.TwilioAnswer{HTTPStatus: 429, Code: 20429},
				})), gateway.Config{}), form)
				want := kind.HTTP
				switch {
				case applied == outcome.No:
				case announces, kind.Reason == "SUPERSEDED":
					want = http.StatusFailedDependency
				case kind.HTTP < 500:
					want = http.StatusServiceUnavailable
				}
				if got.code != want {
					t.Errorf("%s, applied %s, announcing %v: HTTP status %d, want %d", kind.Reason, applied, announces, got.code, want)
				}
				var body twilioError
				if err := json.Unmarshal(got.body, &body); err != nil || body.Status != want || body.Code == 0 {
					t.Errorf("%s, applied %s, announcing %v: %s", kind.Reason, applied, announces, got.body)
				}
				if applied != outcome.No && kind.HTTP < 500 && body.Code != 20500 {
					t.Errorf("%s, applied %s, announcing %v: code %d", kind.Reason, applied, announces, body.Code)
				}
			}
		}
	}
}

var fromAnotherOrigin = twilioError{
	20403, "the caller may not do this: the request comes from a web page of another origin", moreInfo("20403"), 403,
}

func TestTwilioAndWebPages(t *testing.T) {
	const page, otherPage = "https://ui.example.com", "https://evil.example"
	tests := []struct {
		name    string
		origins []string
		origin  string
		refused bool
		allowed string // Access-Control-Allow-Origin
	}{
		{"a client that is not a browser", nil, "", false, "*"},
		{"a page, where none may", nil, otherPage, true, ""},
		{"a page of an allowed origin", []string{page}, page, false, page},
		{"a page, where another may", []string{page}, otherPage, true, ""},
		{"no page, where one may", []string{page}, "", false, "*"},
		{"a page, where all may", []string{"*"}, otherPage, false, "*"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newService()
			var header []string
			if test.origin != "" {
				header = []string{"Origin", test.origin, "Sec-Fetch-Site", "cross-site"}
			}
			got := updateByForm(t, serve(t, s, gateway.Config{CORSOrigins: test.origins}), "Muted=true", header...)
			if test.refused {
				wantTwilioError(t, got, fromAnotherOrigin)
				s.notCalled(t)
			} else if got.code != http.StatusOK {
				t.Errorf("HTTP status %d: %s", got.code, got.body)
			}
			if allowed := got.header.Values("Access-Control-Allow-Origin"); strings.Join(allowed, ",") != test.allowed {
				t.Errorf("Access-Control-Allow-Origin: %q, want %q", allowed, test.allowed)
			}
		})
	}
}

func TestTwilioHostMustBeLoopback(t *testing.T) {
	s := newService()
	got := updateByForm(t, serve(t, s, gateway.Config{LoopbackHostOnly: true}), "Muted=true", "Host", "api.twilio.com")
	wantTwilioError(t, got, twilioError{
		20403, "the caller may not do this: callers are not authenticated, so the Host must be localhost or a loopback address",
		moreInfo("20403"), 403,
	})
	s.notCalled(t)
}

func TestTwilioClientThatDisconnects(t *testing.T) {
	s := newService()
	ctx, leave := context.WithCancel(t.Context())
	s.answer = func(ctx context.Context, _ *request) (*response, error) {
		leave()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	recorder := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(ctx, http.MethodPost, twilioPath, strings.NewReader("AnnounceUrl=x"))
	newHandler(t, s, pass, gateway.Config{}).ServeHTTP(recorder, request)
	wantTwilioError(t, reply{code: recorder.Code, header: recorder.Header(), body: recorder.Body.Bytes()},
		twilioError{20500, "it may have been applied: the caller cancelled", moreInfo("20500"), 424})
}
