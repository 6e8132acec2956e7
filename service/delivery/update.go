package delivery

import (
	"crypto/sha256"

	"conferenced/service/property"
	"conferenced/service/twilio"
)

// Update is one change of one participant.
type Update struct {
	// Account is the Twilio account, with its host and credentials.
	Account *twilio.Account
	// Path identifies the participant.
	Path twilio.ParticipantPath
	// Change is the set of properties to change, with their new values.
	Change *property.Values
	// Caller identifies the caller. Callers share limits and queues fairly, and each has
	// its own request IDs.
	Caller string
	// RequestID is the caller's idempotency key, or empty.
	RequestID string
}

// Repeatable reports whether sending the update twice has the same effect as sending
// it once. An announcement is played again each time it is sent.
func (u *Update) Repeatable() bool { return !u.Change.Set().Has(property.AnnounceURL) }

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
