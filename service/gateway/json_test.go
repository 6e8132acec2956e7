package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
)

func TestBodiesThatAreRead(t *testing.T) {
	get := conferencev1.HttpMethod_HTTP_METHOD_GET
	tests := []struct {
		name, body string
		want       *conferencev1.UpdateParticipantRequest
	}{
		{"nothing", "", &conferencev1.UpdateParticipantRequest{}},
		{"white space", " \t\r\n", &conferencev1.UpdateParticipantRequest{}},
		{"an empty object", "{}", &conferencev1.UpdateParticipantRequest{}},
		{"white space around the object", " \n{} \n", &conferencev1.UpdateParticipantRequest{}},
		{"false is a value", `{"muted": false}`, &conferencev1.UpdateParticipantRequest{Muted: proto.Bool(false)}},
		{"an empty string is a value", `{"wait_url": ""}`, &conferencev1.UpdateParticipantRequest{WaitUrl: proto.String("")}},
		{"null is not a value", `{"muted": null, "hold": true}`, &conferencev1.UpdateParticipantRequest{Hold: proto.Bool(true)}},
		{"an enum by name", `{"hold_method": "HTTP_METHOD_GET"}`, &conferencev1.UpdateParticipantRequest{HoldMethod: get}},
		{"an enum by number", `{"hold_method": 1}`, &conferencev1.UpdateParticipantRequest{HoldMethod: get}},
		{"an enum number that a validator refuses", `{"hold_method": 7}`, &conferencev1.UpdateParticipantRequest{HoldMethod: 7}},
		{"an escaped name", `{"mut\u0065d": true}`, &conferencev1.UpdateParticipantRequest{Muted: proto.Bool(true)}},
		{"a surrogate pair", `{"hold_url": "\ud83d\ude00"}`, &conferencev1.UpdateParticipantRequest{HoldUrl: proto.String("😀")}},
		{
			"every property",
			`{"muted": true, "hold": true, "hold_url": "https://a/#rc=2", "hold_method": "HTTP_METHOD_GET",
			  "announce_url": "https://b", "announce_method": "HTTP_METHOD_GET", "wait_url": "https://c", "wait_method": "HTTP_METHOD_GET",
			  "beep_on_exit": true, "end_conference_on_exit": true, "coaching": true, "call_sid_to_coach": "CA1", "request_id": "id"}`,
			&conferencev1.UpdateParticipantRequest{
				Muted: proto.Bool(true), Hold: proto.Bool(true), HoldUrl: proto.String("https://a/#rc=2"), HoldMethod: get,
				AnnounceUrl: proto.String("https://b"), AnnounceMethod: get, WaitUrl: proto.String("https://c"), WaitMethod: get,
				BeepOnExit: proto.Bool(true), EndConferenceOnExit: proto.Bool(true),
				Coaching: proto.Bool(true), CallSidToCoach: proto.String("CA1"), RequestId: "id",
			},
		},
	}
	s := newService()
	server := serve(t, s, Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := send(t, server, http.MethodPatch, defaultAccountPath+callSID, test.body)
			if got.code != http.StatusOK {
				t.Fatalf("HTTP status %d: %s", got.code, got.body)
			}
			want := proto.CloneOf(test.want)
			want.ConferenceSid, want.CallSid = conferenceSID, callSID
			wantRequest(t, s.seen(t), want)
		})
	}
}

func TestAnAccountInTheBodyOfTheDefaultPath(t *testing.T) {
	s := newService()
	send(t, serve(t, s, Config{}), http.MethodPatch, defaultAccountPath+callSID, `{"account_sid": "`+accountSID+`"}`)
	wantRequest(t, s.seen(t), &conferencev1.UpdateParticipantRequest{
		AccountSid: accountSID, ConferenceSid: conferenceSID, CallSid: callSID,
	})
}

