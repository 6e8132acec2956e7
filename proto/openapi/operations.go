package main

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"conferenced/service/outcome"
	"conferenced/service/sandbox"
)

// examples are example values of fields. A call whose path has these examples works in the
// sandbox.
var examples = map[string]string{
	"account_sid":    sandbox.AccountSID,
	"conference_sid": sandbox.ConferenceSID,
	"call_sid":       sandbox.CustomerSID,
	"label":          "customer",
	"queue_time":     "1.250s",
}

// bodyExamples are the bodies of the examples, by method.
var bodyExamples = map[protoreflect.Name]object{
	"UpdateParticipant":  {"muted": true},
	"UpdateParticipants": {"except": []string{"agent"}, "set": object{"muted": true}},
}

// completeMethod completes the operations of a method. It removes the POST of a path that
// also has PATCH, because both do the same.
func completeMethod(document object, method protoreflect.MethodDescriptor) {
	routes := routesOf(method)
	for _, r := range routes {
		path := at(document, "paths", r.path)
		if r.verb == "post" && slices.Contains(routes, route{"patch", r.path}) {
			delete(path, r.verb)
			continue
		}
		o := operation{at(path, r.verb), method, r}
		o.setTexts()
		o.completeParameters()
		o.completeBody(at(document, "components", "schemas"))
		o.setErrors()
	}
	acceptShortEnumValues(at(document, "components", "schemas"), method.Input().Fields())
}

// route is where REST serves a method.
type route struct{ verb, path string }

func routesOf(method protoreflect.MethodDescriptor) []route {
	rule := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
	var routes []route
	for _, rule := range append([]*annotations.HttpRule{rule}, rule.GetAdditionalBindings()...) {
		for verb, path := range map[string]string{
			"get": rule.GetGet(), "put": rule.GetPut(), "post": rule.GetPost(),
			"patch": rule.GetPatch(), "delete": rule.GetDelete(),
		} {
			if path != "" {
				routes = append(routes, route{verb, path})
			}
		}
	}
	return routes
}

// operation is an operation of the document, with the method that it calls.
type operation struct {
	node   object
	method protoreflect.MethodDescriptor
	route
}

// setTexts names the operation after its method: updateParticipant, and
// updateParticipantInAccount where the path has the account. The comment of the
// method becomes the description.
func (o operation) setTexts() {
	name := string(o.method.Name())
	id, summary := strings.ToLower(name[:1])+name[1:], words(name)
	if strings.Contains(o.path, "{account_sid}") {
		id, summary = id+"InAccount", summary+" in an account"
	}
	paragraphs := []string{o.node["summary"].(string)}
	if rest, ok := o.node["description"].(string); ok {
		paragraphs = append(paragraphs, rest)
	}
	o.node["operationId"] = id
	o.node["summary"] = summary
	o.node["description"] = strings.Join(paragraphs, "\n\n")
}

// words returns a name in camel case as words: "Update participant".
func words(name string) string {
	var text strings.Builder
	for i, letter := range name {
		if i > 0 && unicode.IsUpper(letter) {
			text.WriteByte(' ')
			letter = unicode.ToLower(letter)
		}
		text.WriteRune(letter)
	}
	return text.String()
}

// completeParameters adds the rules and examples of the parameters, and the headers
// Grpc-Timeout and Idempotency-Key.
func (o operation) completeParameters() {
	fields := o.method.Input().Fields()
	parameters, _ := o.node["parameters"].([]any)
	for _, p := range parameters {
		parameter := p.(object)
		name := parameter["name"].(string)
		field := fields.ByName(protoreflect.Name(name))
		inPath := parameter["in"] == "path"
		constrain(at(parameter, "schema"), field, inPath)
		set(parameter, "example", examples[name], inPath)
	}
	parameters = append(parameters, object{
		"name":        "Grpc-Timeout",
		"in":          "header",
		"description": "The deadline, as in gRPC: 1 to 8 digits and a unit (`H`, `M`, `S`, `m`, `u`, `n`), such as `5S`.",
		"schema":      object{"type": "string", "pattern": "^[0-9]{1,8}[HMSmun]$"},
	})
	if fields.ByName("request_id") != nil {
		parameters = append(parameters, object{
			"name":        "Idempotency-Key",
			"in":          "header",
			"description": "The `request_id`, for clients that send it as a header.",
			"schema":      object{"type": "string", "format": "uuid"},
		})
	}
	o.node["parameters"] = parameters
}

// completeBody adds the rules and the example of the body, and refuses unknown
// members.
func (o operation) completeBody(schemas object) {
	if o.node["requestBody"] == nil {
		return
	}
	content := at(o.node, "requestBody", "content", "application/json")
	schema := at(content, "schema")
	example, ok := bodyExamples[o.method.Name()]
	set(content, "example", example, ok)
	constrainMessage(schemas, schema, o.method.Input())
}

// acceptShortEnumValues adds names without the enum's prefix to the enums of a request,
// because REST accepts them too.
func acceptShortEnumValues(schemas object, fields protoreflect.FieldDescriptors) {
	for i := range fields.Len() {
		enum := fields.Get(i).Enum()
		if enum == nil {
			continue
		}
		var short, full []any
		prefix := strings.TrimSuffix(string(enum.Values().ByNumber(0).Name()), "UNSPECIFIED")
		for j := range enum.Values().Len() {
			name := string(enum.Values().Get(j).Name())
			full = append(full, name)
			if j > 0 {
				short = append(short, strings.TrimPrefix(name, prefix))
			}
		}
		at(schemas, string(enum.FullName()))["enum"] = append(short, full...)
	}
}

// setErrors replaces the generator's response for all errors by one for each status
// with which the operation can end.
func (o operation) setErrors() {
	responses := at(o.node, "responses")
	delete(responses, "default")
	at(responses, "200")["headers"] = object{"Twilio-Request-Id": object{
		"description": "Twilio's ID of the request, for Twilio's support.",
		"schema":      object{"type": "string"},
	}}
	kinds := slices.DeleteFunc(slices.Clone(outcome.Table), func(k outcome.Kind) bool {
		return k.ChangesOnly && o.verb == "get"
	})
	for _, status := range statuses(kinds) {
		responses[strconv.Itoa(status)] = object{"$ref": "#/components/responses/" + responseName(status)}
	}
}
