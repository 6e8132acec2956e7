package main

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/gen/openapi"
	"conferenced/service/outcome"
	"conferenced/service/sandbox"
)

// document returns the committed document.
func document(t *testing.T) object {
	t.Helper()
	var document object
	if err := json.Unmarshal(openapi.Document, &document); err != nil {
		t.Fatal(err)
	}
	return document
}

const pathOfDefaultAccount = "/v1/conferences/{conference_sid}/participants/{call_sid}"

func TestOperations(t *testing.T) {
	got := map[string]string{}
	for path, operations := range at(document(t), "paths") {
		for verb, operation := range operations.(object) {
			got[verb+" "+path] = operation.(object)["operationId"].(string)
		}
	}
	for operation, id := range map[string]string{
		"patch " + pathOfDefaultAccount: "updateParticipant",
		"patch /v1/accounts/{account_sid}/conferences/{conference_sid}/participants/{call_sid}": "updateParticipantInAccount",
	} {
		if got[operation] != id {
			t.Errorf("%s is %q, want %q", operation, got[operation], id)
		}
	}
	for operation := range got {
		if path, isPost := strings.CutPrefix(operation, "post "); isPost && got["patch "+path] != "" {
			t.Errorf("%s does the same as PATCH", operation)
		}
	}
}

// TestOutcomes: each operation has each reason that it can have in the response of its
// status.
func TestOutcomes(t *testing.T) {
	document := document(t)
	for path, operations := range at(document, "paths") {
		for verb, operation := range operations.(object) {
			for _, kind := range outcome.Table {
				if kind.ChangesOnly && verb == "get" {
					continue
				}
				response := at(operation.(object), "responses", strconv.Itoa(kind.HTTP))
				name := strings.TrimPrefix(response["$ref"].(string), "#/components/responses/")
				text := at(document, "components", "responses", name)["description"].(string)
				if !strings.Contains(text, "`"+kind.Reason+"`: "+kind.Text) {
					t.Errorf("%s %s: %s is not in the response %d", verb, path, kind.Reason, kind.HTTP)
				}
			}
		}
	}
}

// TestTimeout: clients that are generated from the document can set a deadline.
func TestTimeout(t *testing.T) {
	for path, item := range at(document(t), "paths") {
		for verb := range item.(object) {
			found := slices.ContainsFunc(at(item.(object), verb)["parameters"].([]any), func(p any) bool {
				return p.(object)["name"] == "Grpc-Timeout" && allowed(t, at(p.(object), "schema"), "5S") && !allowed(t, at(p.(object), "schema"), "5s")
			})
			if !found {
				t.Errorf("%s %s has no Grpc-Timeout", verb, path)
			}
		}
	}
}

// TestRules compares what the schema of each field allows with what the service
// accepts.
func TestRules(t *testing.T) {
	operation := at(document(t), "paths", pathOfDefaultAccount, "patch")
	content := at(operation, "requestBody", "content", "application/json")
	if at(content, "schema")["additionalProperties"] != false {
		t.Error("the body may have unknown members")
	}
	schemas := maps.Clone(at(content, "schema", "properties"))
	for _, p := range operation["parameters"].([]any) {
		if parameter := p.(object); parameter["in"] == "path" {
			schemas[parameter["name"].(string)] = parameter["schema"]
		}
	}
	url := []string{
		"", "silence", "/a.mp3", "ftp://h.example/", "https://h.example/a.mp3#rc=2", "HTTP://u:p@h.example:80",
		"https://[::1]:8443/", "https://?a", "https://h.example/" + strings.Repeat("a", 4000),
	}
	values := map[string][]string{
		"account_sid":       {"", "AC1", sandbox.AccountSID, sandbox.ConferenceSID, sandbox.AccountSID + "0"},
		"conference_sid":    {"", sandbox.AccountSID, sandbox.ConferenceSID, sandbox.ConferenceSID + "\n"},
		"call_sid":          {"", "a", "front desk", "a/b", strings.Repeat("é", 128), strings.Repeat("é", 129)},
		"call_sid_to_coach": {"", "agent", sandbox.AgentSID},
		"hold_url":          url, "announce_url": url, "wait_url": url,
	}
	for field, values := range values {
		for _, value := range values {
			if got, want := allowed(t, schemas[field].(object), value), accepted(field, value); got != want {
				t.Errorf("%s: %.60q: the schema allows it: %t; the service accepts it: %t", field, value, got, want)
			}
		}
	}
	for field, format := range map[string]string{"request_id": "uuid", "hold_url": "uri", "announce_url": "uri"} {
		if got := at(schemas, field)["format"]; got != format {
			t.Errorf("the format of %s is %v", field, got)
		}
	}
}

// allowed reports whether a schema allows a string, apart from its format.
func allowed(t *testing.T, schema object, value string) bool {
	t.Helper()
	if pattern, ok := schema["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(value) {
		return false
	}
	length := float64(utf8.RuneCountInString(value))
	least, _ := schema["minLength"].(float64)
	most, hasMost := schema["maxLength"].(float64)
	return length >= least && (!hasMost || length <= most)
}

// accepted reports whether the service accepts a request with this value.
func accepted(field, value string) bool {
	request := &conferencev1.UpdateParticipantRequest{
		ConferenceSid: sandbox.ConferenceSID, CallSid: sandbox.CustomerSID, Muted: proto.Bool(true),
	}
	message := request.ProtoReflect()
	message.Set(message.Descriptor().Fields().ByName(protoreflect.Name(field)), protoreflect.ValueOfString(value))
	return protovalidate.Validate(request) == nil
}

// TestEnum: REST accepts the names with and without their prefix.
func TestEnum(t *testing.T) {
	enum := at(document(t), "components", "schemas", "conference.v1.HttpMethod")["enum"].([]any)
	for _, name := range []string{"GET", "POST", "HTTP_METHOD_GET", "HTTP_METHOD_POST"} {
		if !slices.Contains(enum, any(name)) {
			t.Errorf("%s is not in %v", name, enum)
		}
	}
}