func TestBodiesThatAreRefused(t *testing.T) {
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
		{"a field like no other", `{"secret_thing": "x"}`, []string{"secret_thing", unknown}},
		{"a field without a name", `{"": 1}`, []string{"", unknown}},
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
		{"a form", `Muted=true`, []string{"", "the body is not JSON at line 1, column 1"}},
		{"a byte order mark", "\ufeff{}", []string{"", "the body is not JSON at line 1, column 1"}},
		{"a value without quotes", "{\n  \"muted\": secret}", []string{"", "the body is not JSON at line 2, column 12"}},
		{"a trailing comma", `{"muted": true,}`, []string{"", "the body is not JSON at line 1, column 16"}},
		{"characters count, not bytes", `{"hold_url": "éé" secret}`, []string{"", "the body is not JSON at line 1, column 19"}},
		{"an end too early", `{"muted": tr`, []string{"", "the body ends within its JSON at line 1, column 13"}},
		{"something after the object", "{}\n secret", []string{"", "the body goes on after its JSON object at line 2, column 2"}},
		{"two objects", `{"muted": true} {"muted": false}`, []string{"", "the body goes on after its JSON object at line 1, column 17"}},
		{"what is not UTF-8", "{\"hold_url\": \"\xff\"}", []string{"", "the body is not UTF-8 at line 1, column 15"}},
		{"another encoding", "{\x00\"\x00m\xff\x00", []string{"", "the body is not UTF-8 at line 1, column 6"}},
	}
	s := newService()
	server := serve(t, s, Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := send(t, server, http.MethodPost, defaultAccountPath+callSID, test.body, "Content-Type", "application/json")
			wantStatus(t, got, refusal(test.violations...))
			s.notCalled(t)
		})
	}
}

func TestTheAccountOfThePathIsNotInTheBodyToo(t *testing.T) {
	got := send(t, serve(t, newService(), Config{}), http.MethodPost, accountPath+callSID, `{"account_sid": "`+accountSID+`"}`)
	wantStatus(t, got, refusal("account_sid", "is given by the path and may not be in the body too"))
}

func TestViolationsAreLimited(t *testing.T) {
	var body, want []string
	for i := range 1000 {
		name := fmt.Sprintf("%dxxxxxxxx", i)
		body = append(body, fmt.Sprintf("%q: 1", name))
		if i < maxViolations {
			want = append(want, name, "is no field of the request")
		}
	}
	got := send(t, serve(t, newService(), Config{}), http.MethodPost, defaultAccountPath+callSID, "{"+strings.Join(body, ",")+"}")
	wantStatus(t, got, refusal(want...))
}

// FuzzBody: a body is refused with rules in readable text, or it is one that
// protojson reads to the very same message.
func FuzzBody(f *testing.F) {
	for _, body := range []string{
		`{"muted": true}`, `{"mute": 1}`, `{"hold_method": "HTTP_METHOD_GET"}`, `{"muted": true, "muted": null}`,
		"{\"\xff\": 1}", `{"\ud800": 1}`, `[`, `{} {}`, "\ufeff{}", `{"hold_url": "\ud83d\ude00"}`,
	} {
		f.Add([]byte(body))
	}
	service := conferencev1.File_conference_v1_conference_service_proto.Services().Get(0)
	routes, err := routesOf(service)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		message, violations := decodeBody(body, routes[0])
		for _, v := range violations {
			checkReadable(t, v)
		}
		if len(violations) > 0 || len(strings.Trim(string(body), blank)) == 0 {
			return
		}
		var want conferencev1.UpdateParticipantRequest
		if err := protojson.Unmarshal(body, &want); err != nil {
			t.Fatalf("accepts what protojson refuses: %v", err)
		}
		if !proto.Equal(message, &want) {
			t.Errorf("read as %v, want %v", message, &want)
		}
	})
}

func checkReadable(t *testing.T, v *errdetails.BadRequest_FieldViolation) {
	t.Helper()
	if !utf8.ValidString(v.GetField()) || v.GetDescription() == "" || len(v.GetField()) > 2*maxNameLen {
		t.Errorf("violation %q %q", v.GetField(), v.GetDescription())
	}
}
