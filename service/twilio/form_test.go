package twilio_test

import (
	"net/url"
	"strconv"
	"strings"
	"testing"

	"conferenced/service/twilio"
)

// everything sets every property, with values that need escaping.
func everything() *twilio.ParticipantUpdate {
	return &twilio.ParticipantUpdate{
		Muted:               new(true),
		Hold:                new(false),
		HoldURL:             new("https://example.com/hold music?a=1&b=%20#rc=2&ct=3000"),
		HoldMethod:          "GET",
		AnnounceURL:         new("https://example.com/café+;~"),
		AnnounceMethod:      "POST",
		WaitURL:             new(""),
		WaitMethod:          "POST",
		BeepOnExit:          new(false),
		EndConferenceOnExit: new(true),
		Coaching:            new(true),
		CallSIDToCoach:      new(callSID),
	}
}

func TestAppendForm(t *testing.T) {
	tests := []struct {
		name   string
		update *twilio.ParticipantUpdate
		want   string
	}{
		{"nothing", &twilio.ParticipantUpdate{}, ""},
		{"true", &twilio.ParticipantUpdate{Muted: new(true)}, "Muted=true"},
		{"false, which is not unset", &twilio.ParticipantUpdate{Muted: new(false)}, "Muted=false"},
		{"an empty wait URL, which is not unset", &twilio.ParticipantUpdate{WaitURL: new("")}, "WaitUrl="},
		{"every property in order", everything(),
			"Muted=true&Hold=false&HoldUrl=https%3A%2F%2Fexample.com%2Fhold+music%3Fa%3D1%26b%3D%2520%23rc%3D2%26ct%3D3000" +
				"&HoldMethod=GET&AnnounceUrl=https%3A%2F%2Fexample.com%2Fcaf%C3%A9%2B%3B~&AnnounceMethod=POST" +
				"&WaitUrl=&WaitMethod=POST&BeepOnExit=false&EndConferenceOnExit=true&Coaching=true&CallSidToCoach=" + callSID},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(tt.update.AppendForm(nil)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestAppendFormKeepsWhatItAppendsTo(t *testing.T) {
	got := string((&twilio.ParticipantUpdate{Muted: new(true), Hold: new(true)}).AppendForm([]byte("before ")))
	if want := "before Muted=true&Hold=true"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// properties are the form's keys in order, each with what says whether and how
// it is sent.
func properties(u *twilio.ParticipantUpdate) (keys []string, values url.Values) {
	values = url.Values{}
	add := func(key, value string) {
		keys = append(keys, key)
		values.Set(key, value)
	}
	text := func(key string, value *string) {
		if value != nil {
			add(key, *value)
		}
	}
	boolean := func(key string, value *bool) {
		if value != nil {
			add(key, strconv.FormatBool(*value))
		}
	}
	method := func(key, value string) {
		if value != "" {
			add(key, value)
		}
	}
	boolean("Muted", u.Muted)
	boolean("Hold", u.Hold)
	text("HoldUrl", u.HoldURL)
	method("HoldMethod", u.HoldMethod)
	text("AnnounceUrl", u.AnnounceURL)
	method("AnnounceMethod", u.AnnounceMethod)
	text("WaitUrl", u.WaitURL)
	method("WaitMethod", u.WaitMethod)
	boolean("BeepOnExit", u.BeepOnExit)
	boolean("EndConferenceOnExit", u.EndConferenceOnExit)
	boolean("Coaching", u.Coaching)
	text("CallSidToCoach", u.CallSIDToCoach)
	return keys, values
}

// chosen returns &value if the bit is set, and nil otherwise.
func chosen[T any](bits uint32, bit int, value T) *T {
	if bits>>bit&1 == 0 {
		return nil
	}
	return &value
}

func FuzzForm(f *testing.F) {
	f.Add(uint32(0), "", "", "", "", "")
	f.Add(uint32(1<<14-1), "https://example.com/a b?c=d&e=f#rc=2", "GET", "", "é;+%", callSID)
	f.Add(uint32(1<<14-1), "\x00\xff\n", "=", "&", "%zz", "a=b&Muted=true")
	f.Fuzz(func(t *testing.T, bits uint32, holdURL, method, waitURL, announceURL, coach string) {
		update := &twilio.ParticipantUpdate{
			Muted:               chosen(bits, 0, bits>>16&1 == 1),
			Hold:                chosen(bits, 1, bits>>17&1 == 1),
			HoldURL:             chosen(bits, 2, holdURL),
			HoldMethod:          method,
			AnnounceURL:         chosen(bits, 3, announceURL),
			AnnounceMethod:      method,
			WaitURL:             chosen(bits, 4, waitURL),
			WaitMethod:          method,
			BeepOnExit:          chosen(bits, 5, bits>>18&1 == 1),
			EndConferenceOnExit: chosen(bits, 6, bits>>19&1 == 1),
			Coaching:            chosen(bits, 7, bits>>20&1 == 1),
			CallSIDToCoach:      chosen(bits, 8, coach),
		}
		form := string(update.AppendForm(nil))
		keys, values := properties(update)
		got, err := url.ParseQuery(form)
		if err != nil {
			t.Fatalf("%q: %v", form, err)
		}
		if got.Encode() != values.Encode() {
			t.Errorf("%q decodes to %q, want %q", form, got, values)
		}
		if gotKeys := formKeys(form); strings.Join(gotKeys, " ") != strings.Join(keys, " ") {
			t.Errorf("keys %q, want %q", gotKeys, keys)
		}
	})
}

// formKeys returns the keys in the order in which they are sent.
func formKeys(form string) []string {
	if form == "" {
		return nil
	}
	var keys []string
	for pair := range strings.SplitSeq(form, "&") {
		key, _, _ := strings.Cut(pair, "=")
		keys = append(keys, key)
	}
	return keys
}
