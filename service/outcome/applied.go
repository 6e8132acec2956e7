package outcome

// Applied is whether an update was applied.
type Applied int

// The values, ordered by certainty that the update was applied. The maximum of two
// attempts' values holds for both together.
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
