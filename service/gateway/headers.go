package gateway

import (
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The headers that are looked at by name.
const (
	idempotencyKeyHeader = "Idempotency-Key"
	grpcTimeoutHeader    = "Grpc-Timeout"
	twilioRequestID      = "Twilio-Request-Id"
)

// forwardedHeaders are those that grpc-gateway gets to see. It turns
// Authorization into metadata and Grpc-Timeout into a deadline by itself.
var forwardedHeaders = []string{"Authorization", "Traceparent", "Tracestate", grpcTimeoutHeader}

func allowedHeaders(from http.Header) http.Header {
	allowed := http.Header{}
	for _, name := range forwardedHeaders {
		if values := from[name]; len(values) > 0 {
			allowed[name] = values
		}
	}
	if values, ok := allowed["Authorization"]; ok {
		allowed["Authorization"] = presentable(values)
	}
	return allowed
}

// presentable are the values as metadata can hold them. One with other
// characters must not get lost: the call would be one without authorization, for
// which a certificate might speak.
func presentable(values []string) []string {
	for i, value := range values {
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
			values = slices.Clone(values)
			values[i] = "?"
		}
	}
	return values
}

// incomingHeader names the headers that become metadata besides Authorization.
func incomingHeader(name string) (string, bool) {
	switch name {
	case "Traceparent", "Tracestate":
		return strings.ToLower(name), true
	default:
		return "", false
	}
}

// outgoingHeader names the metadata that becomes a header.
func outgoingHeader(key string) (string, bool) {
	return twilioRequestID, textproto.CanonicalMIMEHeaderKey(key) == twilioRequestID
}

func noTrailer(string) (string, bool) { return "", false }

// checkQuery refuses a query string, which grpc-gateway would overlook on a
// route that has a body.
func checkQuery(u *url.URL) []*violation {
	if u.RawQuery == "" {
		return nil
	}
	return []*violation{broken("", "the path has a query string: properties belong in the body")}
}

// checkTimeout holds Grpc-Timeout to gRPC's own rule: a positive integer of at
// most eight digits and a unit.
func checkTimeout(header http.Header) []*violation {
	value := header.Get(grpcTimeoutHeader)
	if value == "" {
		return nil
	}
	digits, unit := value[:len(value)-1], value[len(value)-1]
	amount, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || amount == 0 || len(digits) > 8 || strings.IndexByte("HMSmun", unit) < 0 {
		return []*violation{broken(grpcTimeoutHeader, "must be 1 to 8 digits, not zero, and a unit: H, M, S, m, u or n")}
	}
	return nil
}

// adoptIdempotencyKey fills the message's request_id from the Idempotency-Key
// header. The header's value may stand in quotes.
func adoptIdempotencyKey(message proto.Message, header http.Header) []*violation {
	keys := header.Values(idempotencyKeyHeader)
	if len(keys) == 0 {
		return nil
	}
	for _, other := range keys[1:] {
		if other != keys[0] {
			return []*violation{broken(idempotencyKeyHeader, "is given more than once, with different values")}
		}
	}
	key := unquoted(keys[0])
	if key == "" {
		return []*violation{broken(idempotencyKeyHeader, "is empty")}
	}
	return setRequestID(message.ProtoReflect(), key)
}

func unquoted(value string) string {
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		return value[1 : len(value)-1]
	}
	return value
}

func setRequestID(message protoreflect.Message, key string) []*violation {
	field := message.Descriptor().Fields().ByName("request_id")
	if field == nil {
		return []*violation{broken(idempotencyKeyHeader, "does not apply to this path")}
	}
	if given := message.Get(field).String(); given != "" && given != key {
		return []*violation{broken("request_id", "differs from the Idempotency-Key header: give one of them, or the same in both")}
	}
	message.Set(field, protoreflect.ValueOfString(key))
	return nil
}
