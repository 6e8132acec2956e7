package delivery

// Memory is a Store of one process.
type Memory struct {
	*answers
	*queues
}

// NewMemory returns a store in memory. It remembers at least one label and one
// record, whatever the bounds say.
func NewMemory(bounds Bounds) *Memory {
	return &Memory{
		answers: newAnswers(bounds.Records, bounds.Retention),
		queues:  newQueues(bounds.Queue, newLabels(bounds.Labels, bounds.LabelAge)),
	}
}

// Adopt puts an update in its participant's queue that another store has ordered so
// far: an attempt of it is in flight, or else Resume follows when the next one is due.
func (m *Memory) Adopt(update Queued, attempting bool) Entry {
	state := paused
	if attempting {
		state = inFlight
	}
	m.queues.mu.Lock()
	defer m.queues.mu.Unlock()
	return m.enqueue(m.of(update.Participant), update, state)
}

// Learn takes over what the attempt of an update in another store says about the
// names of a participant.
func (m *Memory) Learn(addressed Participant, end End) {
	m.queues.mu.Lock()
	defer m.queues.mu.Unlock()
	m.learn(addressed, end)
}

// Sizes counts what is remembered.
func (m *Memory) Sizes() Sizes {
	sizes := m.queues.sizes()
	sizes.Records = m.answers.size()
	return sizes
}
