package server

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"conferenced/service/sandbox"
)

// urlCases are URLs, and the rule that each breaks, if any.
var urlCases = []struct{ name, url, rule string }{
	{"a host alone", "http://h.example", ""},
	{"a scheme in capitals", "HTTPS://h.example/", ""},
	{"an empty path with a query", "https://h.example?a=b", ""},
	{"an empty path with a fragment", "https://h.example#rc=2&ct=3000", ""},
	{"every part", "https://u:p@h.example:8443/a%20b/c;d=1,2?e=f&g=%2F:@/?#h/?i", ""},
	{"an address of IPv4", "http://192.0.2.1/", ""},
	{"an address of IPv6", "http://[2001:db8::1]:8080/", ""},
	{"an underscore in a host", "https://a_b.example/", ""},
	{"an international host in its xn-- form", "https://xn--bcher-kva.example/", ""},
	{"an empty port", "https://h.example:/", ""},
	{"an empty user name", "https://@h.example/", ""},
	{"4000 characters", "https://h.example/" + strings.Repeat("a", 3982), ""},

	{"4001 characters", "https://h.example/" + strings.Repeat("a", 3983), "must be at most 4000 characters"},
	{"a space", "https://h.example/a b", `must be percent-encoded: " " at character 20`},
	{"a space at the end", "https://h.example/a ", `must be percent-encoded: " " at character 20`},
	{"a space in a password", "https://a:b c@h.example/", `must be percent-encoded: " " at character 12`},
	{"a line feed", "https://h.example/\n", `must be percent-encoded: "\n" at character 19`},
	{"a quotation mark", `https://h.example/"`, `must be percent-encoded: "\"" at character 19`},
	{"a letter with an accent", "https://h.example/é", `must be percent-encoded: "é" at character 19`},
	{"an emoji in a fragment", "https://h.example/#🎵", `must be percent-encoded: "🎵" at character 20`},
	{"a vertical bar in a query", "https://h.example/?a|b", `must be percent-encoded: "|" at character 21`},
	{"braces", "https://h.example/{id}", `must be percent-encoded: "{" at character 19`},
	{"brackets in a query", "https://h.example/?a[0]=1", `must be percent-encoded: "[" at character 21`},
	{"a caret in a fragment", "https://h.example/#^", `must be percent-encoded: "^" at character 20`},
	{"a percent sign in a query", "https://h.example/?100%", `must be percent-encoded: "%" at character 23`},
	{"a percent sign before other characters", "https://h.example/?q=%zz", `must be percent-encoded: "%" at character 22`},
	{"a second number sign", "https://h.example/#a#b", `must be percent-encoded: "#" at character 21`},
	{"a second at sign", "https://a@b@h.example/", `must be percent-encoded: "@" at character 10`},
	{"an international host", "https://bücher.example/", "must have its international host in the xn-- form"},
	{"an international host behind a password", "https://a:b@例え.jp:8443/", "must have its international host in the xn-- form"},
	{"a percent-encoded host", "https://b%C3%BCcher.example/", `must have a valid host: "%" at character 10`},
	{"a host with a comma", "https://a,b/", `must have a valid host: "," at character 10`},
	{"a backslash in a host", `https://h.example\a`, `must have a valid host: "\\" at character 18`},
	{"a zone", "http://[fe80::1%25eth0]/", `must have a valid host: "%" at character 16`},
	{"an address of a future version", "http://[v1.a]/", `must have a valid host: "v" at character 9`},
	{"no address of IPv6", "http://[1::2::3]/", urlRule},
	{"an address of IPv6 without its end", "https://[::1/", urlRule},
	{"a port that is no number", "https://h.example:https/", `must have a valid port: "h" at character 19`},
	{"a port without a host", "https://:8443/", urlRule},
	{"a user name without a host", "https://u@/", urlRule},
	{"no slashes", "https:h.example", urlRule},
	{"one slash", "https:/h.example/", urlRule},
	{"another scheme and a space", "ftp://h.example/a b", urlRule},
	{"javascript", "javascript:alert(1)", urlRule},
	{"a path", "/hold.xml", urlRule},
	{"a relative path", "hold.xml", urlRule},
	{"no scheme", "//h.example/a.mp3", urlRule},
	{"no host", "https:///a.mp3", urlRule},
	{"a query in place of a host", "https://?a", urlRule},
}

