package twilio

import (
	"context"
	"net"

	"conferenced/service/twilio/wire"
)

// pending is a Client's [Pending].
type pending struct {
	ctx     context.Context // Which interrupts the connection.
	conn    *wire.Conn      // nil: Close was called, and it may serve another update.
	account *Account
}

func (p *pending) Answer() (*Answer, error) {
	if p.conn == nil {
		return nil, &TransportError{Sent: true, Err: net.ErrClosed}
	}
	a, err := p.conn.Receive()
	if err != nil {
		return nil, &TransportError{Sent: true, Reused: p.conn.Used(), Err: cause(p.ctx, err)}
	}
	id := requestID(a.Header)
	fail := func(reason string, err error) (*Answer, error) {
		return nil, &AnswerError{HTTPStatus: a.Status, RequestID: id, Reused: p.conn.Used(), Reason: reason, Err: err}
	}
	switch status := a.Status; {
	case status < 200, status >= 600:
		return fail("unexpected status", nil)
	case status >= 400:
		return nil, newError(a, p.account, p.conn.Used())
	case status >= 300:
		return fail("redirect not followed", nil)
	case a.BodyErr != nil:
		return fail("body cannot be read", cause(p.ctx, a.BodyErr))
	}
	participant, err := DecodeParticipant(a.Body)
	if err != nil {
		return fail("body is not a participant", err)
	}
	return &Answer{Participant: *participant, HTTPStatus: a.Status, RequestID: id, Reused: p.conn.Used()}, nil
}

func (p *pending) Resume(ctx context.Context) bool {
	if p.conn == nil || !p.conn.Resume(ctx) {
		return false
	}
	p.ctx = ctx
	return true
}

func (p *pending) Close() {
	if p.conn != nil {
		p.conn.Close()
		p.conn = nil
	}
}
