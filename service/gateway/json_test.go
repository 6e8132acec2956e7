package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/gateway"
	"conferenced/service/outcome"
)

func TestValidBodies(t *testing.T) {
	get := conferencev1.HttpMethod_HTTP_METHOD_GET
	tests := []struct {
		name, body string
		want       *request
	}{
		{"nothing", "", &request{}},
		{"white space", " \t\r\n", &request{}},
		{"an empty object", "{}", &request{}},
		{"white space around the object", " \n{} \n", &request{}},
		{"false is a value", `{"muted": false}`, &request{Muted: proto.Bool(false)}},
		{"an empty string is a value", `{"wait_url": ""}`, &request{WaitUrl: proto.String("")}},
		{"null is not a value", `{"muted": null, "hold": true}`, &request{Hold: proto.Bool(true)}},
		{"an enum by name", `{"hold_method": "HTTP_METHOD_GET"}`, &request{HoldMethod: get}},
		{"an enum without its prefix", `{"hold_method": "GET", "announce_method": "POST", "wait_url": "x"}`, &request{
			HoldMethod: get, AnnounceMethod: conferencev1.HttpMethod_HTTP_METHOD_POST, WaitUrl: proto.String("x"),
		}},
		{"an enum by number", `{"hold_method": 1}`, &request{HoldMethod: get}},
		{"an enum number that a validator refuses", `{"hold_method": 7}`, &request{HoldMethod: 7}},
		{"an escaped name", `{"mut\u0065d": true}`, &request{Muted: proto.Bool(true)}},
		{"a surrogate pair", `{"hold_url": "\ud83d\ude00"}`, &request{HoldUrl: proto.String("😀")}},
		{
			"every property",
			`{"muted": true, "hold": true, "hold_url": "https://a/#rc=2", "hold_method": "HTTP_METHOD_GET",
			  "announce_url": "https://b", "announce_method": "HTTP_METHOD_GET", "wait_url": "https://c", "wait_method": "HTTP_METHOD_GET",
			  "beep_on_exit": true, "end_conference_on_exit": true, "coaching": true, "call_sid_to_coach": "CA1", "request_id": "id"}`,
			&request{
				Muted: proto.Bool(true), Hold: proto.Bool(true), HoldUrl: proto.String("https://a/#rc=2"), HoldMethod: get,
				AnnounceUrl: proto.String("https://b"), AnnounceMethod: get, WaitUrl: proto.String("https://c"), WaitMethod: get,
				BeepOnExit: proto.Bool(true), EndConferenceOnExit: proto.Bool(true),
				Coaching: proto.Bool(true), CallSidToCoach: proto.String("CA1"), RequestId: "id",
			},
		},
	}
	s := newService()
	server := serve(t, s, gateway.Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := send(t, server, http.MethodPatch, participants+callSID, test.body)
			if got.code != http.StatusOK {
				t.Fatalf("HTTP status %d: %s", got.code, got.body)
			}
			want := proto.CloneOf(test.want)
			want.ConferenceSid, want.CallSid = conferenceSID, callSID
			wantRequest(t, s.seen(t), want)
		})
	}
}

func TestDefaultPathTakesTheAccountFromTheBody(t *testing.T) {
	s := newService()
	send(t, serve(t, s, gateway.Config{}), http.MethodPatch, participants+callSID, `{"account_sid": "`+accountSID+`"}`)
	wantRequest(t, s.seen(t), &request{
		AccountSid: accountSID, ConferenceSid: conferenceSID, CallSid: callSID,
	})
}

