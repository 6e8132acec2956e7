package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/outcome"
)

const (
	accountSID    = "AC00000000000000000000000000000001"
	conferenceSID = "CF00000000000000000000000000000001"
	callSID       = "CA00000000000000000000000000000001"
)

// with is a valid request that mutes, changed.
func with(change func(*conferencev1.UpdateParticipantRequest)) *conferencev1.UpdateParticipantRequest {
	request := &conferencev1.UpdateParticipantRequest{
		ConferenceSid: conferenceSID, CallSid: callSID, Muted: proto.Bool(true),
	}
	change(request)
	return request
}

// validate passes a request through the interceptor, and reports whether it
// reached the handler.
func validate(t *testing.T, ctx context.Context, request any) (handled bool, err error) {
	t.Helper()
	intercept, err := Validate()
	if err != nil {
		t.Fatal(err)
	}
	response, err := intercept(ctx, request, nil, func(_ context.Context, got any) (any, error) {
		handled = true
		if got != request {
			t.Errorf("the handler has the request %v", got)
		}
		return "response", io.EOF
	})
	if handled && (response != "response" || !errors.Is(err, io.EOF)) {
		t.Errorf("the handler's answer became %v, %v", response, err)
	}
	return handled, err
}

type request = conferencev1.UpdateParticipantRequest

func TestRequestsThatKeepTheRules(t *testing.T) {
	tests := []struct {
		name   string
		change func(*request)
	}{
		{"the least", func(*request) {}},
		{"an account", func(r *request) { r.AccountSid = accountSID }},
		{"digits in capitals", func(r *request) { r.AccountSid = "AC" + strings.Repeat("AbCdEf09", 4) }},
		{"a label", func(r *request) { r.CallSid = "front desk" }},
		{"a label of one character", func(r *request) { r.CallSid = "é" }},
		{"a label of 128 characters", func(r *request) { r.CallSid = strings.Repeat("é", 128) }},
		{"no property, which the service itself refuses", func(r *request) { r.Muted = nil }},
		{"an http URL", func(r *request) { r.HoldUrl = proto.String("http://h.example") }},
		{"a URL with everything", func(r *request) {
			r.HoldUrl = proto.String("HTTPS://u:p@h.example:8443/a%20b/c;d?e=f&g=%2F#rc=2&ct=3000")
		}},
		{"a URL with an address of IPv6", func(r *request) { r.AnnounceUrl = proto.String("https://[::1]:8443/") }},
		{"an empty wait_url", func(r *request) { r.WaitUrl = proto.String("") }},
		{"every method", func(r *request) { r.HoldMethod, r.AnnounceMethod, r.WaitMethod = 0, 1, 2 }},
		{"coaching and whom", func(r *request) {
			r.Coaching, r.CallSidToCoach = proto.Bool(true), proto.String(callSID)
		}},
		{"coaching=false alone", func(r *request) { r.Coaching = proto.Bool(false) }},
		{"whom to coach alone", func(r *request) { r.CallSidToCoach = proto.String(callSID) }},
		{"a request id", func(r *request) { r.RequestId = "A0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11" }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if handled, err := validate(t, t.Context(), with(test.change)); !handled {
				t.Errorf("refused: %v", err)
			}
		})
	}
}

