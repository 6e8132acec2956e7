package outcome

// Applied says whether an update changed the conference.
type Applied int

// The values, in the order of certainty that something was changed, so that the
// greater of two holds for both together.
const (
	No Applied = iota
	Maybe
	Yes
)

// String returns no, maybe or yes.
func (a Applied) String() string {
	switch a {
	case No:
		return "no"
	case Yes:
		return "yes"
	default:
		return "maybe"
	}
}
