// Package properties names the twelve properties of an update, for those who
// decide about them and those who write them down.
package properties

import (
	conferencev1 "conferenced/gen/conference/v1"
)

// Names are the properties in the order of the API.
var Names = []string{
	"muted", "hold", "hold_url", "hold_method", "announce_url", "announce_method",
	"wait_url", "wait_method", "beep_on_exit", "end_conference_on_exit",
	"coaching", "call_sid_to_coach",
}

// Of names the properties that the request sets, in that order.
func Of(request *conferencev1.UpdateParticipantRequest) []string {
	return Append(make([]string, 0, len(Names)), request)
}

// Append appends the names of the properties that the request sets, in that
// order.
func Append(names []string, request *conferencev1.UpdateParticipantRequest) []string {
	sets := [...]bool{
		request.Muted != nil,
		request.Hold != nil,
		request.HoldUrl != nil,
		request.GetHoldMethod() != 0,
		request.AnnounceUrl != nil,
		request.GetAnnounceMethod() != 0,
		request.WaitUrl != nil,
		request.GetWaitMethod() != 0,
		request.BeepOnExit != nil,
		request.EndConferenceOnExit != nil,
		request.Coaching != nil,
		request.CallSidToCoach != nil,
	}
	for i, set := range sets {
		if set {
			names = append(names, Names[i])
		}
	}
	return names
}

// Booleans puts down the values of those properties that are true or false.
func Booleans(values map[string]bool, request *conferencev1.UpdateParticipantRequest) {
	put := func(name string, value *bool) {
		if value != nil {
			values[name] = *value
		}
	}
	put("muted", request.Muted)
	put("hold", request.Hold)
	put("beep_on_exit", request.BeepOnExit)
	put("end_conference_on_exit", request.EndConferenceOnExit)
	put("coaching", request.Coaching)
}
