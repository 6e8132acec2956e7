package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	"conferenced/service/outcome"
)

// errorResponses returns a response for each HTTP status of the outcome table, with
// the reasons that it can have. The example is the first of them.
func errorResponses() object {
	responses := object{}
	for _, status := range statuses(outcome.Table) {
		kinds := slices.DeleteFunc(slices.Clone(outcome.Table), func(k outcome.Kind) bool { return k.HTTP != status })
		response := object{
			"description": reasonsText(kinds),
			"content": object{"application/json": object{
				"schema":  object{"$ref": "#/components/schemas/google.rpc.Status"},
				"example": errorExample(kinds[0]),
			}},
		}
		if slices.ContainsFunc(kinds, func(k outcome.Kind) bool { return k.Retry > 0 }) {
			response["headers"] = object{"Retry-After": object{
				"description": "The seconds to wait before the call is repeated.",
				"schema":      object{"type": "integer", "minimum": 1},
			}}
		}
		responses[responseName(status)] = response
	}
	return responses
}

// describeDetails describes the members of google.rpc.ErrorInfo, which is the first
// detail of each error.
func describeDetails(schemas object) {
	detail := at(schemas, "google.rpc.Status", "properties", "details", "items")
	detail["required"] = []string{"@type"}
	properties := at(detail, "properties")
	properties["reason"] = object{"type": "string", "description": "In the first detail, a google.rpc.ErrorInfo: the outcome."}
	properties["metadata"] = object{
		"type": "object", "additionalProperties": object{"type": "string"},
		"description": "In the same detail: `applied`, which is `no`, `maybe` or `yes`, and facts of Twilio's answer.",
	}
}

// statuses returns the HTTP statuses of the kinds, in order.
func statuses(kinds []outcome.Kind) []int {
	var all []int
	for _, kind := range kinds {
		all = append(all, kind.HTTP)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// responseName returns the name of a status as one word, such as TooManyRequests.
func responseName(status int) string {
	if text := http.StatusText(status); text != "" {
		return strings.ReplaceAll(text, " ", "")
	}
	return "Status" + strconv.Itoa(status)
}

// reasonsText lists the reasons with their meaning, in Markdown.
func reasonsText(kinds []outcome.Kind) string {
	var lines []string
	for _, kind := range kinds {
		line := "- `" + kind.Reason + "`: " + kind.Text
		if kind.ChangesOnly {
			line += " (changes only)"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// errorExample returns the status that REST answers with, without details of a call.
func errorExample(kind outcome.Kind) json.RawMessage {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(kind.Err(outcome.Facts{}).GRPCStatus().Proto())
	if err != nil {
		panic(err) // All types of details are linked in.
	}
	return text
}
