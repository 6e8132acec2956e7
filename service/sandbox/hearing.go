package sandbox

// A hearing says whether a participant hears another. Every value but these two is a
// reason why it does not.
type hearing string

const (
	hears   hearing = "hears"
	whisper hearing = "hears as a whisper" // The speaker coaches the listener.
)

// hearingOf returns whether the listener hears the speaker. They are two participants of
// the conference.
func hearingOf(c *Conference, listener, speaker *Participant) hearing {
	switch {
	case c.Status != conferenceInProgress:
		return "the conference is not in progress"
	case listener.Status != statusConnected:
		return "the listener is not connected"
	case speaker.Status != statusConnected:
		return "the speaker is not connected"
	case listener.Hold:
		return "the listener is on hold"
	case speaker.Hold:
		return "the speaker is on hold"
	case speaker.Muted:
		return "the speaker is muted"
	case !speaker.Coaching:
		return hears
	case speaker.CallSIDToCoach == listener.CallSID:
		return whisper
	default:
		return "the speaker coaches another"
	}
}
