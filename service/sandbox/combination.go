package sandbox

import "slices"

// A combination is one of properties that updates are refused for.
type combination struct {
	when    []string // Keys of combinable.
	status  int
	code    int
	message string
}

// combinable has the properties that a combination can name, with the fields of the
// form that set them.
var combinable = map[string][]string{
	"announce": {"AnnounceUrl"},
	"coached":  nil, // By another participant.
	"coaching": {"Coaching", "CallSidToCoach"},
	"hold":     {"Hold"},
	"muted":    {"Muted"},
}

// refuse returns the error of the first combination that the participant has after the
// update, and of which the form sets a property.
func (t *tenant) refuse(c *call, in *Conference, updated *Participant, announces bool) *apiError {
	has := map[string]bool{
		"announce": announces,
		"coached": slices.ContainsFunc(in.Participants, func(other *Participant) bool {
			return other.CallSIDToCoach == updated.CallSID
		}),
		"coaching": updated.Coaching,
		"hold":     updated.Hold,
		"muted":    updated.Muted,
	}
	sets := func(property string) bool { return slices.ContainsFunc(combinable[property], c.form.Has) }
	lacks := func(property string) bool { return !has[property] }
	for _, refused := range t.settings.refusals {
		if slices.ContainsFunc(refused.when, sets) && !slices.ContainsFunc(refused.when, lacks) {
			return newError(refused.status, refused.code, refused.message)
		}
	}
	return nil
}
