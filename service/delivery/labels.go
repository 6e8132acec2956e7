package delivery

import "time"

// labels maps labels to Call SIDs, as seen in Twilio's answers. A participant has at
// most one label. labels is not safe for concurrent use.
type labels struct {
	sids    *expiringMap[Participant, Participant] // By label.
	byCalls *expiringMap[Participant, Participant] // Labels by Call SID.
}

func newLabels(size int, age time.Duration) *labels {
	return &labels{
		sids:    newExpiringMap[Participant, Participant](size, age),
		byCalls: newExpiringMap[Participant, Participant](size, age),
	}
}

// resolve returns the Call SID of a known label, and any other name unchanged.
func (l *labels) resolve(name Participant) Participant {
	if sid, ok := l.sids.get(name); ok {
		return sid
	}
	return name
}

// of returns the label of a Call SID if it is known, and any other name unchanged.
func (l *labels) of(name Participant) Participant {
	if label, ok := l.byCalls.get(name); ok {
		return label
	}
	return name
}

func (l *labels) put(label, sid Participant) {
	l.sids.put(label, sid)
	l.byCalls.put(sid, label)
}

func (l *labels) remove(label Participant) {
	if sid, ok := l.sids.get(label); ok {
		l.sids.remove(label)
		l.byCalls.remove(sid)
	}
}

func (l *labels) len() int { return l.sids.len() }
