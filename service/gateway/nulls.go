package gateway

import (
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// appendMessage appends a message as protojson shows it, by the names of its
// proto file and with every field but the unset ones of a oneof: `false`, an empty
// list, and null for what is not set. protojson's EmitUnpopulated leaves out unset
// `optional` scalars.
func appendMessage(to []byte, message protoreflect.Message) ([]byte, error) {
	switch wellKnown := message.Interface().(type) {
	case *timestamppb.Timestamp, *durationpb.Duration:
		return protojson.MarshalOptions{}.MarshalAppend(to, wellKnown)
	}
	var err error
	begin, fields := len(to), message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		isSet := message.Has(field)
		if oneof := field.ContainingOneof(); oneof != nil && !oneof.IsSynthetic() && !isSet {
			continue
		}
		to = append(append(append(to, `,"`...), field.Name()...), `":`...)
		if field.HasPresence() && !isSet {
			to = append(to, "null"...)
			continue
		}
		if to, err = appendField(to, field, message.Get(field)); err != nil {
			return nil, err
		}
	}
	if len(to) == begin {
		to = append(to, '{')
	}
	to[begin] = '{' // In the place of a comma.
	return append(to, '}'), nil
}

func appendField(to []byte, field protoreflect.FieldDescriptor, value protoreflect.Value) ([]byte, error) {
	if field.IsMap() {
		return nil, fmt.Errorf("gateway: no JSON for the map %s", field.FullName())
	}
	if !field.IsList() {
		return appendValue(to, field, value)
	}
	var err error
	to = append(to, '[')
	for i := range value.List().Len() {
		if i > 0 {
			to = append(to, ',')
		}
		if to, err = appendValue(to, field, value.List().Get(i)); err != nil {
			return nil, err
		}
	}
	return append(to, ']'), nil
}

func appendValue(to []byte, field protoreflect.FieldDescriptor, value protoreflect.Value) ([]byte, error) {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return strconv.AppendBool(to, value.Bool()), nil
	case protoreflect.StringKind:
		return appendString(to, value.String())
	case protoreflect.EnumKind:
		return appendEnum(to, field.Enum(), value.Enum()), nil
	case protoreflect.MessageKind:
		return appendMessage(to, value.Message())
	default:
		return nil, fmt.Errorf("gateway: no JSON for the %s %s", field.Kind(), field.FullName())
	}
}

func appendString(to []byte, text string) ([]byte, error) {
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		return protojson.MarshalOptions{}.MarshalAppend(to, wrapperspb.String(text))
	}
	return append(append(append(to, '"'), text...), '"'), nil
}

func appendEnum(to []byte, enum protoreflect.EnumDescriptor, number protoreflect.EnumNumber) []byte {
	known := enum.Values().ByNumber(number)
	if known == nil {
		return strconv.AppendInt(to, int64(number), 10)
	}
	return append(append(append(to, '"'), known.Name()...), '"')
}
