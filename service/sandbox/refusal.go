package sandbox

import "slices"

// A refusedCombination is a combination of properties that an update must not give to a
// participant.
type refusedCombination struct {
	when    []string // Keys of refusable.
	status  int
	code    int
	message string
}

// refusable has the properties that a combination can name, with the form's fields that set
// them.
var refusable = map[string][]string{
	"announce": {"AnnounceUrl"},
	"coached":  nil, // By another participant.
	"coaching": {"Coaching", "CallSidToCoach"},
	"hold":     {"Hold"},
	"muted":    {"Muted"},
}

// checkRefusals returns the error of the first refused combination that the participant has
// after the update, if the form sets one of its properties.
func (t *tenant) checkRefusals(c *call, in *Conference, updated *Participant, announces bool) *apiError {
	has := map[string]bool{
		"announce": announces,
		"coached": slices.ContainsFunc(in.Participants, func(other *Participant) bool {
			return other.CallSIDToCoach == updated.CallSID
		}),
		"coaching": updated.Coaching,
		"hold":     updated.Hold,
		"muted":    updated.Muted,
	}
	sets := func(property string) bool { return slices.ContainsFunc(refusable[property], c.form.Has) }
	lacks := func(property string) bool { return !has[property] }
	for _, r := range t.settings.refusals {
		if slices.ContainsFunc(r.when, sets) && !slices.ContainsFunc(r.when, lacks) {
			return newError(r.status, r.code, r.message)
		}
	}
	return nil
}
