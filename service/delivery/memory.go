package delivery

// memory is a Store of one process.
type memory struct {
	*answers
	*lines
}

// NewMemory returns a store in memory. The bounds must be valid: all of them are
// more than 0.
func NewMemory(bounds Bounds) Store {
	return &memory{
		answers: newAnswers(bounds.Records, bounds.Retention),
		lines:   newLines(bounds.LineLength, newLabels(bounds.Labels, bounds.LabelAge)),
	}
}

// Sizes counts what is remembered.
func (m *memory) Sizes() Sizes {
	sizes := m.lines.sizes()
	sizes.Records = m.answers.size()
	return sizes
}
