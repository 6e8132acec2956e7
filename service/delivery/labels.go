package delivery

import "time"

// labels are the labels whose Call SID Twilio's answers have shown. A participant
// has at most one label. labels is not safe for concurrent use.
type labels struct {
	sids    *aging[Participant, Participant] // By label.
	byCalls *aging[Participant, Participant] // The labels by Call SID.
}

func newLabels(size int, age time.Duration) *labels {
	return &labels{
		sids:    newAging[Participant, Participant](size, age),
		byCalls: newAging[Participant, Participant](size, age),
	}
}

// resolve returns the Call SID of a label, and any other name as it is.
func (l *labels) resolve(name Participant) Participant {
	if sid, ok := l.sids.get(name); ok {
		return sid
	}
	return name
}

// of returns the label of a Call SID if it is known, and otherwise the name, which
// may be a label.
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