func TestInvalidBodies(t *testing.T) {
	const (
		methods = "must be one of HTTP_METHOD_UNSPECIFIED, HTTP_METHOD_GET, HTTP_METHOD_POST"
		text    = "must be a string of Unicode characters"
		inPath  = "is given by the path and may not be in the body too"
		unknown = "is no field of the request"
	)
	long := strings.Repeat("é", 100)
	tests := []struct {
		name, body string
		violations []string
	}{
		{"a misspelt field", `{"mute": true}`, []string{"mute", unknown + "; did you mean muted?"}},
		{"camelCase", `{"holdUrl": "https://secret"}`, []string{"holdUrl", unknown + "; did you mean hold_url?"}},
		{"Twilio's spelling", `{"EndConferenceOnExit": true}`, []string{"EndConferenceOnExit", unknown + "; did you mean end_conference_on_exit?"}},
		{"camelCase of the path", `{"callSid": "secret"}`, []string{"callSid", unknown}},
		{"a field without a similar name", `{"secret_thing": "x"}`, []string{"secret_thing", unknown}},
		{"a field without a name", `{"": 1}`, []string{`""`, unknown}},
		{"a name of one letter", `{"h": 1}`, []string{"h", unknown}},
		{"an extension", `{"[google.api.http]": 1}`, []string{"[google.api.http]", unknown}},
		{"a type", `{"@type": "x"}`, []string{"@type", unknown}},
		{"a very long name", `{"` + long + `": 1}`, []string{strings.Repeat("é", 32) + "…", unknown}},
		{"a string for a boolean", `{"muted": "secret"}`, []string{"muted", "must be true or false"}},
		{"a number for a boolean", `{"muted": 1}`, []string{"muted", "must be true or false"}},
		{"an object for a boolean", `{"muted": {"secret": 1}}`, []string{"muted", "must be true or false"}},
		{"a number for a string", `{"hold_url": 5}`, []string{"hold_url", text}},
		{"a list for a string", `{"hold_url": ["secret"]}`, []string{"hold_url", text}},
		{"half a surrogate pair", `{"hold_url": "secret\ud800"}`, []string{"hold_url", text}},
		{"an unknown enum name", `{"hold_method": "secret"}`, []string{"hold_method", methods}},
		{"an enum in lower case", `{"hold_method": "get"}`, []string{"hold_method", methods}},
		{"an unspecified enum without its prefix", `{"hold_method": "UNSPECIFIED"}`, []string{"hold_method", methods}},
		{"a boolean for an enum", `{"hold_method": true}`, []string{"hold_method", methods}},
		{"a fraction for an enum", `{"hold_method": 1.5}`, []string{"hold_method", methods}},
		{"two values for a field", `{"muted": true, "muted": true}`, []string{"muted", "is given more than once"}},
		{"two values, one of them null", `{"muted": true, "muted": null}`, []string{"muted", "is given more than once"}},
		{"two values, one name escaped", `{"muted": true, "mut\u0065d": false}`, []string{"muted", "is given more than once"}},
		{"the conference of the path", `{"conference_sid": "secret"}`, []string{"conference_sid", inPath}},
		{"the participant of the path", `{"call_sid": "` + callSID + `"}`, []string{"call_sid", inPath}},
		{"the participant of the path, empty", `{"call_sid": ""}`, []string{"call_sid", inPath}},
		{"the participant of the path, null", `{"call_sid": null}`, []string{"call_sid", inPath}},
		{"several at once", `{"mute": 1, "hold": "secret", "call_sid": 7}`, []string{
			"mute", unknown + "; did you mean muted?", "hold", "must be true or false", "call_sid", inPath,
		}},
		{"a list", `[{"muted": true}]`, []string{"", "the body must be a JSON object"}},
		{"a string", `"secret"`, []string{"", "the body must be a JSON object"}},
		{"null", `null`, []string{"", "the body must be a JSON object"}},
		{"another white space", "\v", []string{"", "the body is not JSON at line 1, column 1"}},
		{"a form", `Muted=true`, []string{"", "the body is not JSON at line 1, column 1"}},
		{"a value without quotes", "{\n  \"muted\": secret}", []string{"", "the body is not JSON at line 2, column 12"}},
		{"a trailing comma", `{"muted": true,}`, []string{"", "the body is not JSON at line 1, column 16"}},
		{"characters count, not bytes", `{"hold_url": "éé" secret}`, []string{"", "the body is not JSON at line 1, column 19"}},
		{"an end too early", `{"muted": tr`, []string{"", "the body ends within its JSON at line 1, column 13"}},
		{"something after the object", "{}\n secret", []string{"", "the body goes on after its JSON object at line 2, column 2"}},
		{"two objects", `{"muted": true} {"muted": false}`, []string{"", "the body goes on after its JSON object at line 1, column 17"}},
		{"a byte order mark", "\ufeff{}", []string{"", "the body begins with a byte order mark (BOM): send it without one"}},
		{"bytes that are not UTF-8", "{\"hold_url\": \"\xff\"}", []string{"", "the body is not UTF-8 at line 1, column 15"}},
		{"another encoding", "{\x00\"\x00m\xff\x00", []string{"", "the body is not UTF-8 at line 1, column 6"}},
	}
	s := newService()
	server := serve(t, s, gateway.Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := update(t, server, test.body, "Content-Type", "application/json")
			wantStatus(t, got, refusal(test.violations...))
			s.notCalled(t)
		})
	}
}

