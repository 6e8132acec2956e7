package delivery

import (
	"crypto/sha256"

	"conferenced/service/twilio"
)

// Update is one change of one participant.
type Update struct {
	// Request is the request that makes the change.
	twilio.Request
	// Account is the Twilio account, with its host and credentials.
	Account *twilio.Account
	// Caller identifies the caller. Callers share limits and queues fairly, and each has
	// its own request IDs.
	Caller string
	// RequestID is the caller's idempotency key, or empty.
	RequestID string
}

// content returns equal digests for two updates if and only if they set the same
// properties of the same participant to the same values.
func (u *Update) content() Content {
	return sha256.Sum256(twilio.AppendForm([]byte(u.Path.String()+"\n"), u.Change))
}

// queued returns the part of the update that its queue needs.
func (u *Update) queued() Queued {
	return Queued{
		Participant: Participant{
			Conference: Conference{Account: u.Account.SID, SID: u.Path.ConferenceSID},
			Name:       u.Path.Participant,
		},
		Properties: u.Change.Set(),
		Caller:     u.Caller,
	}
}
