package gateway

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	conferencev1 "conferenced/gen/conference/v1"
)

// queryRequests are the requests whose fields are in the path and the query, by HTTP
// method and path pattern. The other routes take fields from a body.
var queryRequests = func() map[string]protoreflect.MessageDescriptor {
	requests := map[string]protoreflect.MessageDescriptor{}
	methods := conferencev1.File_conference_v1_conference_service_proto.Services().Get(0).Methods()
	for i := range methods.Len() {
		rule := proto.GetExtension(methods.Get(i).Options(), annotations.E_Http).(*annotations.HttpRule)
		for _, route := range append([]*annotations.HttpRule{rule}, rule.GetAdditionalBindings()...) {
			requests[http.MethodGet+" "+route.GetGet()] = methods.Get(i).Input()
			requests[http.MethodDelete+" "+route.GetDelete()] = methods.Get(i).Input()
		}
	}
	return requests
}()

// queryRequest returns the request of the route if its fields are in the query, or nil.
func queryRequest(r *http.Request) protoreflect.MessageDescriptor {
	if r.Method != http.MethodGet && r.Method != http.MethodDelete {
		return nil
	}
	pattern, _ := runtime.HTTPPattern(r.Context())
	return queryRequests[r.Method+" "+strings.ReplaceAll(pattern.String(), "=*}", "}")]
}

// checkQuery returns the violations of a query string. It has fields of the request, or
// no field if the request is nil, because its fields are in the body.
func checkQuery(r *http.Request, request protoreflect.MessageDescriptor, path map[string]string) []*violation {
	if request != nil && hasBody(r) {
		return []*violation{broken("", "the request has a body: a "+r.Method+" takes fields in its query string only")}
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return []*violation{broken("", "the query string must be percent-encoded, with %25 for a percent sign and %3B for a semicolon")}
	}
	s := scan{path: path}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if len(s.violations) == maxViolations {
			break
		}
		if request == nil {
			s.add(shownName(name), "is in the query string: properties belong in the body")
		} else {
			s.parameter(name, query[name], request.Fields())
		}
	}
	return s.violations
}

// hasBody reports whether the request has a body of at least one byte. It reads the byte,
// because a chunked body has no Content-Length.
func hasBody(r *http.Request) bool {
	_, err := io.ReadFull(r.Body, make([]byte, 1))
	return !errors.Is(err, io.EOF)
}

// parameter adds the violations of a parameter of a query.
func (s *scan) parameter(name string, values []string, fields protoreflect.FieldDescriptors) {
	_, inPath := s.path[name]
	switch field := fields.ByName(protoreflect.Name(name)); {
	case field == nil:
		s.add(shownName(name), "is no field of the request"+s.suggestion(name, fields))
	case inPath:
		s.add(name, "is given by the path and may not be in the query too")
	case len(values) > 1:
		s.add(name, "is given more than once")
	case !isParameter(values[0], field):
		s.add(name, "must be "+wanted(field))
	}
}

// isParameter reports whether the text is a value of the field in a query.
func isParameter(text string, field protoreflect.FieldDescriptor) bool {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return text == "true" || text == "false"
	case protoreflect.Int32Kind:
		_, err := strconv.ParseInt(text, 10, 32)
		return err == nil
	case protoreflect.StringKind:
		return utf8.ValidString(text)
	default:
		return false
	}
}

// adoptKeyInQuery returns the query with the Idempotency-Key headers as its request_id.
func adoptKeyInQuery(
	u *url.URL, request protoreflect.MessageDescriptor, keys []string,
) (query string, violations []*violation) {
	if len(keys) == 0 {
		return u.RawQuery, nil
	}
	message := dynamicpb.NewMessage(request)
	field, parameters := request.Fields().ByName("request_id"), u.Query()
	if field != nil {
		message.Set(field, protoreflect.ValueOfString(parameters.Get("request_id")))
	}
	if violations = adoptIdempotencyKey(message, keys); len(violations) > 0 {
		return "", violations
	}
	parameters.Set("request_id", message.Get(field).String())
	return parameters.Encode(), nil
}
