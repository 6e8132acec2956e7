package delivery

import (
	"crypto/sha256"

	"conferenced/service/twilio"
)

// Update is one change of one participant on its way to Twilio.
type Update struct {
	// Account is where and as whom the update goes.
	Account *twilio.Account
	// Path names the participant.
	Path twilio.ParticipantPath
	// Change is what to change.
	Change *twilio.ParticipantUpdate
	// Caller is who asked. Callers share what is limited fairly, and each has
	// request ids of its own.
	Caller string
	// RequestID is the caller's idempotency key; empty: none.
	RequestID string
}

// Repeatable says whether sending the update twice does what sending it once
// does. An announcement is played again each time it is posted.
func (u *Update) Repeatable() bool { return u.Change.AnnounceURL == nil }

// content is the same for two updates exactly if they ask the same of the same
// participant.
func (u *Update) content() Content {
	text := u.Path.AppendURL(make([]byte, 0, 512))
	text = append(text, '\n')
	return sha256.Sum256(u.Change.AppendForm(text))
}

// participant is where the update stands in line.
func (u *Update) participant() Participant {
	return Participant{
		Conference: Conference{Account: u.Account.SID, SID: u.Path.ConferenceSID},
		Name:       u.Path.Participant,
	}
}

// properties are those that the update sets.
func (u *Update) properties() Properties {
	var set Properties
	for i, sets := range [...]bool{
		u.Change.Muted != nil,
		u.Change.Hold != nil,
		u.Change.HoldURL != nil,
		u.Change.HoldMethod != "",
		u.Change.AnnounceURL != nil,
		u.Change.AnnounceMethod != "",
		u.Change.WaitURL != nil,
		u.Change.WaitMethod != "",
		u.Change.BeepOnExit != nil,
		u.Change.EndConferenceOnExit != nil,
		u.Change.Coaching != nil,
		u.Change.CallSIDToCoach != nil,
	} {
		if sets {
			set |= 1 << i
		}
	}
	return set
}
