package main

import (
	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// rulesOf returns the rules of buf.validate for a field.
func rulesOf(field protoreflect.FieldDescriptor) *validate.FieldRules {
	return proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
}

// completeSchemas marks as required the members that are in every answer: required fields,
// and fields without presence, because REST also writes their zero values. It adds the
// examples and the pattern of durations.
func completeSchemas(schemas object) {
	for name, schema := range schemas {
		found, _ := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		message, ok := found.(protoreflect.MessageDescriptor)
		if !ok {
			continue
		}
		var present []string
		for i := range message.Fields().Len() {
			field := message.Fields().Get(i)
			name := string(field.Name())
			if !field.HasPresence() || rulesOf(field).GetRequired() {
				present = append(present, name)
			}
			property := at(schema.(object), "properties", name)
			example, ok := examples[name]
			set(property, "examples", []string{example}, ok)
			isDuration := field.Message() != nil && field.Message().FullName() == "google.protobuf.Duration"
			set(property, "pattern", `^[0-9]+([.][0-9]{1,9})?s$`, isDuration)
		}
		if present != nil {
			schema.(object)["required"] = present
		}
	}
}

// constrainMessage adds the rules for the fields of a message in a request to its schema,
// and refuses unknown members.
func constrainMessage(schemas, schema object, message protoreflect.MessageDescriptor) {
	schema["additionalProperties"] = false
	delete(schema, "required")
	var required []string
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		property, inBody := at(schema, "properties")[string(field.Name())].(object)
		if !inBody {
			continue
		}
		constrain(property, field, false)
		if rulesOf(field).GetRequired() {
			required = append(required, string(field.Name()))
		}
		if nested := field.Message(); nested != nil {
			constrainMessage(schemas, at(schemas, string(nested.FullName())), nested)
		}
	}
	set(schema, "required", required, len(required) > 0)
}

// constrain adds the rules for a field of a request to its schema.
func constrain(schema object, field protoreflect.FieldDescriptor, inPath bool) {
	rules := rulesOf(field)
	if text := rules.GetString(); text != nil {
		constrainText(schema, text, rules.GetIgnore() == validate.Ignore_IGNORE_IF_ZERO_VALUE && !inPath)
	}
	if list := rules.GetRepeated(); list != nil {
		set(schema, "maxItems", list.GetMaxItems(), list.HasMaxItems())
		constrainText(at(schema, "items"), list.GetItems().GetString(), false)
	}
	if number := rules.GetInt32(); number != nil {
		set(schema, "minimum", number.GetGte(), number.HasGte())
		set(schema, "maximum", number.GetLte(), number.HasLte())
	}
	set(schema, "minLength", 1, rules.GetRequired() && field.Kind() == protoreflect.StringKind)
}

func constrainText(schema object, text *validate.StringRules, mayBeEmpty bool) {
	pattern := text.GetPattern()
	if mayBeEmpty {
		pattern = "^$|" + pattern
	}
	set(schema, "pattern", pattern, text.HasPattern())
	set(schema, "pattern", "^[^"+text.GetNotContains()+"]*$", text.HasNotContains())
	set(schema, "minLength", text.GetMinLen(), text.HasMinLen())
	set(schema, "maxLength", text.GetMaxLen(), text.HasMaxLen())
	set(schema, "format", "uuid", text.GetUuid())
	set(schema, "format", "uri", text.GetUri())
}

func set(schema object, keyword string, value any, isSet bool) {
	if isSet {
		schema[keyword] = value
	}
}