func TestRulesByField(t *testing.T) {
	const (
		required = "value is required"
		url      = "must be an absolute http or https URL"
		method   = "value must be one of the defined enum values"
		uuid     = "must be a valid UUID"

		conference = "must be CF and 32 hexadecimal digits, or name: and a conference's friendly name"
	)
	sid := func(prefix string) string { return "must be " + prefix + " and 32 hexadecimal digits" }
	tests := []struct {
		name   string
		change func(*request)
		want   []string // Pairs of a field and the rule that it breaks.
	}{
		{"an account SID of another kind", func(r *request) { r.AccountSid = conferenceSID }, []string{"account_sid", sid("AC")}},
		{"no conference", func(r *request) { r.ConferenceSid = "" }, []string{"conference_sid", required}},
		{"a conference's name without name:", func(r *request) { r.ConferenceSid = "Support" }, []string{"conference_sid", conference}},
		{"a conference SID with a line feed", func(r *request) { r.ConferenceSid += "\n" }, []string{"conference_sid", conference}},
		{"an empty name", func(r *request) { r.ConferenceSid = "name:" }, []string{"conference_sid", "must have a conference's friendly name after name:"}},
		{"a name with a slash", func(r *request) { r.ConferenceSid = "name:a/b" }, []string{"conference_sid", "must not contain a /, which a path cannot have within a name"}},
		{"a name of 129 characters", func(r *request) { r.ConferenceSid = "name:" + strings.Repeat("é", 129) }, []string{"conference_sid", "must be a friendly name of at most 128 characters"}},
		{"no participant", func(r *request) { r.CallSid = "" }, []string{"call_sid", required}},
		{"a label of 129 characters", func(r *request) { r.CallSid = strings.Repeat("é", 129) }, []string{"call_sid", "must be at most 128 characters"}},
		{"a label with a slash", func(r *request) { r.CallSid = "a/b" }, []string{"call_sid", "must not contain a /"}},
		{"hold_url of ftp", func(r *request) { r.HoldUrl = proto.String("ftp://h.example/") }, []string{"hold_url", url}},
		{"hold_url empty", func(r *request) { r.HoldUrl = proto.String("") }, []string{"hold_url", url}},
		{"announce_url relative", func(r *request) { r.AnnounceUrl = proto.String("/a.mp3") }, []string{"announce_url", url}},
		{"announce_url without a host", func(r *request) { r.AnnounceUrl = proto.String("https://?a") }, []string{"announce_url", url}},
		{"wait_url a word", func(r *request) { r.WaitUrl = proto.String("silence") }, []string{"wait_url", url + ", or empty to play nothing"}},
		{"hold_method undefined", func(r *request) { r.HoldMethod = 3 }, []string{"hold_method", method}},
		{"announce_method undefined", func(r *request) { r.AnnounceMethod = -1 }, []string{"announce_method", method}},
		{"wait_method undefined", func(r *request) { r.WaitMethod = 99 }, []string{"wait_method", method}},
		{"coaching without whom", func(r *request) { r.Coaching = proto.Bool(true) }, []string{
			"coaching", "true needs call_sid_to_coach, the Call SID of the participant to coach",
		}},
		{"a label to coach", func(r *request) { r.CallSidToCoach = proto.String("agent") }, []string{"call_sid_to_coach", sid("CA") + ": a Call SID, not a label"}},
		{"nobody to coach", func(r *request) { r.CallSidToCoach = proto.String("") }, []string{"call_sid_to_coach", sid("CA") + ": a Call SID, not a label"}},
		{"a request id that is none", func(r *request) { r.RequestId = "1" }, []string{"request_id", uuid}},
		{"a label that breaks two rules", func(r *request) { r.CallSid = strings.Repeat("/", 129) }, []string{
			"call_sid", "must be at most 128 characters", "call_sid", "must not contain a /",
		}},
		{"several fields", func(r *request) { r.ConferenceSid, r.RequestId, r.HoldMethod = "", "1", 3 }, []string{
			"conference_sid", required, "hold_method", method, "request_id", uuid,
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			handled, err := validate(t, t.Context(), with(test.change))
			if handled {
				t.Error("the handler was called")
			}
			checkViolations(t, err, test.want)
		})
	}
}

// TestBrokenURLs in each of the three fields.
func TestBrokenURLs(t *testing.T) {
	const general = "must be an absolute http or https URL"
	encode := func(character string, position int) string {
		return fmt.Sprintf("must be percent-encoded: %s at character %d", character, position)
	}
	tests := []struct{ name, url, want string }{
		{"a space", "https://h.example/a b c", encode(`" "`, 20)},
		{"a space at the end", "https://h.example/a ", encode(`" "`, 20)},
		{"a letter with an accent", "https://h.example/café.mp3", encode(`"é"`, 22)},
		{"a character after others of several bytes", "https://h.example/%C3%A9?q=|", encode(`"|"`, 28)},
		{"an emoji in a fragment", "https://h.example/#🎵", encode(`"🎵"`, 20)},
		{"a vertical bar", "https://h.example/a|b", encode(`"|"`, 20)},
		{"braces", "https://h.example/{id}", encode(`"{"`, 19)},
		{"brackets after the host", "https://h.example/?a[]=1", encode(`"["`, 21)},
		{"a backslash", `https://h.example\a`, "must have a valid host: \"\\\\\" at character 18"},
		{"a quotation mark", `https://h.example/"`, encode(`"\""`, 19)},
		{"a line feed", "https://h.example/\n", encode(`"\n"`, 19)},
		{"a percent sign by itself", "https://h.example/100%", encode(`"%"`, 22)},
		{"a percent sign before other characters", "https://h.example/?q=%zz", encode(`"%"`, 22)},
		{"a second number sign", "https://h.example/#a#b", encode(`"#"`, 21)},
		{"an at sign in a user name", "https://a@b@h.example/", encode(`"@"`, 10)},
		{"a space in a password", "https://a:b c@h.example/", encode(`" "`, 12)},
		{"an international host", "https://bücher.example/", "must have its international host in the xn-- form"},
		{"an international host behind a password", "https://a:b@例え.jp:8443/", "must have its international host in the xn-- form"},
		{"a space in a host", "https://h example/", "must have a valid host: \" \" at character 10"},
		{"a host in braces", "https://{host}/", "must have a valid host: \"{\" at character 9"},
		{"a percent-encoded host", "https://b%C3%BCcher.example/", "must have a valid host: \"%\" at character 10"},
		{"an address of IPv6 without its end", "https://[::1/", general},
		{"a port with a letter", "https://h.example:80a/", "must have a valid port: \"a\" at character 21"},
		{"a port without a host", "https://:8443/", general},
		{"a user name without a host", "https://user@/", general},
		{"no address of IPv6", "https://[:::1]/", general},
		{"another scheme", "ftp://h.example/a b", general},
		{"no scheme", "h.example/a b", general},
		{"one slash", "https:/h.example/", general},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := validate(t, t.Context(), with(func(r *request) {
				r.HoldUrl, r.AnnounceUrl, r.WaitUrl = &test.url, &test.url, &test.url
			}))
			wait := test.want
			if wait == general {
				wait += ", or empty to play nothing"
			}
			checkViolations(t, err, []string{"hold_url", test.want, "announce_url", test.want, "wait_url", wait})
		})
	}
}

