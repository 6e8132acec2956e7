package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// marshaler is grpc-gateway's protojson marshaler. It scans a body before decoding
// it, because the texts of protojson's errors are unstable and contain values of the
// body.
type marshaler struct{ runtime.JSONPb }

func newMarshaler() *marshaler {
	return &marshaler{runtime.JSONPb{
		MarshalOptions: protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true},
	}}
}

// usualBytes is more than the usual response has.
const usualBytes = 1 << 10

// Marshal adds a line feed, for terminals.
func (m *marshaler) Marshal(message any) ([]byte, error) {
	text, err := m.MarshalAppend(make([]byte, 0, usualBytes), message.(proto.Message))
	return append(text, '\n'), err
}

// NewDecoder returns a decoder that decodes a request's body into a message. r is the
// *requestBody that the middleware set. The decoder returns no error: invoke ends the
// call of a body that cannot be decoded.
func (*marshaler) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(message any) error {
		r.(*requestBody).decode(message.(proto.Message))
		return nil
	})
}

// decode reads the body as JSON into an empty message, or refuses it. An empty body is
// an empty message.
func (b *requestBody) decode(message proto.Message) {
	violations := decodeJSON(b.readAll(), message, b.path)
	if len(violations) == 0 {
		violations = adoptIdempotencyKey(message, b.idempotencyKeys)
	}
	b.refuseInvalid(violations)
}

// blank is JSON's white-space characters.
const blank = " \t\r\n"

// decodeJSON decodes a body into an empty message. The body must not have the fields
// in path. It returns at most maxViolations violations.
func decodeJSON(body []byte, message proto.Message, path map[string]string) []*violation {
	if len(bytes.Trim(body, blank)) == 0 {
		return nil
	}
	if wrong := checkObject(body); wrong != nil {
		return []*violation{wrong}
	}
	names := scan{path: path}
	scanned := names.object(body, message.ProtoReflect(), "")
	if len(names.violations) == 0 && protojson.Unmarshal(scanned, message) == nil {
		return nil
	}
	all := scan{path: path, values: true}
	all.object(body, message.ProtoReflect(), "")
	if len(all.violations) == 0 {
		all.add("", "the body cannot be read as "+string(message.ProtoReflect().Descriptor().Name()))
	}
	return all.violations
}

// checkObject returns a violation unless the body is one JSON object in UTF-8, and
// nothing else.
func checkObject(body []byte) *violation {
	if utf8.Valid(body) && json.Valid(body) && bytes.TrimLeft(body, blank)[0] == '{' {
		return nil
	}
	if bytes.HasPrefix(body, []byte("\ufeff")) {
		return broken("", "the body begins with a byte order mark (BOM): send it without one")
	}
	if at := invalidUTF8(body); at >= 0 {
		return broken("", "the body is not UTF-8 at "+position(body, at))
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	var value json.RawMessage
	if err := dec.Decode(&value); err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return broken("", "the body is not JSON at "+position(body, int(syntax.Offset)-1))
		}
		return broken("", "the body ends within its JSON at "+position(body, len(body)))
	}
	rest := bytes.TrimLeft(body[dec.InputOffset():], blank)
	switch {
	case value[0] != '{':
		return broken("", "the body must be a JSON object")
	case len(rest) > 0:
		return broken("", "the body goes on after its JSON object at "+position(body, len(body)-len(rest)))
	}
	return nil
}

// invalidUTF8 returns the offset of the first byte that is not UTF-8, or -1.
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

// position returns the line and column of an offset, both counted from 1 in
// characters.
func position(body []byte, offset int) string {
	before := body[:min(max(offset, 0), len(body))]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	return fmt.Sprintf("line %d, column %d", line, column)
}

// scan collects the violations of the members of a JSON object or of the parameters of a
// query. It stops at maxViolations. Valid members are distinct fields, so the number of
// members scanned is bounded.
type scan struct {
	path       map[string]string // The fields that are in the path.
	values     bool              // Each value is decoded alone, to find values of a wrong type.
	violations []*violation
}

func (s *scan) add(field, description string) {
	s.violations = append(s.violations, broken(field, description))
}

// object scans a valid JSON object for an empty message, and returns it with the full
// names of enum values, for protojson. Names of fields are reported with the prefix.
func (s *scan) object(text []byte, message protoreflect.Message, prefix string) jsontext.Value {
	fields := message.Descriptor().Fields()
	seen := map[string]bool{}
	dec := jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	_, _ = dec.ReadToken()
	scanned := append(make([]byte, 0, len(text)+1), '{')
	for dec.PeekKind() != '}' && len(s.violations) < maxViolations {
		token, _ := dec.ReadToken()
		name := token.String()
		value, _ := dec.ReadValue()
		_, inPath := s.path[prefix+name]
		switch field := fields.ByName(protoreflect.Name(name)); {
		case field == nil:
			s.add(prefix+shownName(name), "is no field of the request"+s.suggestion(name, fields))
		case seen[name]:
			s.add(prefix+name, "is given more than once")
		case inPath:
			s.add(name, "is given by the path and may not be in the body too")
		default:
			scanned = append(append(append(scanned, '"'), name...), `":`...)
			scanned = append(append(scanned, s.value(value, message, field, prefix+name)...), ',')
		}
		seen[name] = true
	}
	return append(bytes.TrimSuffix(scanned, []byte{','}), '}')
}

