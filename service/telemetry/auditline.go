package telemetry

import (
	"encoding/json"
	"strconv"
	"time"
)

// appendTo appends the record as a line: what [json.Marshal] makes of it, and
// its end.
func (r *Record) appendTo(line []byte) []byte {
	line = append(line, `{"time":"`...)
	line = append(r.Time.AppendFormat(line, time.RFC3339Nano), '"')
	line = appendMember(line, "caller", r.Caller)
	line = appendMember(line, "known_by", r.KnownBy)
	line = appendMember(line, "peer", r.Peer)
	line = appendMember(line, "protocol", r.Protocol)
	line = appendMember(line, "method", r.Method)
	line = appendKnown(line, "account_sid", r.AccountSID)
	line = appendKnown(line, "conference_sid", r.ConferenceSID)
	line = appendKnown(line, "call_sid", r.CallSID)
	line = appendNames(line, r.Properties)
	line = appendValues(line, r.Values)
	line = appendMember(line, "outcome", r.Outcome)
	line = appendMember(line, "applied", r.Applied)
	line = appendKnown(line, "request_id", r.RequestID)
	line = appendKnown(line, "twilio_request_id", r.TwilioRequestID)
	line = appendKnown(line, "trace_id", r.TraceID)
	return append(line, "}\n"...)
}

func appendNames(line []byte, names []string) []byte {
	for i, name := range names {
		if i == 0 {
			line = append(line, `,"properties":["`...)
		} else {
			line = append(line, `","`...)
		}
		line = append(line, name...)
	}
	if len(names) > 0 {
		line = append(line, `"]`...)
	}
	return line
}

// booleans are the properties that are true or false, in the order of the
// alphabet, in which JSON has the members of a map.
var booleans = [...]string{"beep_on_exit", "coaching", "end_conference_on_exit", "hold", "muted"}

func appendValues(line []byte, values map[string]bool) []byte {
	if len(values) == 0 {
		return line
	}
	line = append(line, `,"values":`...)
	separator := byte('{')
	for _, name := range booleans {
		if value, ok := values[name]; ok {
			line = append(append(append(line, separator, '"'), name...), `":`...)
			line = strconv.AppendBool(line, value)
			separator = ','
		}
	}
	return append(line, '}')
}

// appendKnown appends a member, unless its text is empty.
func appendKnown(line []byte, name, text string) []byte {
	if text == "" {
		return line
	}
	return appendMember(line, name, text)
}

func appendMember(line []byte, name, text string) []byte {
	line = append(append(append(line, `,"`...), name...), `":`...)
	if !isPlain(text) {
		quoted, _ := json.Marshal(text) // Of a string it does not fail.
		return append(line, quoted...)
	}
	return append(append(append(line, '"'), text...), '"')
}

// isPlain says whether JSON has the text as it is.
func isPlain(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ', c > '~', c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
}