func TestURLOfMaximumLength(t *testing.T) {
	long := "https://h.example/" + strings.Repeat("a", 4000)
	longest := long[:4000]
	set := func(url *string) *request {
		return with(func(r *request) { r.HoldUrl, r.AnnounceUrl, r.WaitUrl = url, url, url })
	}
	if handled, err := validate(t, t.Context(), set(&longest)); !handled {
		t.Errorf("4000 characters: %v", err)
	}
	const rule = "must be at most 4000 characters"
	_, err := validate(t, t.Context(), set(&long))
	checkViolations(t, err, []string{"hold_url", rule, "announce_url", rule, "wait_url", rule})
}

func checkViolations(t *testing.T, err error, pairs []string) {
	t.Helper()
	var texts []string
	bad := new(errdetails.BadRequest)
	for i := 0; i < len(pairs); i += 2 {
		texts = append(texts, pairs[i]+": "+pairs[i+1])
		bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
			Field: pairs[i], Description: pairs[i+1],
		})
	}
	st := status.Convert(err)
	if st.Code() != codes.InvalidArgument {
		t.Errorf("code %v", st.Code())
	}
	if diff := cmp.Diff("the request breaks a rule: "+strings.Join(texts, "; "), st.Message()); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	want := []any{&errdetails.ErrorInfo{
		Reason: "INVALID_REQUEST", Domain: "conferenced", Metadata: map[string]string{"applied": "no"},
	}, bad}
	if diff := cmp.Diff(want, st.Details(), protocmp.Transform()); diff != "" {
		t.Errorf("details (-want +got):\n%s", diff)
	}
}

func TestValuesAreNotRepeated(t *testing.T) {
	const secret = "s3cret"
	_, err := validate(t, t.Context(), with(func(r *request) {
		r.AccountSid, r.ConferenceSid, r.CallSid = secret, secret, secret+"/"
		r.HoldUrl, r.AnnounceUrl, r.WaitUrl = proto.String(secret), proto.String(secret), proto.String(secret)
		r.CallSidToCoach, r.RequestId = proto.String(secret), secret
	}))
	st := status.Convert(err)
	if got := len(st.Details()[1].(*errdetails.BadRequest).GetFieldViolations()); got != 8 {
		t.Errorf("%d violations", got)
	}
	if text := st.Proto().String(); strings.Contains(text, secret) {
		t.Errorf("a value is repeated: %s", text)
	}
}

func TestWhatIsNoMessagePasses(t *testing.T) {
	for _, request := range []any{nil, "text"} {
		if handled, err := validate(t, t.Context(), request); !handled {
			t.Errorf("%v was refused: %v", request, err)
		}
	}
}

// Validate compiles the rules when it is called: a second compilation, of the
// same rules by themselves, finds nothing wrong with them.
func TestRulesCompile(t *testing.T) {
	if _, err := Validate(); err != nil {
		t.Fatal(err)
	}
	validator, err := protovalidate.New(
		protovalidate.WithDisableLazy(),
		protovalidate.WithMessages(&request{}, &conferencev1.UpdateParticipantResponse{}),
	)
	if err != nil {
		t.Fatal(err)
	}
	if err := validator.Validate(with(func(*request) {})); err != nil {
		t.Error(err)
	}
}

func TestAnErrorThatIsNoViolation(t *testing.T) {
	cause := errors.New("s3cret")
	err := invalid(cause)
	if err.Kind != outcome.Internal || strings.Contains(err.GRPCStatus().Proto().String(), "s3cret") {
		t.Errorf("got %v", err.GRPCStatus().Proto())
	}
	if !errors.Is(err, cause) {
		t.Errorf("the cause for the log is %v", err.Cause)
	}
}
