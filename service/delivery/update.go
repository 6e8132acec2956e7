package delivery

import (
	"crypto/sha256"
	"strings"

	"conferenced/service/outcome"
	"conferenced/service/property"
	"conferenced/service/sids"
	"conferenced/service/twilio"
)

// Update is one change of one participant: an update of its properties, or its removal.
type Update struct {
	// Request is the request that makes the change. A removal may name the participant by
	// its label.
	twilio.Request
	// Account is the Twilio account, with its host and credentials.
	Account *twilio.Account
	// Caller identifies the caller. Callers share limits and queues fairly, and each has
	// its own request IDs.
	Caller string
	// RequestID is the caller's idempotency key, or empty. With a Group it is the
	// operation's, and the update has a key derived from that and the Call SID.
	RequestID string
	// Wait is whether the update waits for its conference and its participant until its
	// context ends, if they are not there.
	Wait bool
	// Confirm is whether the participant is read after the update, before the next one of
	// its queue is sent. The answer's After is what was read; nil if that failed.
	Confirm bool
	// Group is set if the update is one of a bulk operation, and Label is then the
	// participant's label, if it is known. The path has the Call SID. Such an update waits
	// for the account's limits until no other update does.
	Group *Group
	Label string
}

// content returns equal digests for two updates if and only if they set the same
// properties of the same participant to the same values, or both remove it.
func (u *Update) content() Content {
	text := []byte(u.Path.String() + "\n")
	if u.removes() {
		return sha256.Sum256(append(text, u.Operation.Method()...)) // No form is that.
	}
	return sha256.Sum256(twilio.AppendForm(text, u.Change))
}

func (u *Update) removes() bool { return u.Operation == twilio.RemoveParticipant }

// removesByLabel reports whether the Call SID of the participant to remove is to be
// looked up.
func (u *Update) removesByLabel() bool { return u.removes() && !sids.IsCall(u.Path.Participant) }

// namesConference reports whether the SID of the conference is to be looked up.
func (u *Update) namesConference() bool { return strings.HasPrefix(u.Path.ConferenceSID, NamePrefix) }

// unknownOutcome returns the outcome if the update may have been applied. If its caller
// repeats a removal by label, another participant can have the label by then.
func (u *Update) unknownOutcome() outcome.Kind {
	if u.removesByLabel() {
		return outcome.UnrepeatableOutcomeUnknown
	}
	return unknownOutcome(&u.Request)
}

// queued returns the part of the update that its queue needs.
func (u *Update) queued() Queued {
	return Queued{
		Participant: participantOf(&u.Path),
		Removal:     u.removes(),
		Properties:  u.properties(),
		Caller:      u.Caller,
	}
}

func participantOf(path *twilio.Path) Participant {
	return Participant{
		Conference: Conference{Account: path.AccountSID, SID: path.ConferenceSID},
		Name:       path.Participant,
	}
}

func (u *Update) properties() property.Set {
	if u.removes() {
		return 0
	}
	return u.Change.Set()
}
