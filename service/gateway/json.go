package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// blank is JSON's white space.
const blank = " \t\r\n"

// member is a name and a value of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// decodeBody reads a body as the route's message. An empty body is an empty
// message. Whatever could be meant otherwise than it would be read is a
// violation that names the field and the rule, never the value.
func decodeBody(body []byte, r *route) (proto.Message, []*violation) {
	message := r.input.New().Interface()
	if len(bytes.Trim(body, blank)) == 0 {
		return message, nil
	}
	members, wrong := parseObject(body)
	if wrong != nil {
		return nil, []*violation{wrong}
	}
	if violations := checkMembers(members, r); len(violations) > 0 {
		return nil, violations
	}
	if err := protojson.Unmarshal(body, message); err != nil {
		return nil, []*violation{findUnreadable(members, r.input)}
	}
	return message, nil
}

// parseObject splits a body that is one JSON object into its members.
func parseObject(body []byte) ([]member, *violation) {
	if at := invalidUTF8(body); at >= 0 {
		return nil, broken("", "the body is not UTF-8 at "+position(body, at))
	}
	isObject := bytes.TrimLeft(body, blank)[0] == '{'
	switch valid := json.Valid(body); {
	case valid && isObject:
		return splitObject(body), nil
	case valid:
		return nil, broken("", "the body must be a JSON object")
	default:
		return nil, notOneObject(body)
	}
}

// notOneObject says why a body is not just one JSON value.
func notOneObject(body []byte) *violation {
	dec := json.NewDecoder(bytes.NewReader(body))
	var object json.RawMessage
	if err := dec.Decode(&object); err != nil {
		return unreadable(body, err)
	}
	if object[0] != '{' {
		return broken("", "the body must be a JSON object")
	}
	rest := bytes.TrimLeft(body[dec.InputOffset():], blank)
	return broken("", "the body goes on after its JSON object at "+position(body, len(body)-len(rest)))
}

func unreadable(body []byte, err error) *violation {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return broken("", "the body ends within its JSON at "+position(body, len(body)))
	case errors.As(err, &syntax):
		return broken("", "the body is not JSON at "+position(body, int(syntax.Offset)-1))
	default:
		return broken("", "the body is not JSON")
	}
}

// splitObject splits what is known to be a JSON object, so its decoder has no
// errors.
func splitObject(object json.RawMessage) []member {
	dec := json.NewDecoder(bytes.NewReader(object))
	_, _ = dec.Token()
	var members []member
	for dec.More() {
		name, _ := dec.Token()
		m := member{name: fmt.Sprint(name)}
		_ = dec.Decode(&m.value)
		members = append(members, m)
	}
	return members
}

// invalidUTF8 is where the first byte is that is not UTF-8, or -1.
func invalidUTF8(text []byte) int {
	for at := 0; at < len(text); {
		char, size := utf8.DecodeRune(text[at:])
		if char == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
	return -1
}

// position says where an offset is, as editors count: lines and characters
// from 1.
func position(body []byte, offset int) string {
	before := body[:min(max(offset, 0), len(body))]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	return fmt.Sprintf("line %d, column %d", line, column)
}

// checkMembers returns what is wrong with the names and the types of members.
func checkMembers(members []member, r *route) []*violation {
	var violations []*violation
	seen := map[string]bool{}
	for _, m := range members {
		if wrong := checkMember(m, r, seen[m.name]); wrong != nil {
			violations = append(violations, wrong)
		}
		seen[m.name] = true
	}
	return violations
}

func checkMember(m member, r *route, again bool) *violation {
	fields := r.input.Descriptor().Fields()
	field := fields.ByName(protoreflect.Name(m.name))
	switch {
	case field == nil:
		return unknownField(m.name, r)
	case again:
		return broken(m.name, "is given more than once")
	case r.givesField(m.name):
		return broken(m.name, "is given by the path and may not be in the body too")
	case !hasType(m.value, field):
		return broken(m.name, "must be "+wanted(field))
	default:
		return nil
	}
}

func unknownField(name string, r *route) *violation {
	text := "is no field of the request"
	if near := nearestField(name, r); near != "" {
		text += "; did you mean " + near + "?"
	}
	return broken(shortened(name), text)
}

// hasType says whether a value has the field's type as far as its first
// character tells. Null is the same as leaving the field out.
func hasType(value json.RawMessage, field protoreflect.FieldDescriptor) bool {
	if value[0] == 'n' || field.IsList() || field.IsMap() {
		return true
	}
	switch field.Kind() {
	case protoreflect.BoolKind:
		return value[0] == 't' || value[0] == 'f'
	case protoreflect.StringKind:
		return value[0] == '"'
	default:
		return true
	}
}

// wanted names the values of a field.
func wanted(field protoreflect.FieldDescriptor) string {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.StringKind:
		return "a string of Unicode characters"
	case protoreflect.EnumKind:
		return "one of " + strings.Join(valueNames(field.Enum()), ", ")
	default:
		return "a valid " + field.Kind().String()
	}
}

func valueNames(enum protoreflect.EnumDescriptor) []string {
	var names []string
	for i := range enum.Values().Len() {
		names = append(names, string(enum.Values().Get(i).Name()))
	}
	return names
}

// findUnreadable names the member that protojson refuses. Its own error is of
// no use: it repeats values.
func findUnreadable(members []member, input protoreflect.MessageType) *violation {
	for _, m := range members {
		alone := fmt.Appendf(nil, "{%q:%s}", m.name, m.value)
		if protojson.Unmarshal(alone, input.New().Interface()) != nil {
			field := input.Descriptor().Fields().ByName(protoreflect.Name(m.name))
			return broken(m.name, "must be "+wanted(field))
		}
	}
	return broken("", "the body cannot be read as "+string(input.Descriptor().Name()))
}
