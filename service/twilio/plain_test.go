package twilio_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"conferenced/service/twilio"

	"github.com/google/go-cmp/cmp"
)

// reference decodes a participant with nothing but encoding/json.
func reference(data []byte) (*twilio.Participant, error) {
	var p struct {
		twilio.Participant
		QueueTime *textOrNumber `json:"queue_time"`
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, err
	}
	if p.Status == "" && (p.CallSID == nil || *p.CallSID == "") {
		return nil, errors.New("neither a status nor a Call SID")
	}
	p.Participant.QueueTime = (*string)(p.QueueTime)
	return &p.Participant, nil
}

type textOrNumber string

func (t *textOrNumber) UnmarshalJSON(data []byte) error {
	if strings.ContainsAny(string(data[:1]), "-0123456789") {
		*t = textOrNumber(data)
		return nil
	}
	return json.Unmarshal(data, (*string)(t))
}

// checkDecoding checks that data is accepted or refused, and decoded, as the
// reference does it. It reports whether it was accepted.
func checkDecoding(t *testing.T, data []byte) bool {
	t.Helper()
	before := slices.Clone(data)
	got, err := twilio.DecodeParticipant(data)
	want, wantErr := reference(data)
	if (err == nil) != (wantErr == nil) {
		t.Errorf("%q: error %v, want %v", data, err, wantErr)
	}
	if err == nil && wantErr == nil && !equal(got, want) {
		t.Errorf("%q: %s", data, cmp.Diff(want, got))
	}
	if string(before) != string(data) {
		t.Errorf("%q became %q", before, data)
	}
	return err == nil
}

func equal(a, b *twilio.Participant) bool {
	return a.Status == b.Status && slices.EqualFunc(texts(a), texts(b), same) && slices.EqualFunc(flags(a), flags(b), same)
}

func texts(p *twilio.Participant) []*string {
	return []*string{
		p.AccountSID, p.CallSID, p.Label, p.CallSIDToCoach, p.ConferenceSID, p.DateCreated, p.DateUpdated, p.QueueTime, p.URI,
	}
}

func flags(p *twilio.Participant) []*bool {
	return []*bool{p.Coaching, p.EndConferenceOnExit, p.Muted, p.Hold, p.StartConferenceOnEnter}
}

func same[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// names are all the names that an answer may have, and some that are like them.
var names = []string{
	"account_sid", "call_sid", "label", "call_sid_to_coach", "coaching", "conference_sid", "date_created", "date_updated",
	"end_conference_on_exit", "muted", "hold", "start_conference_on_enter", "status", "queue_time", "uri",
	"LABEL", "Muted", "\u017ftatus", "\u017ftart_conference_on_enter", `\u0073tatus`, "statu\\u0073", "STATUS", "Queue_Time",
	"", " ", "mood", "Mood", "QueueTime", "queuetime", "Participant", "label ", "sip_2", "é", "\xff", `\"`, `\`, "\n",
}

// values are values of all kinds, and some that are not JSON.
var values = []string{
	`""`, `"a"`, `"1"`, `"é€😀"`, `"\u00e9"`, `"\ud83d\ude00"`, `"\ud800"`, `"\udc00\ud800"`, `"\"\\\/\b\f\n\r\t"`, `"\""`, `"\\"`,
	`"\x"`, `"\u12"`, `"\u12g4"`, `"\`, `"\"`, `"`, `"a`, "\"\xff\"", "\"\xed\xa0\x80\"", "\"\x00\"", "\"\x1f\"", "\"\x7f\"", "\"\n\"", "\"\u2028\"",
	"\"\xc3", "\"\xff\\n\"", "\"\\\xff\"", `'a'`, `"a""b"`, `"a" "b"`,
	"true", "false", "null", "tru", "fals", "nul", "t", "f", "n", "truetrue", "true false", "True", "NULL", "trueish",
	"0", "-0", "1", "-1", "1.5", "1e5", "1E-5", "01", "-", "+1", ".5", "1.", "0x1", "1_000", "NaN", "123456789012345678901234567890",
	"{}", "[]", `{"a":[1,{"status":"x"}]}`, `[null,"a",true]`, "{", "[", "[1,]", "",
}

func TestDecodingIsThatOfEncodingJSON(t *testing.T) {
	accepted := 0
	check := func(data string) {
		if checkDecoding(t, []byte(data)) {
			accepted++
		}
	}
	for _, name := range names {
		for _, value := range values {
			member := `"` + name + `":` + value
			check(`{` + member + `}`)
			check(`{"status":"connected",` + member + `}`)
			check(`{` + member + `,"call_sid":"CA1"}`)
			check(`{"status":"a","label":"b","muted":true,"queue_time":"5",` + member + `,"hold":null}`)
			check(`{"` + name + `":"first","status":"a",` + member + `}`)
			check(`{"` + name + `":null,"status":"a",` + member + `}`)
			check(`{"status":"a",` + member + `,"` + name + `":null}`)
			check(`{"status":"a","` + name + `":true,` + member + `,` + member + `}`)
		}
	}
	if accepted < 1000 {
		t.Errorf("only %d were accepted", accepted)
	}
}

func TestDecodingIsThatOfEncodingJSONWhateverIsChanged(t *testing.T) {
	const data = "{\"status\" : \"a\\u00e9b\",\"label\":\"é\",\r\n\t\"muted\":true,\"hold\":null , \"queue_time\":\"10\",\"x\":false}"
	changes := append(strings.Split("\x00 \x01 \x0b \x1f \x7f \x80 \xc3 \xff a S u 0 1 - . _ \" \\ / ' : , { } [ ]", " "),
		"", " ", "\t", "\n", "\r", "\f", "\u00a0", "\u2028", "\ufeff", "//", `\"`, `\\`, `"":`, "null", ",,")
	for i := range len(data) + 1 {
		checkDecoding(t, []byte(data[:i]))
		checkDecoding(t, []byte(data[i:]))
		for _, c := range changes {
			checkDecoding(t, []byte(data[:i]+c+data[i:]))
			checkDecoding(t, []byte(data[:i]+c+data[min(i+1, len(data)):]))
		}
	}
}

// TestAnAnswerOfAnyLengthIsDecoded: a long one, and one of many members.
func TestAnAnswerOfAnyLengthIsDecoded(t *testing.T) {
	for _, n := range []int{1, 1000, 4000, 4090, 5000, 20_000} {
		for _, data := range []string{
			`{"status":"a","label":"` + strings.Repeat("b", n) + `"}`,
			`{"status":"a"` + strings.Repeat(`,"label":"b","muted":true`, n) + `}`,
			connected + strings.Repeat(" ", n),
			strings.Repeat("\n", n) + connected,
		} {
			if !checkDecoding(t, []byte(data)) {
				t.Errorf("%.40s... with %d bytes is refused", data, len(data))
			}
		}
	}
}

func TestTwiliosAnswerIsDecodedInTwoAllocations(t *testing.T) {
	data := []byte(connected)
	n := testing.AllocsPerRun(100, func() {
		if _, err := twilio.DecodeParticipant(data); err != nil {
			t.Fatal(err)
		}
	})
	if n > 2 {
		t.Errorf("%v allocations", n)
	}
}

// TestAParticipantKeepsNothingOfTheData that it was decoded from.
func TestAParticipantKeepsNothingOfTheData(t *testing.T) {
	data := []byte(connected)
	got, err := twilio.DecodeParticipant(data)
	if err != nil {
		t.Fatal(err)
	}
	clear(data)
	if diff := cmp.Diff(connectedParticipant(), got); diff != "" {
		t.Error(diff)
	}
}
