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

// Error is Twilio's answer with a 4xx or 5xx status. Only the status is
// certain: what comes from the body is there if the body is Twilio's JSON or
// XML, and absent if it is HTML, empty, cut short or over the limit.
type Error struct {
	HTTPStatus int
	// Code is Twilio's error code, such as 20404, or 0.
	Code int
	// Message is Twilio's text in printable characters, at most 500 of them
	// (and an ellipsis), or "". The user and password of a URL in it are
	// redacted, as are the account's own. It may hold a label, so Error()
	// leaves it out.
	Message string
	// MoreInfo is the URL of Twilio's page about the code, or "".
	MoreInfo string
	// RequestID is the Twilio-Request-Id header, or "".
	RequestID string
	// RetryAfter is how long the Retry-After header asks to wait, at most a
	// day. A date in it is taken relative to the answer's own Date header.
	RetryAfter time.Duration
	// HasRetryAfter tells a Retry-After of zero from none, or an unreadable
	// one.
	HasRetryAfter bool
	// Reused tells whether the request went over a connection used before.
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

// AnswerError is an answer that is neither a participant nor an [Error]: a 2xx
// without a participant that can be read, in which case the update was
// applied; a redirect, which is not followed; or a status that HTTP does not
// have.
type AnswerError struct {
	HTTPStatus int
	// RequestID is the Twilio-Request-Id header, or "".
	RequestID string
	// Reused tells whether the request went over a connection used before.
	Reused bool
	// Reason says what is wrong, in words of this package.
	Reason string
	// Err is the cause, or nil. Its text may quote the answer.
	Err error
}

// Error returns the status, the reason and the request id.
func (e *AnswerError) Error() string {
	return fmt.Sprintf("twilio: answer %d: %s%s", e.HTTPStatus, e.Reason, requestText(e.RequestID))
}

// Unwrap returns the cause. It is the context's error if and only if the
// call's context had ended.
func (e *AnswerError) Unwrap() error { return e.Err }

// TransportError says that no answer came.
type TransportError struct {
	// Sent is false only if it is certain that no byte of the request was or
	// will be written. This is established from the connection itself, never
	// from an error's text.
	Sent bool
	// Reused tells whether the request had a connection used before.
	Reused bool
	// Err is the cause. Its text may quote what the host sent.
	Err error
}

// Error returns whether the request was sent, and the kind of cause.
func (e *TransportError) Error() string {
	if e.Sent {
		return "twilio: no answer: " + reason(e.Err)
	}
	return "twilio: request not sent: " + reason(e.Err)
}

// Unwrap returns the cause. It is [context.Canceled] or
// [context.DeadlineExceeded] if and only if the call's context had ended; a
// limit of [Config] is a different error, with a Timeout method that returns
// true.
func (e *TransportError) Unwrap() error { return e.Err }

// RequestError says why the arguments of a call do not make a request. Nothing
// was sent.
type RequestError struct {
	// Reason says what is wrong, in words of this package.
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

// timeoutError is the end of a time limit other than the context's.
type timeoutError struct{}

func (timeoutError) Error() string { return "timeout" }

// Timeout returns true.
func (timeoutError) Timeout() bool { return true }

// cause returns what made a call with that context fail. The timeouts of net
// and net/http claim to be [context.DeadlineExceeded], so they are replaced
// unless the context really ended.
func cause(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return timeoutError{}
	}
	return err
}

// reason names the kind of err. It is a closed set of texts, because errors of
// net/http may quote a proxy's URL or bytes that the host sent.
func reason(err error) string {
	var (
		lookup      *net.DNSError
		certificate *tls.CertificateVerificationError
		errno       syscall.Errno
		timeout     interface{ Timeout() bool }
	)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err.Error()
	case errors.Is(err, wire.ErrProxySetting):
		return wire.ErrProxySetting.Error()
	case errors.Is(err, wire.ErrProxy):
		return wire.ErrProxy.Error()
	case errors.As(err, &lookup):
		return "name lookup failed"
	case errors.As(err, &certificate):
		return "certificate not trusted"
	case errors.Is(err, wire.ErrHandshake):
		return wire.ErrHandshake.Error()
	case errors.As(err, &errno):
		return errno.Error()
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed"
	}
	return "connection failed"
}
