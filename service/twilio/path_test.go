package twilio

import (
	"bufio"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestPathKeepsALabelInOneSegment(t *testing.T) {
	tests := []struct{ name, label, want string }{
		{"a Call SID", "CA00000000000000000000000000000001", "CA00000000000000000000000000000001"},
		{"a space", "front desk", "front%20desk"},
		{"an accent", "café", "caf%C3%A9"},
		{"a percent sign", "100%", "100%25"},
		{"an escape", "%2F", "%252F"},
		{"delimiters", `a?b#c+d&e;f/g\h:i@j$k=l,m!n*o'p(q)r`, "a%3Fb%23c%2Bd%26e%3Bf%2Fg%5Ch%3Ai%40j%24k%3Dl%2Cm%21n%2Ao%27p%28q%29r"},
		{"two dots", "..", ".."},
		{"the unreserved characters", "aZ09-._~", "aZ09-._~"},
		{"control characters", "a\r\n\x00", "a%0D%0A%00"},
		{"invalid UTF-8", "\xff", "%FF"},
		{"128 characters", strings.Repeat("é", 128), strings.Repeat("%C3%A9", 128)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := Path{AccountSID: "AC1", ConferenceSID: "CF1", Participant: tt.label}
			want := "/2010-04-01/Accounts/AC1/Conferences/CF1/Participants/" + tt.want + ".json"
			if got := path.String(); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func FuzzPath(f *testing.F) {
	for _, label := range []string{"CA1", "front desk", "..", "a/../b", "%2F", "a?b#c", "\r\nHost: evil", "é\xff\x00"} {
		f.Add("CF1", label)
	}
	f.Fuzz(func(t *testing.T, conference, label string) {
		path := Path{AccountSID: "AC1", ConferenceSID: conference, Participant: label}
		if err := (&Request{Path: path}).check("AC1"); err != nil {
			if label == "" || isNoSegment(conference) {
				return
			}
			t.Fatal(err)
		}
		received, err := http.ReadRequest(bufio.NewReader(strings.NewReader("POST " + path.String() + " HTTP/1.1\r\nHost: x\r\n\r\n")))
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Split(received.URL.EscapedPath(), "/")
		for i := range got {
			if got[i], err = url.PathUnescape(got[i]); err != nil {
				t.Fatal(err)
			}
		}
		if want := []string{"", "2010-04-01", "Accounts", "AC1", "Conferences", conference, "Participants", label + ".json"}; !slices.Equal(got, want) {
			t.Errorf("segments %q, want %q", got, want)
		}
	})
}
