package twilio

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"conferenced/service/twilio/wire"
)

// Error is an answer with a 4xx or 5xx status. The fields from its body are set if
// the body is Twilio's JSON or XML, and not if it is HTML, empty, truncated or over
// the limit.
type Error struct {
	HTTPStatus int
	// Code is Twilio's error code, such as 20404, or 0.
	Code int
	// Message is Twilio's text, or "": at most 500 printable characters (and an
	// ellipsis), in which the account's credentials and the userinfo of URLs are
	// redacted. It may contain a label, so Error() omits it.
	Message string
	// MoreInfo is the URL of Twilio's page about the code, or "".
	MoreInfo string
	// RequestID is the Twilio-Request-Id header, or "".
	RequestID string
	// RetryAfter is the Retry-After header, at most a day. A date in it is taken
	// relative to the answer's own Date header.
	RetryAfter time.Duration
	// HasRetryAfter is whether the answer has a valid Retry-After header.
	HasRetryAfter bool
	// Concurrent is the Twilio-Concurrent-Requests header, or 0; see [Answer].
	Concurrent int
	// Reused is whether the request went over a connection used before.
	Reused bool
}

// Error returns the status, the code and the request id.
func (e *Error) Error() string {
	code := ""
	if e.Code != 0 {
		code = fmt.Sprintf(", code %d", e.Code)
	}
	return fmt.Sprintf("twilio: answer %d%s%s", e.HTTPStatus, code, requestText(e.RequestID))
}

// AnswerError is an answer that is neither an [Answer] nor an [Error]: a redirect,
// which is not followed; a status that HTTP does not have; or a 2xx. After a 2xx that
// cannot be read, the change was applied. After an answer about another participant, it
// is not known whether the change was applied.
type AnswerError struct {
	HTTPStatus int
	// RequestID is the Twilio-Request-Id header, or "".
	RequestID string
	// Reused is whether the request went over a connection used before.
	Reused bool
	// Foreign is whether the answer is about another account, conference, participant or
	// list, and so most likely the answer to another request.
	Foreign bool
	// Interrupted is whether the connection broke, or the context ended, before the end
	// of the answer.
	Interrupted bool
	// Reason says what is wrong. It is one of this package's texts.
	Reason string
	// Err is the cause, or nil. Its text may quote the answer.
	Err error
}

// Error returns the status, the reason and the request id.
func (e *AnswerError) Error() string {
	return fmt.Sprintf("twilio: answer %d: %s%s", e.HTTPStatus, e.Reason, requestText(e.RequestID))
}

// Unwrap returns the cause. It is [context.Cause] of the call's context if the context
// ended before the answer.
func (e *AnswerError) Unwrap() error { return e.Err }

func isForeign(err error) bool {
	answer, ok := errors.AsType[*AnswerError](err)
	return ok && answer.Foreign
}

// TransportError says that no answer came.
type TransportError struct {
	// Sent is whether any byte of the request was written. It is counted at the
	// connection, not concluded from an error.
	Sent bool
	// Reused is whether the request had a connection used before.
	Reused bool
	// Err is the cause.
	Err error
}

// newTransportError returns the error of a wire.Transport.
func newTransportError(err error) *TransportError {
	failed, _ := errors.AsType[*wire.Error](err) // Every error of RoundTrip is one.
	return &TransportError{Sent: failed.Sent, Reused: failed.Reused, Err: failed.Err}
}

// Error returns whether the request was sent, and the kind of the cause.
func (e *TransportError) Error() string {
	if e.Sent {
		return "twilio: no answer: " + reason(e.Err)
	}
	return "twilio: request not sent: " + reason(e.Err)
}

// Unwrap returns the cause: [context.Cause] of the call's context if the context had
// ended, the permit's error, or [os.ErrDeadlineExceeded] if AnswerTimeout or the limit of
// 5 s for making a connection was reached.
func (e *TransportError) Unwrap() error { return e.Err }

// RequestError reports arguments from which no request can be built. Nothing was
// sent.
type RequestError struct {
	// Reason says what is wrong. It is one of this package's texts.
	Reason string
}

// Error returns the reason.
func (e *RequestError) Error() string { return "twilio: " + e.Reason }

func requestText(id string) string {
	if id == "" {
		return ""
	}
	return " (request " + id + ")"
}

// reason returns the kind of err. It is one of a fixed set of texts, because the
// texts of errors contain addresses and host names.
func reason(err error) string {
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, wire.ErrProxySetting, wire.ErrProxy} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "name lookup failed"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "certificate not trusted"
	}
	for _, known := range []error{wire.ErrTLSHandshake, wire.ErrUnsolicited, wire.ErrMalformed, wire.ErrTooLarge} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	switch timeout, ok := errors.AsType[net.Error](err); {
	case ok && timeout.Timeout():
		return "timeout"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed"
	}
	return "connection failed"
}
