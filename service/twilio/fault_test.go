package twilio

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestParseFault(t *testing.T) {
	tests := []struct {
		name, body string
		want       fault
	}{
		{"Twilio's JSON", `{"code":20404,"message":"m","more_info":"i","status":404}`, fault{"20404", "m", "i"}},
		{"a code as a string", ` {"code":"20404"}`, fault{Code: "20404"}},
		{"no code", `{"message":"m"}`, fault{Message: "m"}},
		{"null members", `{"code":null,"message":null,"more_info":null}`, fault{}},
		{"members of other types", `{"code":{"a":1},"message":"m","more_info":["i"]}`, fault{Message: "m"}},
		{"Twilio's XML", "<?xml version='1.0'?>\n<TwilioResponse><RestException><Code>20404</Code><Message>a &amp; b</Message>" +
			"<MoreInfo>i</MoreInfo><Status>404</Status></RestException></TwilioResponse>", fault{"20404", "a & b", "i"}},
		{"XML without a code", "<TwilioResponse><RestException><Message>m</Message></RestException></TwilioResponse>", fault{Message: "m"}},
		{"other XML", "<Error><Code>AccessDenied</Code></Error>", fault{}},
		{"cut XML", "<TwilioResponse><RestException><Code>20404</Code>", fault{}},
		{"HTML", "<!DOCTYPE html><html><body>502</body></html>", fault{}},
		{"nothing", "", fault{}},
		{"plain text", "upstream connect error", fault{}},
		{"cut JSON", `{"code":20404,"message":"m`, fault{}},
		{"an array", `[{"code":20404}]`, fault{}},
		{"a string", `"20404"`, fault{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := parseFault([]byte(tt.body)); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestParseCode(t *testing.T) {
	for s, want := range map[string]int{"20404": 20404, " 20404 ": 20404, "": 0, "x": 0, "-1": 0, "1.5": 0, "99999999999": 0} {
		if got := parseCode(s); got != want {
			t.Errorf("%q is %d, want %d", s, got, want)
		}
	}
}

const participantSID = "CA00000000000000000000000000000001"

// authorized is an account with the password "hunter2".
var authorized = &Account{Username: "AC1", Password: NewSecret("hunter2")}

func TestCleanMessage(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"plain text", "The requested resource was not found", "The requested resource was not found"},
		{"control characters", "a\x00b\x1b[31mc\x7f", "ab[31mc"},
		{"line ends", " a\r\nb\tc\n", "a  b c"},
		{"an override of the reading direction", "a\u202eb\u200bc", "abc"},
		{"invalid UTF-8", "a\xff\xfeb", "a\uFFFDb"},
		{"500 characters", strings.Repeat("é", 500), strings.Repeat("é", 500)},
		{"501 characters", strings.Repeat("é", 501), strings.Repeat("é", 500) + "…"},
		{"a URL", "HoldUrl https://example.com/a is bad", "HoldUrl https://example.com/a is bad"},
		{"a URL and an address", "see https://example.com/a or mail help@example.com", "see https://example.com/a or mail help@example.com"},
		{"a user in a URL", "https://bob@example.com/a", "https://[redacted]@example.com/a"},
		{"a password in a URL", "bad: 'https://bob:pass@example.com/a'", "bad: 'https://[redacted]@example.com/a'"},
		{"a password with an at sign", "https://bob:p@ss@example.com", "https://[redacted]@example.com"},
		{"a password with delimiters", "https://bob:p/a?s#s@example.com", "https://[redacted]@example.com"},
		{"a password cut by a control character", "https://bob:pa\x00ss@example.com", "https://[redacted]@example.com"},
		{"two URLs", "https://a:b@x.example https://c:d@y.example", "https://[redacted]@x.example https://[redacted]@y.example"},
		{"a password in a URL without a scheme", "//bob:pass@example.com", "//[redacted]@example.com"},
		{"our own password", "no such token: hunter2", "no such token: [redacted]"},
		{"our own header", "got Basic QUMxOmh1bnRlcjI=", "got Basic [redacted]"},
		{"a query", "HoldUrl https://example.com/a?key=s3cret is bad", "HoldUrl https://example.com/a is bad"},
		{"a query of a host", "HoldUrl HTTPS://example.com?key=s3cret", "HoldUrl HTTPS://example.com"},
		{"a fragment", "HoldUrl https://example.com/a#s3cret is bad", "HoldUrl https://example.com/a is bad"},
		{"a query in quotes", "'https://example.com/a?b='s3cret'#c' is bad", "'https://example.com/a is bad"},
		{"a query with an at sign", "https://example.com/?to=bob@s3cret.example?key=s3cret", "https://[redacted]@s3cret.example"},
		{"queries of two URLs", "https://a.example/?s3cret or https://b.example/#s3cret", "https://a.example/ or https://b.example/"},
		{"a query of a path", "no resource /a/b?key=s3cret", "no resource /a/b"},
		{"a question", "Is it and/or? No. 1/2 #3", "Is it and/or No. 1/2 #3"},
		{"the Call SID", "no " + participantSID + " here", "no " + participantSID + " here"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := cleanMessage(tt.text, authorized, participantSID); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestLabelsInMessages checks that a label is not passed on, as it is or
// percent-encoded, and that the words that it is a part of are.
func TestLabelsInMessages(t *testing.T) {
	tests := []struct{ name, label, text, want string }{
		{"a word", "agent", "Participant agent is on hold", "Participant [redacted] is on hold"},
		{"in another case", "Agent", "AGENT: agent", "[redacted]: [redacted]"},
		{"in quotes", "agent", "no 'agent' here", "no '[redacted]' here"},
		{"twice in a row", "a b", "a b a b", "[redacted] [redacted]"},
		{"a part of a word", "a", "a label, a path", "[redacted] label, [redacted] path"},
		{"a part of a word with an accent", "caf", "café caf", "café [redacted]"},
		{"a part of itself", "a-a", "a-a-a", "[redacted]-a"},
		{"in a path", "front desk", "no /Participants/front%20desk.json", "no /Participants/[redacted].json"},
		{"in a query", "front desk", "no front+desk", "no [redacted]"},
		{"escaped otherwise", "a!é", "a!é a%21%C3%A9 a!%c3%a9 a%21é", "[redacted] [redacted] [redacted] [redacted]"},
		{"with white space", "front\tdesk", "no front\tdesk", "no [redacted]"},
		{"of control characters", "\x00\x01", "a - b", "a - b"},
		{"with a dot", "a.b", "axb a.b", "axb [redacted]"},
		{"of signs", "(*)", "the (*) label", "the [redacted] label"},
		{"after a cut", strings.Repeat("b", 128), strings.Repeat("a ", 240) + strings.Repeat("b", 128), strings.Repeat("a ", 240) + "[redacted]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := cleanMessage(tt.text, authorized, tt.label); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCleanLink(t *testing.T) {
	tests := []struct{ name, link, want string }{
		{"Twilio's", "https://www.twilio.com/docs/errors/20404", "https://www.twilio.com/docs/errors/20404"},
		{"an old link of Twilio's", "http://www.twilio.com/docs/errors/21201", "http://www.twilio.com/docs/errors/21201"},
		{"none", "", ""},
		{"a script", "javascript:alert(1)", ""},
		{"a path", "/docs/errors/20404", ""},
		{"a password", "https://a:b@example.com/", ""},
		{"the account's password", "https://example.com/?t=hunter2", ""},
		{"a line feed", "https://example.com/\nx", ""},
		{"an excessive length", "https://example.com/" + strings.Repeat("a", 1000), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := cleanLink(tt.link, authorized); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestRequestID(t *testing.T) {
	for id, want := range map[string]string{
		"RQ00000000000000000000000000000001": "RQ00000000000000000000000000000001",
		"":                                   "",
		"a b":                                "",
		"a\"b":                               "",
		strings.Repeat("a", 65):              "",
	} {
		if got := requestID(http.Header{"Twilio-Request-Id": {id}}); got != want {
			t.Errorf("%q becomes %q, want %q", id, got, want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name, value, date string
		want              time.Duration
		ok                bool
	}{
		{"absent", "", "", 0, false},
		{"seconds", "7", "", 7 * time.Second, true},
		{"zero seconds", "0", "", 0, true},
		{"negative seconds", "-7", "", 0, false},
		{"a fraction", "1.5", "", 0, false},
		{"a word", "soon", "", 0, false},
		{"more than a day", "999999999999", "", 24 * time.Hour, true},
		{"a date, by the answer's clock", "Sun, 01 Mar 2026 15:00:09 GMT", "Sun, 01 Mar 2026 15:00:00 GMT", 9 * time.Second, true},
		{"a date, by our clock", "Sun, 01 Mar 2026 12:00:09 GMT", "", 9 * time.Second, true},
		{"a date, by our clock as the answer's is unreadable", "Sun, 01 Mar 2026 12:00:09 GMT", "today", 9 * time.Second, true},
		{"a date in the past", "Sun, 01 Mar 2026 11:00:00 GMT", "", 0, true},
		{"a date in the obsolete form of RFC 850", "Sunday, 01-Mar-26 12:00:09 GMT", "", 9 * time.Second, true},
		{"a date far away", "Sun, 01 Mar 2099 12:00:00 GMT", "", 24 * time.Hour, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			header := http.Header{"Retry-After": {tt.value}, "Date": {tt.date}}
			got, ok := retryAfter(header, now)
			if got != tt.want || ok != tt.ok {
				t.Errorf("got %v, %v; want %v, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}
