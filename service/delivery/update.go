package delivery

import (
	"crypto/sha256"

	"conferenced/service/property"
	"conferenced/service/twilio"
)

// Update is one change of one participant on its way to Twilio.
type Update struct {
	// Account is where and as whom the update goes.
	Account *twilio.Account
	// Path names the participant.
	Path twilio.ParticipantPath
	// Change is what to change.
	Change *property.Values
	// Caller identifies the caller. Callers share limits and queues fairly, and each
	// has request ids of its own.
	Caller string
	// RequestID is the caller's idempotency key; empty: none.
	RequestID string
}

// Repeatable reports whether sending the update twice does the same as sending it
// once. An announcement is played again each time it is posted.
func (u *Update) Repeatable() bool { return !u.Change.Set().Has(property.AnnounceURL) }

// content returns the same for two updates exactly if they ask the same of the same
// participant.
func (u *Update) content() Content {
	return sha256.Sum256(twilio.AppendForm([]byte(u.Path.String()+"\n"), u.Change))
}

// queued returns what the participant's queue knows of the update.
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
