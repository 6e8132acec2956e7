package sandbox

import (
	"slices"
	"time"
)

// The reasons for which conferences end and participants leave are Twilio's.
const (
	endedByAPI = "conference-ended-via-api"

	leftConferenceEnded = "conference_ended_via_api"
	leftModeratorEnded  = "moderator_ended_conference"
	leftKicked          = "participant_updated_via_api"
	leftHungUp          = "participant_hung_up"
	leftNoAnswer        = "participant_add_failed"
)

// reasonsEnded are those for which a conference may have ended.
var reasonsEnded = []string{
	endedByAPI,
	"participant-with-end-conference-on-exit-left",
	"participant-with-end-conference-on-exit-kicked",
	"last-participant-left",
	"last-participant-kicked",
}

// join lets in a participant who is connected now.
func (w *world) join(c *Conference, p *Participant, at time.Time) {
	w.notify(c, event{name: "participant-join", time: at, of: p})
	if c.Status == conferenceInit && p.StartConferenceOnEnter {
		c.Status, c.DateUpdated = conferenceInProgress, at
		w.notify(c, event{name: "conference-start", time: at})
	}
}

// A departure is how somebody leaves a conference that goes on.
type departure struct {
	kicked bool // or left

	// joined and waiting are the reasons told of somebody who was connected, and of
	// somebody who was not yet.
	joined, waiting string

	// waitingCall is the status of the call of somebody who was not connected.
	waitingCall string
}

var (
	kicked = departure{kicked: true, joined: leftKicked, waiting: leftKicked, waitingCall: "canceled"}
	hungUp = departure{joined: leftHungUp, waiting: leftNoAnswer, waitingCall: "no-answer"}
)

// remove is the DELETE of a participant.
func (s *Sandbox) remove(c *call) answer {
	now := s.lock()
	defer s.mu.Unlock()
	conference, p, refusal := s.world.locate(c.target)
	switch {
	case refusal != nil:
		return refusal.answer()
	case p == nil:
		return notFound(c.target).answer()
	}
	s.world.leave(conference, p, kicked, now)
	return gone
}

// HangUp ends the call of a participant, named by Call SID or label, from the
// participant's side; one who was not connected yet does not answer. It reports
// false if there is no such participant in the conference.
func (s *Sandbox) HangUp(conferenceSID, participant string) bool {
	now := s.lock()
	defer s.mu.Unlock()
	conference := s.world.conference(conferenceSID)
	if conference == nil {
		return false
	}
	p := conference.participant(participant)
	if p == nil {
		return false
	}
	s.world.leave(conference, p, hungUp, now)
	return true
}

// leave takes p out of the conference, and ends that if p was to do so on exit
// or was the last.
func (w *world) leave(c *Conference, p *Participant, how departure, now time.Time) {
	c.Participants = slices.DeleteFunc(c.Participants, func(other *Participant) bool { return other == p })
	joined := p.Status == statusConnected
	reason := how.waiting
	if joined {
		reason = how.joined
	}
	w.notifyLeft(c, p, reason, how.waitingCall, now)
	manner := "left"
	if how.kicked {
		manner = "kicked"
	}
	switch {
	case joined && p.EffectiveEndConferenceOnExit:
		w.end(c, "participant-with-end-conference-on-exit-"+manner, p, now)
	case len(c.Participants) == 0:
		w.end(c, "last-participant-"+manner, p, now)
	}
}

func (w *world) notifyLeft(c *Conference, p *Participant, reason, waitingCall string, now time.Time) {
	callStatus := waitingCall
	if p.Status == statusConnected {
		callStatus = "completed"
	}
	w.notify(c, event{name: "participant-leave", time: now, of: p, with: map[string]string{
		"ReasonParticipantLeft": reason,
		"ParticipantCallStatus": callStatus,
	}})
}

// end completes the conference, and everybody leaves. The participant by whose
// leaving it ends is nil if it ends by request.
func (w *world) end(c *Conference, reason string, by *Participant, now time.Time) {
	left := c.Participants
	c.Participants = []*Participant{}
	c.Status, c.DateUpdated, c.ReasonConferenceEnded = conferenceCompleted, now, reason
	with := map[string]string{"ReasonConferenceEnded": reason, "Reason": reason}
	why := leftConferenceEnded
	if by != nil {
		c.CallSIDEndingConference = by.CallSID
		with["CallSidEndingConference"], with["ParticipantLabelEndingConference"] = by.CallSID, by.Label
		why = leftModeratorEnded
	}
	for _, p := range left {
		w.notifyLeft(c, p, why, "canceled", now)
	}
	w.notify(c, event{name: "conference-end", time: now, with: with})
}
