package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"buf.build/go/protovalidate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/delivery"
	"conferenced/service/outcome"
	"conferenced/service/sids"
	"conferenced/service/twilio"
)

// Validate returns the interceptor that refuses requests which break a rule of the
// API. It compiles the rules, so that the first request does not have to.
func Validate() (grpc.UnaryServerInterceptor, error) {
	validator, err := protovalidate.New(protovalidate.WithMessageDescriptors(requests()...))
	if err != nil {
		return nil, fmt.Errorf("compile the rules of the API: %w", err)
	}
	return func(
		ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (any, error) {
		if message, ok := request.(proto.Message); ok {
			if err := validator.Validate(message); err != nil {
				return nil, invalid(err)
			}
		}
		return handler(ctx, request)
	}, nil
}

// requests returns the requests of all methods.
func requests() []protoreflect.MessageDescriptor {
	services := conferencev1.File_conference_v1_conference_service_proto.Services()
	methods := services.ByName("ConferenceService").Methods()
	requests := make([]protoreflect.MessageDescriptor, methods.Len())
	for i := range requests {
		requests[i] = methods.Get(i).Input()
	}
	return requests
}

func invalid(err error) *outcome.Error {
	var broken *protovalidate.ValidationError
	if !errors.As(err, &broken) {
		return outcome.Internal.Err(outcome.Facts{Cause: err})
	}
	var violations []*errdetails.BadRequest_FieldViolation
	for _, violation := range broken.Violations {
		field := fieldOf(violation)
		violations = append(violations, &errdetails.BadRequest_FieldViolation{
			Field: field, Description: ruleOf(field, violation),
		})
	}
	return refusal(violations...)
}

// refusal returns the outcome of a request with fields that violate rules.
func refusal(violations ...*errdetails.BadRequest_FieldViolation) *outcome.Error {
	var facts outcome.Facts
	var texts []string
	for _, violation := range violations {
		text := violation.GetField() + ": " + violation.GetDescription()
		if slices.Contains(texts, text) {
			continue // Several rules describe a URL.
		}
		facts.Violations = append(facts.Violations, violation)
		texts = append(texts, text)
	}
	facts.Detail = strings.Join(texts, "; ")
	return outcome.InvalidRequest.Err(facts)
}

// fieldOf returns the path of a violation's field. The path of a rule of a whole message
// does not have the field: the rule's id begins with its name.
func fieldOf(violation *protovalidate.Violation) string {
	path := protovalidate.FieldPathString(violation.Proto.GetField())
	if field, _, ok := strings.Cut(violation.Proto.GetRuleId(), "_needs_"); ok {
		return strings.TrimPrefix(path+"."+field, ".")
	}
	return path
}

// nameOf returns the last name in the path of a field, without an index.
func nameOf(field string) string {
	field, _, _ = strings.Cut(field[strings.LastIndexByte(field, '.')+1:], "[")
	return field
}

// patterns describes the rules that have no message for people.
var patterns = map[string]string{
	"hold_url":          "must be an absolute http or https URL",
	"announce_url":      "must be an absolute http or https URL",
	"wait_url":          "must be an absolute http or https URL, or empty to play nothing",
	"account_sid":       "must be AC and 32 hexadecimal digits",
	"call_sid":          "must not contain a /",
	"participants":      "must not contain a /",
	"except":            "must not contain a /",
	"call_sid_to_coach": "must be CA and 32 hexadecimal digits: a Call SID, not a label",
}

// maxNameLength is the maximum of a friendly name's characters.
const maxNameLength = 128

// conferenceProblem returns the rule that a conference_sid breaks, or "".
func conferenceProblem(text string) string {
	name, isName := strings.CutPrefix(text, delivery.NamePrefix)
	switch {
	case !isName && !sids.IsConference(text):
		return "must be CF and 32 hexadecimal digits, or name: and a conference's friendly name"
	case isName && name == "":
		return "must have a conference's friendly name after name:"
	case strings.Contains(name, "/"):
		return "must not contain a /, which a path cannot have within a name"
	case utf8.RuneCountInString(name) > maxNameLength:
		return fmt.Sprintf("must be a friendly name of at most %d characters", maxNameLength)
	}
	return ""
}

// checkPath returns the outcome of a request whose path breaks a rule of the API's fields.
func checkPath(request *twilio.Request) error {
	var violations []*errdetails.BadRequest_FieldViolation
	add := func(field, problem string) {
		violations = append(violations, &errdetails.BadRequest_FieldViolation{Field: field, Description: problem})
	}
	if !sids.IsAccount(request.Path.AccountSID) {
		add("account_sid", patterns["account_sid"])
	}
	if problem := conferenceProblem(request.Path.ConferenceSID); problem != "" && request.Operation != twilio.ListConferences {
		add("conference_sid", problem)
	}
	if len(violations) > 0 {
		return refusal(violations...)
	}
	return nil
}

// ruleOf describes the rule that a violation breaks, without the field's value.
func ruleOf(field string, violation *protovalidate.Violation) string {
	switch violation.Proto.GetRuleId() {
	case "string.uri", "string.uri_empty", "wait_url", "string.pattern", "string.not_contains":
		if field == "conference_sid" {
			return conferenceProblem(violation.FieldValue.String())
		}
		if problem := urlProblem(violation.FieldValue.String()); problem != "" {
			return problem
		}
		return patterns[nameOf(field)]
	}
	return violation.Proto.GetMessage()
}
