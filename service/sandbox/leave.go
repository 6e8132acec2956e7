package sandbox

import (
	"slices"
	"time"
)

// Twilio's reasons for the end of a conference and for leaving one.
const (
	endedByAPI = "conference-ended-via-api"

	leftConferenceEnded = "conference_ended_via_api"
	leftModeratorEnded  = "moderator_ended_conference"
	leftKicked          = "participant_updated_via_api"
	leftHungUp          = "participant_hung_up"
	leftNoAnswer        = "participant_add_failed"
)

// reasonsEnded are the reasons why a conference can have ended.
var reasonsEnded = []string{
	endedByAPI,
	"participant-with-end-conference-on-exit-left",
	"participant-with-end-conference-on-exit-kicked",
	"last-participant-left",
	"last-participant-kicked",
}

// join sends the events of a participant that has just connected, and starts the
// conference if the participant has StartConferenceOnEnter. Users report that every
// participant starts a conference in which all were created by the API.
func (t *tenant) join(c *Conference, p *Participant, at time.Time) {
	t.notify(c, event{name: "participant-join", time: at, participant: p})
	starts := p.StartConferenceOnEnter || c.CallsPlaced == len(t.everyone[c.SID])
	if c.Status == conferenceInit && starts {
		c.Status, c.DateUpdated = conferenceInProgress, at
		t.notify(c, event{name: "conference-start", time: at})
	}
}

// A departure is a way to leave a conference, in Twilio's words.
type departure struct {
	how        string // "left" or "kicked", the end of reasonsEnded.
	reason     string // The reason if the participant was connected.
	reasonElse string // The reason otherwise.
	callElse   string // The status of the call if it was not connected.
}

var (
	kicked = departure{how: "kicked", reason: leftKicked, reasonElse: leftKicked, callElse: "canceled"}
	hungUp = departure{how: "left", reason: leftHungUp, reasonElse: leftNoAnswer, callElse: "no-answer"}
)

func (t *tenant) removeParticipant(c *call, now time.Time) (any, *apiError) {
	conference, p, err := t.findParticipant(c.target, now)
	if err != nil {
		return nil, err
	}
	t.leave(conference, p, kicked, now)
	return nil, nil
}

// HangUp ends the call of a participant as if the participant hung up or, if the call is
// not connected yet, did not answer. The participant is given by Call SID or label. It
// returns false if the conference has no such participant.
func (s *Sandbox) HangUp(conferenceSID, participant string) bool {
	now := s.lock()
	defer s.unlock(now)
	t, c := s.world.conference(conferenceSID)
	if c == nil {
		return false
	}
	p := c.participant(participant)
	if p == nil {
		return false
	}
	t.leave(c, p, hungUp, now)
	return true
}

// leave removes p from the conference. The conference ends if p ends it on exit or was
// its last participant.
func (t *tenant) leave(c *Conference, p *Participant, d departure, now time.Time) {
	c.Participants = slices.DeleteFunc(c.Participants, func(other *Participant) bool { return other == p })
	joined := p.Status == statusConnected
	reason := d.reasonElse
	if joined {
		reason = d.reason
	}
	t.notifyLeft(c, p, reason, d.callElse, now)
	switch {
	case joined && p.EffectiveEndConferenceOnExit:
		t.end(c, "participant-with-end-conference-on-exit-"+d.how, p, now)
	case len(c.Participants) == 0:
		t.end(c, "last-participant-"+d.how, p, now)
	default:
		t.remember(c, now)
	}
}

// notifyLeft sends the event of a participant that has left. Its call gets the
// given status unless it was connected.
func (t *tenant) notifyLeft(c *Conference, p *Participant, reason, callStatus string, now time.Time) {
	if p.Status == statusConnected {
		callStatus = "completed"
	}
	t.notify(c, event{name: "participant-leave", time: now, participant: p, fields: map[string]string{
		"ReasonParticipantLeft": reason,
		"ParticipantCallStatus": callStatus,
	}})
}

// end completes the conference and removes all participants. by is the participant whose
// departure ended it, or nil if a request did.
func (t *tenant) end(c *Conference, reason string, by *Participant, now time.Time) {
	left := c.Participants
	c.Participants = []*Participant{}
	t.remember(c, now)
	t.endAnnouncement(c, nil, announcementStopped, now)
	c.Status, c.DateUpdated, c.ReasonConferenceEnded = conferenceCompleted, now, reason
	fields := map[string]string{"ReasonConferenceEnded": reason, "Reason": reason}
	reasonLeft := leftConferenceEnded
	if by != nil {
		c.CallSIDEndingConference = by.CallSID
		fields["CallSidEndingConference"], fields["ParticipantLabelEndingConference"] = by.CallSID, by.Label
		reasonLeft = leftModeratorEnded
	}
	for _, p := range left {
		t.notifyLeft(c, p, reasonLeft, "canceled", now)
	}
	t.notify(c, event{name: "conference-end", time: now, fields: fields})
}
