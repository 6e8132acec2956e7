package delivery

// memory is a Store of one process.
type memory struct {
	*answers
	*lines
}

// NewMemory returns a store in memory. It remembers at least one label and one
// record, whatever the bounds say.
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
