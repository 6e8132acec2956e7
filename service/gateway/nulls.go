package gateway

import "google.golang.org/protobuf/reflect/protoreflect"

// withNulls shows every field of a message to protojson: `false`, an empty
// list, and null for what is not set. protojson's EmitUnpopulated leaves out
// unset `optional` scalars.
type withNulls struct {
	protoreflect.Message
}

// ProtoReflect makes it a proto.Message, for protojson alone.
func (m withNulls) ProtoReflect() protoreflect.Message { return m }

// Range calls f with every field but the unset ones of a oneof. The value of an
// unset field that knows presence is invalid, which protojson prints as null.
func (m withNulls) Range(f func(protoreflect.FieldDescriptor, protoreflect.Value) bool) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if oneof := field.ContainingOneof(); oneof != nil && !oneof.IsSynthetic() && !m.Has(field) {
			continue
		}
		if !f(field, m.value(field)) {
			return
		}
	}
}

func (m withNulls) value(field protoreflect.FieldDescriptor) protoreflect.Value {
	value := m.Get(field)
	switch {
	case field.HasPresence() && !m.Has(field):
		return protoreflect.Value{}
	case field.Message() == nil || field.IsMap():
		return value
	case field.IsList():
		return protoreflect.ValueOfList(listWithNulls{value.List()})
	default:
		return protoreflect.ValueOfMessage(withNulls{value.Message()})
	}
}

// listWithNulls is a list whose messages show every field.
type listWithNulls struct {
	protoreflect.List
}

func (l listWithNulls) Get(i int) protoreflect.Value {
	return protoreflect.ValueOfMessage(withNulls{l.List.Get(i).Message()})
}
