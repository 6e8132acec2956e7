package twilio

import (
	"bufio"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const (
	pathAccount    = "AC00000000000000000000000000000001"
	pathConference = "CF00000000000000000000000000000001"
)

func TestPathKeepsALabelInOneSegment(t *testing.T) {
	tests := []struct{ name, label, want string }{
		{"a Call SID", "CA00000000000000000000000000000001", "CA00000000000000000000000000000001"},
		{"a space", "front desk", "front%20desk"},
		{"an accent", "café", "caf%C3%A9"},
		{"a percent sign", "100%", "100%25"},
		{"an escape", "%2F", "%252F"},
		{"a question mark", "a?b", "a%3Fb"},
		{"a number sign", "a#b", "a%23b"},
		{"a plus sign", "a+b", "a%2Bb"},
		{"an ampersand", "a&b", "a%26b"},
		{"a semicolon", "a;b", "a%3Bb"},
		{"a slash", "a/b", "a%2Fb"},
		{"a backslash", `a\b`, "a%5Cb"},
		{"a dot", ".", "."},
		{"two dots", "..", ".."},
		{"a colon and an at sign", "a:b@c", "a%3Ab%40c"},
		{"the unreserved", "aZ09-._~", "aZ09-._~"},
		{"control characters", "a\r\n\x00", "a%0D%0A%00"},
		{"an emoji", "☎️", "%E2%98%8E%EF%B8%8F"},
		{"invalid UTF-8", "\xff", "%FF"},
		{"128 characters", strings.Repeat("é", 128), strings.Repeat("%C3%A9", 128)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := ParticipantPath{AccountSID: pathAccount, ConferenceSID: pathConference, Participant: tt.label}
			want := "/2010-04-01/Accounts/" + pathAccount + "/Conferences/" + pathConference + "/Participants/" + tt.want + ".json"
			if got := path.String(); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if got := string(path.AppendURL([]byte("https://api.twilio.com"))); got != "https://api.twilio.com"+want {
				t.Errorf("AppendURL: %s", got)
			}
		})
	}
}

func TestPathIsRefused(t *testing.T) {
	good := ParticipantPath{AccountSID: pathAccount, ConferenceSID: pathConference, Participant: "a"}
	tests := []struct {
		name   string
		change func(*ParticipantPath)
	}{
		{"without an account", func(p *ParticipantPath) { p.AccountSID = "" }},
		{"of another account than the credentials", func(p *ParticipantPath) { p.AccountSID = "AC1" }},
		{"without a conference", func(p *ParticipantPath) { p.ConferenceSID = "" }},
		{"with a dot for a conference", func(p *ParticipantPath) { p.ConferenceSID = "." }},
		{"with two dots for a conference", func(p *ParticipantPath) { p.ConferenceSID = ".." }},
		{"without a participant", func(p *ParticipantPath) { p.Participant = "" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := good
			tt.change(&path)
			if err := path.check(pathAccount); !isRequestError(err) {
				t.Errorf("error %v", err)
			}
		})
	}
	if err := good.check(pathAccount); err != nil {
		t.Error(err)
	}
}

func isRequestError(err error) bool {
	var refused *RequestError
	return errors.As(err, &refused)
}

func FuzzPath(f *testing.F) {
	for _, label := range []string{"CA1", "front desk", "..", "a/../b", "%2F", "a?b#c", "\r\nHost: evil", "é\xff\x00"} {
		f.Add(pathConference, label)
	}
	f.Fuzz(func(t *testing.T, conference, label string) {
		path := ParticipantPath{AccountSID: pathAccount, ConferenceSID: conference, Participant: label}
		if err := path.check(pathAccount); err != nil {
			if label == "" || isNoSegment(conference) {
				return
			}
			t.Fatal(err)
		}
		target := path.String()
		if strings.ContainsFunc(target, notRFC3986) {
			t.Errorf("%q has characters that a path must not have", target)
		}
		received, err := http.ReadRequest(bufio.NewReader(strings.NewReader("POST " + target + " HTTP/1.1\r\nHost: x\r\n\r\n")))
		if err != nil {
			t.Fatal(err)
		}
		checkSegments(t, received.URL.EscapedPath(), conference, label)
	})
}

func notRFC3986(r rune) bool { return r >= 0x80 || !isUnreserved(byte(r)) && r != '%' && r != '/' }

func checkSegments(t *testing.T, path, conference, label string) {
	t.Helper()
	want := []string{"", "2010-04-01", "Accounts", pathAccount, "Conferences", conference, "Participants", label + ".json"}
	got := strings.Split(path, "/")
	if len(got) != len(want) {
		t.Fatalf("%q has %d segments, want %d", path, len(got), len(want))
	}
	for i, segment := range got {
		if unescaped, err := url.PathUnescape(segment); err != nil || unescaped != want[i] {
			t.Errorf("segment %d is %q, %v; want %q", i, unescaped, err, want[i])
		}
	}
}
