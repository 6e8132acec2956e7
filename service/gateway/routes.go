package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// route is a path of the API, as its google.api.http annotations have it.
type route struct {
	template []segment
	// methods are the HTTP methods of the path, in the order of the annotations.
	methods []string
	// input is the request message, which the body and the path fill.
	input protoreflect.MessageType
}

// segment is what stands between two slashes of a path template: a literal, or
// the name of the field that it fills.
type segment struct {
	literal  string
	variable string
}

// routesOf reads the routes of a service from its annotations. What this
// package could not serve faithfully is an error, not a surprise at run time.
func routesOf(service protoreflect.ServiceDescriptor) ([]*route, error) {
	byPath := map[string]*route{}
	var routes []*route
	for i := range service.Methods().Len() {
		method := service.Methods().Get(i)
		for _, rule := range bindings(method) {
			verb, path, err := pattern(rule)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", method.FullName(), err)
			}
			if byPath[path] == nil {
				added, err := newRoute(path, method.Input())
				if err != nil {
					return nil, fmt.Errorf("%s: %w", method.FullName(), err)
				}
				byPath[path] = added
				routes = append(routes, added)
			}
			byPath[path].methods = append(byPath[path].methods, verb)
		}
	}
	return routes, nil
}

func bindings(method protoreflect.MethodDescriptor) []*annotations.HttpRule {
	rule, _ := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
	if rule == nil {
		return nil
	}
	return append([]*annotations.HttpRule{rule}, rule.GetAdditionalBindings()...)
}

func pattern(rule *annotations.HttpRule) (method, path string, err error) {
	switch pattern := rule.GetPattern().(type) {
	case *annotations.HttpRule_Patch:
		method, path = http.MethodPatch, pattern.Patch
	case *annotations.HttpRule_Post:
		method, path = http.MethodPost, pattern.Post
	}
	if method == "" || rule.GetBody() != "*" {
		return "", "", errors.New(`a binding is not a PATCH or a POST with the body "*"`)
	}
	return method, path, nil
}

func newRoute(path string, input protoreflect.MessageDescriptor) (*route, error) {
	message, err := protoregistry.GlobalTypes.FindMessageByName(input.FullName())
	if err != nil {
		return nil, err
	}
	template, err := parseTemplate(path, input.Fields())
	if err != nil {
		return nil, fmt.Errorf("path %q: %w", path, err)
	}
	return &route{template: template, input: message}, nil
}

func parseTemplate(path string, fields protoreflect.FieldDescriptors) ([]segment, error) {
	var template []segment
	for text := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		name, isVariable := strings.CutPrefix(text, "{")
		name, _ = strings.CutSuffix(name, "}")
		switch {
		case !isVariable && !strings.ContainsAny(text, "*:{}"):
			template = append(template, segment{literal: text})
		case isVariable && fields.ByName(protoreflect.Name(name)) != nil:
			template = append(template, segment{variable: name})
		default:
			return nil, fmt.Errorf("the segment %q is neither a literal nor a field", text)
		}
	}
	return template, nil
}

// find returns the route of a path, or nil.
func find(routes []*route, path []string) *route {
	i := slices.IndexFunc(routes, func(r *route) bool { return r.matches(path) })
	if i < 0 {
		return nil
	}
	return routes[i]
}

func (r *route) matches(path []string) bool {
	return slices.EqualFunc(r.template, path, func(want segment, got string) bool {
		return want.variable != "" || want.literal == got
	})
}

// givesField says whether the path fills the field.
func (r *route) givesField(name string) bool {
	return slices.ContainsFunc(r.template, func(s segment) bool { return s.variable == name })
}

// checkPath returns what is wrong with the variables of a path that the route
// matches. What an id or a label looks like is the service's to say.
func (r *route) checkPath(path []string) []*violation {
	var violations []*violation
	for i, want := range r.template {
		switch value := path[i]; {
		case want.variable == "":
		case value == "":
			violations = append(violations, broken(want.variable, "is empty in the path"))
		case strings.Contains(value, "/"):
			violations = append(violations, broken(want.variable, "must have no /, not as %2F either: no SID or label has one"))
		case !utf8.ValidString(value):
			violations = append(violations, broken(want.variable, "must be percent-encoded UTF-8"))
		}
	}
	return violations
}

// splitPath splits a path at its slashes and decodes each segment once.
func splitPath(u *url.URL) []string { return splitEscaped(u.EscapedPath()) }

// splitEscaped does so for a path that is percent-encoded.
func splitEscaped(path string) []string {
	path, ok := strings.CutPrefix(path, "/")
	if !ok {
		return nil
	}
	segments := strings.Split(path, "/")
	for i, encoded := range segments {
		decoded, err := url.PathUnescape(encoded)
		if err != nil {
			return nil
		}
		segments[i] = decoded
	}
	return segments
}
