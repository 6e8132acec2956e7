package gateway

import (
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/status"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/outcome"
)

const formType = "application/x-www-form-urlencoded"

// readForm reads a body that the outermost step has bounded. One without a type
// counts as a form.
func readForm(r *http.Request) (url.Values, *status.Status) {
	body, refusal := readBody(r)
	if refusal != nil {
		return nil, refusal
	}
	if declared := r.Header.Get("Content-Type"); declared != "" && len(body) > 0 {
		mediaType, _, err := mime.ParseMediaType(declared)
		if err != nil || mediaType != formType {
			return nil, invalidForm([]*violation{broken("", "the body must be a form, of the type "+formType)})
		}
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, invalidForm([]*violation{broken("", "the body is not a readable form")})
	}
	return form, nil
}

// invalidForm is the refusal of a request that breaks rules. Its message has all
// of them, for in Twilio's form there are no details.
func invalidForm(violations []*violation) *status.Status {
	violations = violations[:min(len(violations), maxViolations)]
	var texts []string
	for _, v := range violations {
		texts = append(texts, strings.TrimSpace(v.GetField()+" "+v.GetDescription()))
	}
	return outcome.InvalidRequest.Status(outcome.Facts{
		Detail:     strings.Join(texts, "; "),
		Violations: violations,
	})
}

// decodeForm reads Twilio's fields as Twilio does: of several values of a field
// the first counts, and fields that Twilio does not have are ignored. An empty
// AnnounceUrl announces nothing and an empty CallSidToCoach names nobody, so both
// are as if they were not there; an empty WaitUrl is a value.
func decodeForm(form url.Values) (*conferencev1.UpdateParticipantRequest, ignoredFields, []*violation) {
	f := formReader{form: form, rest: maps.Clone(form)}
	request := &conferencev1.UpdateParticipantRequest{
		Muted:               f.flag("Muted"),
		Hold:                f.flag("Hold"),
		HoldUrl:             f.text("HoldUrl"),
		HoldMethod:          f.method("HoldMethod"),
		AnnounceUrl:         f.textUnlessEmpty("AnnounceUrl"),
		AnnounceMethod:      f.method("AnnounceMethod"),
		WaitUrl:             f.text("WaitUrl"),
		WaitMethod:          f.method("WaitMethod"),
		BeepOnExit:          f.flag("BeepOnExit"),
		EndConferenceOnExit: f.flag("EndConferenceOnExit"),
		Coaching:            f.flag("Coaching"),
		CallSidToCoach:      f.textUnlessEmpty("CallSidToCoach"),
	}
	return request, newIgnoredFields(f.rest), f.violations
}

// formReader takes fields out of a form.
type formReader struct {
	form       url.Values
	rest       url.Values // What was not asked for yet.
	violations []*violation
}

func (f *formReader) value(name string) (string, bool) {
	delete(f.rest, name)
	return f.form.Get(name), f.form.Has(name)
}

// flag follows Twilio's rule for Muted: what is neither true nor false is false.
func (f *formReader) flag(name string) *bool {
	value, ok := f.value(name)
	if !ok {
		return nil
	}
	isTrue := strings.EqualFold(value, "true")
	return &isTrue
}

func (f *formReader) text(name string) *string {
	value, ok := f.value(name)
	if !ok {
		return nil
	}
	if !utf8.ValidString(value) {
		f.violations = append(f.violations, broken(name, "must be percent-encoded UTF-8"))
	}
	return &value
}

func (f *formReader) textUnlessEmpty(name string) *string {
	if value := f.text(name); value != nil && *value != "" {
		return value
	}
	return nil
}

func (f *formReader) method(name string) conferencev1.HttpMethod {
	value, ok := f.value(name)
	switch {
	case !ok:
		return conferencev1.HttpMethod_HTTP_METHOD_UNSPECIFIED
	case strings.EqualFold(value, http.MethodGet):
		return conferencev1.HttpMethod_HTTP_METHOD_GET
	case strings.EqualFold(value, http.MethodPost):
		return conferencev1.HttpMethod_HTTP_METHOD_POST
	}
	f.violations = append(f.violations, broken(name, "must be GET or POST"))
	return conferencev1.HttpMethod_HTTP_METHOD_UNSPECIFIED
}

// maxIgnoredNames is how many names of ignored fields are kept for the log.
const maxIgnoredNames = 8

// ignoredFields are the fields of a form that the API does not have.
type ignoredFields struct {
	count int
	// names are some of theirs, in order: those that look like names, and not like
	// a value that got into the place of one.
	names []string
}

func newIgnoredFields(rest url.Values) ignoredFields {
	ignored := ignoredFields{count: len(rest)}
	for _, name := range slices.Sorted(maps.Keys(rest)) {
		if isFieldName(name) && len(ignored.names) < maxIgnoredNames {
			ignored.names = append(ignored.names, name)
		}
	}
	return ignored
}

// isFieldName says whether the text has the form of Twilio's names or the API's:
// up to 40 letters and underscores. Tokens and SIDs have digits.
func isFieldName(text string) bool {
	const maxLen = 40
	for _, c := range []byte(text) {
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return text != "" && len(text) <= maxLen
}
