package telemetry

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/properties"
)

// sameAsJSON compares the line with the one that encoding/json makes.
func sameAsJSON(t *testing.T, record *Record) {
	t.Helper()
	want, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(record.appendTo([]byte("before "))); got != "before "+string(want)+"\n" {
		t.Errorf("got  %swant before %s", got, want)
	}
}

func TestALineIsWhatJSONMakesOfTheRecord(t *testing.T) {
	moment := time.Date(2026, 1, 2, 3, 4, 5, 678900000, time.UTC)
	everything := &conferencev1.UpdateParticipantRequest{
		Muted: proto.Bool(true), Hold: proto.Bool(false), BeepOnExit: proto.Bool(true),
		EndConferenceOnExit: proto.Bool(false), Coaching: proto.Bool(true),
	}
	values := map[string]bool{}
	properties.Booleans(values, everything)
	if got := slices.Sorted(maps.Keys(values)); !slices.Equal(got, booleans[:]) {
		t.Errorf("properties that are true or false: got %v, want %v", booleans, got)
	}
	tests := map[string]*Record{
		"nothing": {},
		"a moment of the hour without a fraction": {Time: moment.Truncate(time.Second)},
		"one value": {Values: map[string]bool{"hold": false}},
		"everything": {
			Time: moment, Caller: "ui", KnownBy: "token", Peer: "192.0.2.1", Protocol: "grpc", Method: method,
			AccountSID: account, ConferenceSID: conference, CallSID: call,
			Properties: properties.Names, Values: values, Outcome: "OK", Applied: "yes",
			RequestID: requestID, TwilioRequestID: "RQ1", TraceID: parentTrace,
		},
	}
	for name, record := range tests {
		t.Run(name, func(t *testing.T) { sameAsJSON(t, record) })
	}
}

// FuzzTextInALine writes texts that others chose: a caller's name and what
// Twilio's answer said.
func FuzzTextInALine(f *testing.F) {
	for _, text := range []string{
		"", "plain", `"quoted"`, `back\slash`, "<b>&amp;</b>", "line\nline\r\t\x00\x1f", "\x7f", "é", "\u2028\u2029", "\xff\xfe", "\U0001F600",
	} {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, caller, id string) {
		sameAsJSON(t, &Record{Caller: caller, Method: caller, TwilioRequestID: id})
	})
}
