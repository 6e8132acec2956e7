package gateway

import (
	"iter"
	"mime"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/property"
)

const formType = "application/x-www-form-urlencoded"

// readForm returns the body, and refuses one whose Content-Type is not that of a form. A
// body without a Content-Type counts as a form.
func (b *requestBody) readForm(contentType string) string {
	body := b.readAll()
	if mediaType, _, err := mime.ParseMediaType(contentType); contentType != "" && len(body) > 0 &&
		(err != nil || mediaType != formType) {
		b.refuseInvalid([]*violation{broken("", "the body must be a form, of the type "+formType)})
		return ""
	}
	return string(body)
}

// formFields maps the keys of Twilio's form to the fields of a request.
var formFields = func() map[string]protoreflect.FieldDescriptor {
	byKey := map[string]protoreflect.FieldDescriptor{}
	fields := new(conferencev1.UpdateParticipantRequest).ProtoReflect().Descriptor().Fields()
	for p := range property.All.Each() {
		byKey[p.FormKey()] = fields.ByName(protoreflect.Name(p.String()))
	}
	return byKey
}()

// twilioName returns Twilio's name for a field of a request: HoldUrl for hold_url.
func twilioName(field string) string {
	if p, ok := property.Parse(field); ok {
		return p.FormKey()
	}
	switch field {
	case "account_sid":
		return "AccountSid"
	case "conference_sid":
		return "ConferenceSid"
	case "call_sid":
		return "CallSid"
	case "request_id":
		return idempotencyKeyHeader
	default:
		return field
	}
}

// decodeForm reads a form as Twilio does: the first of several values of a field is
// used, a semicolon has no special meaning, and unknown fields are ignored. A value
// that is not percent-encoded UTF-8 is a violation.
func decodeForm(form string) (*conferencev1.UpdateParticipantRequest, ignoredFields, []*violation) {
	request := new(conferencev1.UpdateParticipantRequest)
	var ignored ignoredFields
	var violations []*violation
	seen := map[string]bool{}
	for name, encoded := range pairs(form) {
		if seen[name] {
			continue
		}
		seen[name] = true
		field := formFields[name]
		if field == nil {
			ignored.add(name)
			continue
		}
		value, ok := decoded(encoded)
		if !ok {
			violations = append(violations, broken(string(field.Name()), notEncoded))
		} else if !setFromForm(request.ProtoReflect(), field, value) {
			violations = append(violations, broken(string(field.Name()), "must be GET or POST"))
		}
	}
	return request, ignored, violations
}

// decodeQuery returns the values of the known keys of a query, and the unknown keys. It
// reads the query as decodeForm reads a form.
func decodeQuery(query string, known []string) (url.Values, ignoredFields, []*violation) {
	values := url.Values{}
	var ignored ignoredFields
	var violations []*violation
	for key, encoded := range pairs(query) {
		value, ok := decoded(encoded)
		switch {
		case !slices.Contains(known, key):
			ignored.add(key)
		case values.Has(key):
		case !ok:
			violations = append(violations, broken(key, notEncoded))
		default:
			values.Set(key, value)
		}
	}
	return values, ignored, violations
}

// pairs returns the names in a form, decoded, and their encoded values.
func pairs(form string) iter.Seq2[string, string] {
	return func(yield func(name, encoded string) bool) {
		for pair := range strings.SplitSeq(form, "&") {
			name, encoded, _ := strings.Cut(pair, "=")
			if pair != "" && !yield(unescaped(name), encoded) {
				return
			}
		}
	}
}

const notEncoded = "must be percent-encoded UTF-8, with %25 for a percent sign"

// decoded returns a value of a form, and whether it is percent-encoded UTF-8.
func decoded(encoded string) (value string, ok bool) {
	value, err := url.QueryUnescape(encoded)
	return value, err == nil && utf8.ValidString(value)
}

// unescaped decodes a percent-encoded name, and returns any other text unchanged.
func unescaped(text string) string {
	if name, err := url.QueryUnescape(text); err == nil {
		return name
	}
	return text
}

// setFromForm sets a field as Twilio reads it, and reports whether the value is
// valid. A boolean other than true is false. An empty AnnounceUrl or CallSidToCoach
// has no effect at Twilio, so neither is set; an empty WaitUrl is a value.
func setFromForm(request protoreflect.Message, field protoreflect.FieldDescriptor, value string) bool {
	switch {
	case field.Kind() == protoreflect.BoolKind:
		request.Set(field, protoreflect.ValueOfBool(strings.EqualFold(value, "true")))
	case field.Enum() != nil:
		known := enumValue(strings.ToUpper(value), field.Enum())
		if known == nil {
			return false
		}
		request.Set(field, protoreflect.ValueOfEnum(known.Number()))
	case value != "" || field.Name() != "announce_url" && field.Name() != "call_sid_to_coach":
		request.Set(field, protoreflect.ValueOfString(value))
	}
	return true
}

// maxIgnoredNames is the maximum number of names of ignored fields kept for the log.
const maxIgnoredNames = 8

// ignoredFields are the fields of a form or a query that the API does not have.
type ignoredFields struct {
	count int
	names []string // The first names for which isFieldName holds.
}

func (f *ignoredFields) add(name string) {
	f.count++
	if isFieldName(name) && len(f.names) < maxIgnoredNames {
		f.names = append(f.names, name)
	}
}

// isFieldName reports whether the text has the syntax of Twilio's or the API's field
// names: 1 to 40 letters and underscores. It keeps values that were sent as names out
// of the log: tokens and SIDs have digits.
func isFieldName(text string) bool {
	const maxLen = 40
	for _, c := range []byte(text) {
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return text != "" && len(text) <= maxLen
}