func TestAccountInPathAndBodyIsRefused(t *testing.T) {
	got := send(t, serve(t, newService(), gateway.Config{}), http.MethodPost, accountParticipants+callSID, `{"account_sid": "`+accountSID+`"}`)
	wantStatus(t, got, refusal("account_sid", "is given by the path and may not be in the body too"))
}

func TestViolationsAreLimited(t *testing.T) {
	var body, want []string
	for i := range 1000 {
		name := fmt.Sprintf("%dxxxxxxxx", i)
		body = append(body, fmt.Sprintf("%q: 1", name))
		if i < 16 {
			want = append(want, name, "is no field of the request")
		}
	}
	got := send(t, serve(t, newService(), gateway.Config{}), http.MethodPost, participants+callSID, "{"+strings.Join(body, ",")+"}")
	wantStatus(t, got, refusal(want...))
}

// TestScanStopsAtTheLimitOfViolations checks that a body with many violations costs
// little more than one with few.
func TestScanStopsAtTheLimitOfViolations(t *testing.T) {
	server := newHandler(t, newService(), pass, gateway.Config{})
	allocated := func(body string) float64 {
		return testing.AllocsPerRun(10, func() {
			recorder := httptest.NewRecorder()
			server.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, participants+callSID, strings.NewReader(body)))
			if recorder.Code != http.StatusBadRequest {
				t.Fatalf("HTTP status %d", recorder.Code)
			}
		})
	}
	violations := func(n int) string {
		var body strings.Builder
		for i := range n {
			fmt.Fprintf(&body, `,"f%d":1`, i)
		}
		return "{" + body.String()[1:] + "}"
	}
	if few, many := allocated(violations(16)), allocated(violations(5000)); many > 2*few {
		t.Errorf("%.0f allocations with 16 unknown fields, %.0f with 5,000", few, many)
	}
}

func TestAnswersOmitUnsetFields(t *testing.T) {
	const unconfirmed = `"confirmation":"CONFIRMATION_UNSPECIFIED","differs":[]}`
	when := timestamppb.New(time.Date(2011, 2, 18, 21, 7, 19, 0, time.UTC))
	tests := []struct {
		name   string
		answer *response
		want   string
	}{
		{"nothing set", &response{}, `{"warnings":[],` + unconfirmed},
		{
			"an empty participant",
			&response{Participant: &conferencev1.Participant{}},
			`{"participant":{"status":"PARTICIPANT_STATUS_UNSPECIFIED"},"warnings":[],` + unconfirmed,
		},
		{
			"false and an empty string are values",
			&response{
				Participant: &conferencev1.Participant{
					AccountSid: proto.String(accountSID), CallSid: proto.String(callSID), Label: proto.String("café <&>"),
					CallSidToCoach: proto.String(""), Coaching: proto.Bool(false), ConferenceSid: proto.String(conferenceSID),
					DateCreated: when, DateUpdated: when, EndConferenceOnExit: proto.Bool(false), Muted: proto.Bool(true),
					Hold: proto.Bool(false), StartConferenceOnEnter: proto.Bool(true),
					Status:    conferencev1.ParticipantStatus_PARTICIPANT_STATUS_CONNECTED,
					QueueTime: durationpb.New(1500 * time.Millisecond), Uri: proto.String("/x.json"),
				},
				Warnings: []*conferencev1.Warning{{Code: "CODE"}, {}},
			},
			`{"participant":{"account_sid":"` + accountSID + `","call_sid":"` + callSID + `","label":"café <&>","call_sid_to_coach":"",` +
				`"coaching":false,"conference_sid":"` + conferenceSID + `","date_created":"2011-02-18T21:07:19Z","date_updated":"2011-02-18T21:07:19Z",` +
				`"end_conference_on_exit":false,"muted":true,"hold":false,"start_conference_on_enter":true,` +
				`"status":"PARTICIPANT_STATUS_CONNECTED","queue_time":"1.500s","uri":"/x.json"},` +
				`"warnings":[{"code":"CODE","field":"","message":""},{"code":"","field":"","message":""}],` + unconfirmed,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newService()
			s.answer = func(context.Context, *request) (*response, error) { return test.answer, nil }
			got := update(t, serve(t, s, gateway.Config{}), "{}")
			if length := fmt.Sprint(len(got.body)); got.code != http.StatusOK || got.header.Get("Content-Length") != length {
				t.Errorf("HTTP status %d, headers %v", got.code, got.header)
			}
			wantJSON(t, got.body, test.want)
		})
	}
}

