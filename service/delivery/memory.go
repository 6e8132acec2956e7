package delivery

import "context"

// Memory is a [Store] in the memory of this process.
type Memory struct {
	*answers
	*queues
}

// NewMemory returns an empty store. It keeps at least one label and one record, even
// if bounds are lower.
func NewMemory(bounds Bounds) *Memory {
	return &Memory{
		answers: newAnswers(bounds.Records, bounds.Retention),
		queues:  newQueues(bounds.Queue, newLabels(bounds.Labels, bounds.LabelAge)),
	}
}

// Enter implements [Store].
func (m *Memory) Enter(ctx context.Context, key Key, content Content, update Queued) (Entry, *Record, error) {
	record, err := m.Claim(ctx, key, content)
	if record != nil || err != nil {
		return nil, record, err
	}
	e, err := m.Join(ctx, update)
	if err != nil {
		m.Settle(key, nil)
	}
	return e, nil, err
}

// Adopt adds an update that was queued by another store. If attempting is set, an
// attempt of it is in flight; otherwise the caller calls Resume when its next attempt
// is due.
func (m *Memory) Adopt(update Queued, attempting bool) Entry {
	state := paused
	if attempting {
		state = inFlight
	}
	m.queues.mu.Lock()
	defer m.queues.mu.Unlock()
	return m.enqueue(m.of(update.Participant), update, state)
}

// Learn records the names of a participant from an attempt that was made through
// another store.
func (m *Memory) Learn(addressed Participant, end End) {
	m.queues.mu.Lock()
	defer m.queues.mu.Unlock()
	m.learn(addressed, end)
}

// CallSID implements [Store].
func (m *Memory) CallSID(name Participant) string {
	m.queues.mu.Lock()
	defer m.queues.mu.Unlock()
	if known := m.labels.resolve(name); known != name {
		return known.Name
	}
	return ""
}

// Sizes implements [Store].
func (m *Memory) Sizes() Sizes {
	sizes := m.queues.sizes()
	sizes.Records = m.answers.size()
	return sizes
}
