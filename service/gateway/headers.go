package gateway

import (
	"context"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"conferenced/service/outcome"
)

const (
	idempotencyKeyHeader = "Idempotency-Key"
	grpcTimeoutHeader    = "Grpc-Timeout"
	twilioRequestID      = "Twilio-Request-Id"
)

// metadataHeaders become metadata of a call. No other header does.
var metadataHeaders = []string{"Authorization", "Traceparent", "Tracestate"}

// withMetadata returns the context of a call with metadata from the allowed headers.
func withMetadata(ctx context.Context, header http.Header) context.Context {
	md := metadata.MD{}
	for _, name := range metadataHeaders {
		if values := header.Values(name); len(values) > 0 {
			md[strings.ToLower(name)] = presentable(values)
		}
	}
	return metadata.NewIncomingContext(ctx, md)
}

// presentable returns values that are valid in metadata. It replaces an invalid value
// with "?" and does not drop it: without its Authorization header a call could be
// authenticated by its certificate instead.
func presentable(values []string) []string {
	for i, value := range values {
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
			values = slices.Clone(values)
			values[i] = "?"
		}
	}
	return values
}

// noHeader disables grpc-gateway's mapping of headers to metadata, and of metadata to
// trailers.
func noHeader(string) (string, bool) { return "", false }

// outgoingHeader maps metadata to headers of the answer.
func outgoingHeader(key string) (string, bool) {
	return twilioRequestID, textproto.CanonicalMIMEHeaderKey(key) == twilioRequestID
}

func setTwilioRequestID(w http.ResponseWriter, md metadata.MD) {
	for _, id := range md.Get(twilioRequestID) {
		w.Header().Set(twilioRequestID, id)
	}
}

// MaxHeaderBytes is the maximum HeaderSize of a call. The transports accept more, because
// over HTTP/2 they could only close the connection.
const MaxHeaderBytes = 16 << 10

// HeaderSize returns the size of headers or of metadata as HTTP/2 counts it.
func HeaderSize(header map[string][]string) int {
	const fieldOverhead = 32
	size := 0
	for name, values := range header {
		for _, value := range values {
			size += len(name) + len(value) + fieldOverhead
		}
	}
	return size
}

// checkEncoding refuses a body that is compressed.
func checkEncoding(header http.Header) *outcome.Error {
	const name, rule = "Content-Encoding", "is not supported: send the body uncompressed, without this header"
	for encoding := range strings.SplitSeq(strings.Join(header.Values(name), ","), ",") {
		if encoding = strings.TrimSpace(encoding); encoding != "" && !strings.EqualFold(encoding, "identity") {
			return outcome.UnsupportedMediaType.Err(outcome.Facts{
				Detail: ruleText(name, rule), Violations: []*violation{broken(name, rule)},
			})
		}
	}
	return nil
}

const differentValues = "is given more than once, with different values"

// checkTimeout applies gRPC's rule to Grpc-Timeout: a positive integer of at most
// eight digits, and a unit.
func checkTimeout(header http.Header) []*violation {
	value := header.Get(grpcTimeoutHeader)
	if slices.ContainsFunc(header.Values(grpcTimeoutHeader), func(other string) bool { return other != value }) {
		return []*violation{broken(grpcTimeoutHeader, differentValues)}
	}
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

// adoptIdempotencyKey sets the message's request_id to the value of the
// Idempotency-Key headers, which may be quoted.
func adoptIdempotencyKey(message proto.Message, keys []string) []*violation {
	if len(keys) == 0 {
		return nil
	}
	key := keys[0]
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	reflected := message.ProtoReflect()
	field := reflected.Descriptor().Fields().ByName("request_id")
	switch {
	case slices.ContainsFunc(keys, func(other string) bool { return !strings.EqualFold(other, keys[0]) }):
		return []*violation{broken(idempotencyKeyHeader, differentValues)}
	case key == "":
		return []*violation{broken(idempotencyKeyHeader, "is empty")}
	case field == nil:
		return []*violation{broken(idempotencyKeyHeader, "does not apply to this path")}
	}
	if given := reflected.Get(field).String(); given != "" && !strings.EqualFold(given, key) {
		return []*violation{broken("request_id", "differs from the Idempotency-Key header: give one of them, or the same in both")}
	}
	reflected.Set(field, protoreflect.ValueOfString(key))
	return nil
}