// value scans a field's value. A nested message is scanned field by field.
func (s *scan) value(
	value jsontext.Value, message protoreflect.Message, field protoreflect.FieldDescriptor, name string,
) jsontext.Value {
	if isNested(field) && value[0] == '{' {
		return s.object(value, message.NewField(field).Message(), name+".")
	}
	if full := fullEnumName(value, field.Enum()); full != "" {
		return fmt.Appendf(nil, "%q", full)
	}
	if s.values && !isValue(value, message, field) {
		s.add(name, "must be "+wanted(field))
	}
	return value
}

// isValue reports whether protojson reads the value as one of the message's field.
func isValue(value jsontext.Value, message protoreflect.Message, field protoreflect.FieldDescriptor) bool {
	alone := fmt.Appendf(nil, "{%q:%s}", field.Name(), value)
	return protojson.Unmarshal(alone, message.New().Interface()) == nil
}

// isNested reports whether the field is a single message whose JSON is an object with
// its fields.
func isNested(field protoreflect.FieldDescriptor) bool {
	return field.Message() != nil && !field.IsList() && !field.IsMap() &&
		field.Message().ParentFile().Package() != "google.protobuf"
}

// fullEnumName returns the enum value's name for a JSON string without the enum's
// prefix, HTTP_METHOD_GET for "GET", or "".
func fullEnumName(value jsontext.Value, enum protoreflect.EnumDescriptor) protoreflect.Name {
	if enum == nil {
		return ""
	}
	var short string
	if json.Unmarshal(value, &short) != nil {
		return ""
	}
	known := enumValue(short, enum)
	if known == nil {
		return ""
	}
	return known.Name()
}

// enumValue returns the enum's value by its name without the enum's prefix, or nil.
// It does not find the unspecified value.
func enumValue(short string, enum protoreflect.EnumDescriptor) protoreflect.EnumValueDescriptor {
	known := enum.Values().ByName(protoreflect.Name(enumPrefix(enum) + short))
	if known == nil || known.Number() == 0 {
		return nil
	}
	return known
}

func enumPrefix(enum protoreflect.EnumDescriptor) string {
	return strings.TrimSuffix(string(enum.Values().ByNumber(0).Name()), "UNSPECIFIED")
}

// wanted describes the valid values of a field.
func wanted(field protoreflect.FieldDescriptor) string {
	if field.IsList() {
		return "a list, each entry " + wantedOne(field)
	}
	return wantedOne(field)
}

// wantedOne describes the valid values of a field that is no list, or of an entry.
func wantedOne(field protoreflect.FieldDescriptor) string {
	switch {
	case field.Kind() == protoreflect.BoolKind:
		return "true or false"
	case field.Kind() == protoreflect.Int32Kind:
		return "an integer of 32 bits"
	case field.Kind() == protoreflect.StringKind:
		return "a string of Unicode characters"
	case field.Enum() != nil:
		var names []string
		for i := range field.Enum().Values().Len() {
			names = append(names, string(field.Enum().Values().Get(i).Name()))
		}
		return "one of " + strings.Join(names, ", ")
	case field.Message() != nil && field.Message().ParentFile().Package() != "google.protobuf":
		return "a JSON object"
	case field.Message() != nil:
		return "a valid " + string(field.Message().Name())
	}
	return "a valid " + field.Kind().String()
}

// maxNameLen is the maximum length in bytes of an unknown field's name in an error.
const maxNameLen = 64

// shownName returns an unknown field's name for an error.
func shownName(name string) string {
	switch name = strings.ToValidUTF8(name, "\uFFFD"); { // A query can have any bytes.
	case name == "":
		return `""`
	case len(name) <= maxNameLen:
		return name
	}
	return strings.ToValidUTF8(name[:maxNameLen], "") + "…"
}

// suggestion suggests the field with a similar spelling: hold_url for HoldUrl, muted
// for mute.
func (s *scan) suggestion(name string, fields protoreflect.FieldDescriptors) string {
	name = folded(name)
	for i := range fields.Len() {
		field := string(fields.Get(i).Name())
		_, inPath := s.path[field]
		longer, shorter := folded(field), name
		if len(longer) < len(shorter) {
			longer, shorter = shorter, longer
		}
		if !inPath && len(longer)-len(shorter) <= 2 && strings.HasPrefix(longer, shorter) {
			return "; did you mean " + field + "?"
		}
	}
	return ""
}

// folded makes names in snake_case, camelCase and PascalCase comparable.
func folded(name string) string {
	return strings.ToLower(strings.ReplaceAll(name, "_", ""))
}
