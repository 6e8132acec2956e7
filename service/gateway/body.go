package gateway

import (
	"errors"
	"io"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"conferenced/service/outcome"
)

// readBody reads a body that the outermost step has bounded.
func readBody(r *http.Request) ([]byte, *status.Status) {
	body, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return body, nil
	case errors.As(err, &tooLarge):
		return nil, outcome.RequestTooLarge.Status(outcome.Facts{})
	case r.Context().Err() != nil:
		return nil, outcome.Cancelled.Status(outcome.Facts{})
	default:
		return nil, invalid([]*violation{broken("", "the body could not be read to its end")})
	}
}

// decodedBody hands a decoded message through grpc-gateway, which wants to
// decode a body by itself.
type decodedBody struct {
	message proto.Message
}

func (*decodedBody) Read([]byte) (int, error) { return 0, io.EOF }

func (*decodedBody) Close() error { return nil }

// marshaler is what grpc-gateway decodes and encodes with.
type marshaler struct{}

// usualAnswer is a size that answers seldom exceed, in bytes.
const usualAnswer = 1 << 10

var errNoMessage = errors.New("gateway: not a message")

func (marshaler) ContentType(any) string { return "application/json" }

func (marshaler) Marshal(v any) ([]byte, error) {
	message, ok := v.(proto.Message)
	if !ok {
		return nil, errNoMessage
	}
	text, err := appendMessage(make([]byte, 0, usualAnswer), message.ProtoReflect())
	return append(text, '\n'), err
}

func (marshaler) Unmarshal([]byte, any) error { return errNoMessage }

func (marshaler) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		body, isDecoded := r.(*decodedBody)
		message, isMessage := v.(proto.Message)
		if !isDecoded || !isMessage {
			return errNoMessage
		}
		proto.Merge(message, body.message)
		return nil
	})
}

func (m marshaler) NewEncoder(w io.Writer) runtime.Encoder {
	return runtime.EncoderFunc(func(v any) error {
		text, err := m.Marshal(v)
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	})
}