// TestURLs over each protocol, and at the embedded Twilio itself.
func TestURLs(t *testing.T) {
	r := start(t)
	for _, test := range urlCases {
		t.Run(test.name, func(t *testing.T) {
			message := to(sandbox.AgentSID, &request{HoldUrl: &test.url, AnnounceUrl: &test.url, WaitUrl: &test.url})
			waitRule := test.rule
			if waitRule == urlRule {
				waitRule = waitURLRule
			}
			for _, way := range bothWays {
				got := way.call(t, t.Context(), r, message)
				switch {
				case test.rule != "":
					violates("hold_url", test.rule, "announce_url", test.rule, "wait_url", waitRule).check(t, got)
				case got.status != nil:
					t.Errorf("%s: %v", way.name, got.status)
				}
			}
			want := ""
			if test.rule != "" {
				want = "the request breaks a rule: HoldUrl " + test.rule
			}
			if got := twilioErrorOf(t, r, test.url); got != want {
				t.Errorf("Twilio's route: %q, want %q", got, want)
			}
			if got := sandboxAccepts(r, test.url); got != (test.rule == "") {
				t.Errorf("the sandbox accepts it: %v", got)
			}
		})
	}
}

// TestSandboxAcceptsTheSameURLs made of random pieces.
func TestSandboxAcceptsTheSameURLs(t *testing.T) {
	r := start(t)
	pieces := []string{
		"http://", "https://", "HTTP:", "ftp:", "//", "/", "?", "#", "@", ":", "[", "]", "::1", "[::1]", "h.example", "xn--a",
		"80", "%", "%41", "%zz", "a", "Z", "é", " ", "\n", "|", "{", "\\", "\"", "<", "^", "`", "'", "(", "*", "+", ",", ";", "=", "~", "_", "-", ".", "!", "$", "&",
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		text := pieces[random.IntN(2)]
		for range random.IntN(6) {
			text += pieces[random.IntN(len(pieces))]
		}
		got := callGRPC(t, t.Context(), r, to(sandbox.AgentSID, &request{HoldUrl: &text}))
		if code := codes.Code(got.status.GetCode()); code != codes.OK && code != codes.InvalidArgument {
			t.Fatalf("%q: %v", text, got.status)
		}
		if service, box := got.status == nil, sandboxAccepts(r, text); service != box {
			t.Errorf("%q: the service accepts it: %v, the sandbox: %v", text, service, box)
		}
	}
}

// twilioErrorOf sets the hold URL on Twilio's route, and returns the error's message.
func twilioErrorOf(t *testing.T, r *running, holdURL string) string {
	t.Helper()
	answer, err := r.rest.PostForm(r.restURL(twilioAgentPath), url.Values{"HoldUrl": {holdURL}})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var failed struct{ Message string }
	if err := json.Unmarshal(text, &failed); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return failed.Message
}

// sandboxAccepts reports whether the sandbox itself accepts the hold URL.
func sandboxAccepts(r *running, holdURL string) bool {
	form := url.Values{"HoldUrl": {holdURL}}.Encode()
	incoming := httptest.NewRequest(http.MethodPost, twilioAgentPath, strings.NewReader(form))
	incoming.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	incoming.SetBasicAuth(sandbox.AccountSID, sandbox.AuthToken)
	recorder := httptest.NewRecorder()
	r.box.ServeHTTP(recorder, incoming)
	return recorder.Code == http.StatusOK
}
