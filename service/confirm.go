package service

import (
	"strconv"
	"strings"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/property"
	"conferenced/service/twilio"
)

// confirm compares what an update set with the participant as it was read after it, and
// returns the fields that differ. answered is Twilio's answer to the update; after is nil
// if nothing was read. followed is whether another update may have come between.
func confirm(
	change *property.Values, answered, after *twilio.Participant, followed bool,
) (conferencev1.Confirmation, []string) {
	var differs []string
	known := true
	for p := range change.Set().Each() {
		switch shown, readable := shownValue(p, change, after); {
		case p == property.EndConferenceOnExit && isTrue(answered.Hold): // Twilio ignores it, and shows it.
			differs = append(differs, p.String())
		case !readable:
			known = false
		case strings.EqualFold(shown, change.Get(p)): // The digits of a SID may have any case.
		case followed, updatedLater(after, answered):
			known = false
		default:
			differs = append(differs, p.String())
		}
	}
	switch {
	case len(differs) > 0:
		return conferencev1.Confirmation_CONFIRMATION_DIFFERS, differs
	case !known:
		return conferencev1.Confirmation_CONFIRMATION_UNKNOWN, nil
	default:
		return conferencev1.Confirmation_CONFIRMATION_CONFIRMED, nil
	}
}

// shownValue returns the value of a property in what was read, and whether it is there.
func shownValue(p property.Property, change *property.Values, after *twilio.Participant) (value string, readable bool) {
	if after == nil {
		return "", false
	}
	flag := func(value *bool) (string, bool) {
		return strconv.FormatBool(isTrue(value)), value != nil
	}
	switch p {
	case property.Muted:
		return flag(after.Muted)
	case property.Hold:
		return flag(after.Hold)
	case property.EndConferenceOnExit:
		return flag(after.EndConferenceOnExit)
	case property.Coaching:
		return flag(after.Coaching)
	case property.CallSIDToCoach: // Who does not coach has none.
		return valueOf(after.CallSIDToCoach), after.CallSIDToCoach != nil && change.Get(property.Coaching) != "false"
	default:
		return "", false
	}
}

// updatedLater reports whether the participant was updated again after the answer.
func updatedLater(after, answered *twilio.Participant) bool {
	last, own := timestampOf(after.DateUpdated), timestampOf(answered.DateUpdated)
	return last != nil && own != nil && last.AsTime().After(own.AsTime())
}

func isTrue(value *bool) bool { return value != nil && *value }