// FuzzBody checks that a body is refused with violations that contain no value of it,
// or that protojson decodes it to the same message. The body may have Twilio's names
// of HTTP methods.
func FuzzBody(f *testing.F) {
	const value = "s3cr3t"
	for _, body := range []string{
		`{"muted": true}`, `{"mute": "s3cr3t"}`, `{"hold_method": "HTTP_METHOD_GET"}`, `{"muted": true, "muted": null}`,
		"{\"\xff\": 1}", `{"\ud800": 1}`, `[`, `{} {}`, "\ufeff{}", `{"hold_url": "\ud83d\ude00"}`, `{"wait_method": "POST"}`,
		`{"muted": "s3cr3t"}`, `{"hold_url": ["s3cr3t"]}`, `{"hold_method": {"s3cr3t": 1}}`, `"s3cr3t`, `{"muted": s3cr3t}`,
	} {
		f.Add(body)
	}
	short := strings.NewReplacer(`"GET"`, `"HTTP_METHOD_GET"`, `"POST"`, `"HTTP_METHOD_POST"`)
	s := newService()
	handler := newHandler(f, s, pass, gateway.Config{})
	f.Fuzz(func(t *testing.T, body string) {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, participants+callSID, strings.NewReader(body)))
		if recorder.Code != http.StatusOK {
			s.notCalled(t)
			for _, v := range violationsIn(t, reply{body: recorder.Body.Bytes()}) {
				if v.GetDescription() == "" || len(v.GetField()) > 128 || strings.Contains(v.GetDescription(), value) {
					t.Errorf("violation %q %q", v.GetField(), v.GetDescription())
				}
			}
			return
		}
		want := &request{}
		if strings.Trim(body, " \t\r\n") != "" {
			if err := protojson.Unmarshal([]byte(short.Replace(body)), want); err != nil {
				t.Fatalf("accepts what protojson refuses: %v", err)
			}
		}
		want.ConferenceSid, want.CallSid = conferenceSID, callSID
		wantRequest(t, s.seen(t), want)
	})
}

// violationsIn returns the violations of an error, and checks that its message states
// only the first.
func violationsIn(t *testing.T, got reply) []*errdetails.BadRequest_FieldViolation {
	t.Helper()
	st := status.FromProto(statusIn(t, got))
	for _, detail := range st.Details() {
		if broken, ok := detail.(*errdetails.BadRequest); ok {
			first := broken.GetFieldViolations()[0]
			want := outcome.InvalidRequest.Text + ": " + strings.TrimSpace(first.GetField()+" "+first.GetDescription())
			if st.Message() != want {
				t.Errorf("message %q, want %q", st.Message(), want)
			}
			return broken.GetFieldViolations()
		}
	}
	if !strings.HasPrefix(st.Message(), outcome.RequestTooLarge.Text+": its body is larger than ") {
		t.Errorf("the error names no rule: %v", st)
	}
	return nil
}
