package delivery

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// lines are the updates that wait for each participant, in order of arrival.
//
// A participant has two names, its Call SID and its label. Once both are known
// for one, they share a line; lines that were two until then become one.
type lines struct {
	length int
	labels *aging[Participant, string]

	mu      sync.Mutex
	arrived uint64
	byName  map[Participant]*line
	waiting int
}

// line is what waits for one participant, first come first. A place is active
// once its update may be sent: the first one, and only when nobody else is. More
// than one is active only while two lines that became one each had one.
type line struct {
	names  []Participant
	places []*place
	active int

	// Most lines are as short as that.
	firstNames  [1]Participant
	firstPlaces [1]*place
}

// place is one update in a line.
type place struct {
	arrival    uint64
	line       *line // nil once it has left.
	sets       Properties
	event      bool          // It keeps its place, whatever a newer one sets.
	active     bool          // It has its turn: turn is closed.
	overtaken  bool          // A newer one takes its place: superseded is closed.
	turn       chan struct{} // Of the ticket, like the next one.
	superseded chan struct{}
	ticket     Ticket
}

// atOnce is the turn of those who do not have to wait for it.
var atOnce = func() chan struct{} {
	turn := make(chan struct{})
	close(turn)
	return turn
}()

func newLabels(size int, age time.Duration) *aging[Participant, string] {
	return newAging[Participant, string](size, age)
}

func newLines(length int, labels *aging[Participant, string]) *lines {
	return &lines{length: length, labels: labels, byName: map[Participant]*line{}}
}

// Join is Store's.
func (l *lines) Join(_ context.Context, participant Participant, sets Properties, event bool) (*Ticket, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := l.lineOf(participant)
	if line.staying(sets) > l.length {
		return nil, &RefusedError{Reason: Overloaded}
	}
	l.arrived++
	p := &place{
		arrival: l.arrived, line: line, sets: sets, event: event,
		turn: atOnce, superseded: make(chan struct{}),
	}
	l.supersede(line, p)
	line.places = append(line.places, p)
	l.waiting++
	if line.active > 0 || line.places[0] != p {
		p.turn = make(chan struct{})
	}
	line.advance()
	p.ticket = Ticket{Turn: p.turn, Superseded: p.superseded, Leave: func() { l.leave(p) }}
	return &p.ticket, nil
}

// lineOf is the participant's line, which begins to exist if nobody is in it. A
// label has the line of its Call SID, if that is known; it stays that line's
// name until the line is empty, even if the label is forgotten before that.
func (l *lines) lineOf(participant Participant) *line {
	if existing := l.byName[participant]; existing != nil {
		return existing
	}
	callSID, ok := l.labels.get(participant)
	if !ok {
		return l.newLine(participant)
	}
	bySID := Participant{Conference: participant.Conference, Name: callSID}
	existing := l.byName[bySID]
	if existing == nil {
		existing = l.newLine(bySID)
	}
	l.name(existing, participant)
	return existing
}

func (l *lines) newLine(name Participant) *line {
	created := &line{}
	created.names, created.places = created.firstNames[:0], created.firstPlaces[:0]
	l.name(created, name)
	return created
}

// yields says whether the place goes to an update that sets the properties. An
// event, such as an announcement, is not undone by a later one, so nothing takes
// its place.
func (p *place) yields(sets Properties) bool { return !p.event && sets.Cover(p.sets) }

// staying counts the places that an update with the properties leaves behind it.
func (l *line) staying(sets Properties) int {
	count := 0
	for _, p := range l.places {
		if p.active || !p.yields(sets) {
			count++
		}
	}
	return count
}

// supersede takes out of the line the older ones that the newer takes the place
// of. One whose turn it is already leaves by itself when it has nothing on the
// way.
func (l *lines) supersede(line *line, newer *place) {
	line.places = slices.DeleteFunc(line.places, func(p *place) bool {
		if p.overtaken || p.arrival >= newer.arrival || !p.yields(newer.sets) {
			return false
		}
		p.overtaken = true
		close(p.superseded)
		if p.active {
			return false
		}
		p.line = nil
		l.waiting--
		return true
	})
}

// leave takes a place out of its line, if it is still there.
func (l *lines) leave(p *place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := p.line
	if line == nil {
		return
	}
	p.line = nil
	line.places = slices.DeleteFunc(line.places, func(other *place) bool { return other == p })
	l.waiting--
	if p.active {
		line.active--
	}
	line.advance()
	if len(line.places) == 0 {
		l.forget(line)
	}
}

func (l *lines) forget(line *line) {
	for _, name := range line.names {
		delete(l.byName, name)
	}
}

// advance gives the head its turn if nobody has it.
func (l *line) advance() {
	if l.active > 0 || len(l.places) == 0 {
		return
	}
	head := l.places[0]
	head.active = true
	l.active++
	if head.turn != atOnce {
		close(head.turn)
	}
}

// Know is Store's.
func (l *lines) Know(_ context.Context, label Participant, callSID string) {
	if known, ok := l.labels.get(label); ok && known == callSID {
		l.labels.put(label, callSID) // It was seen again.
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.labels.put(label, callSID)
	byLabel := l.byName[label]
	if byLabel == nil {
		return
	}
	bySID := l.byName[Participant{Conference: label.Conference, Name: callSID}]
	switch {
	case bySID == byLabel:
	case bySID == nil:
		l.name(byLabel, Participant{Conference: label.Conference, Name: callSID})
	default:
		l.merge(bySID, byLabel)
	}
}

// name gives a line one more name.
func (l *lines) name(line *line, name Participant) {
	line.names = append(line.names, name)
	l.byName[name] = line
}

// merge moves one line into another, each place where its arrival puts it. What
// would have been superseded, had they been one line before, is so now: what is
// older must not be sent after what is newer.
func (l *lines) merge(into, from *line) {
	for _, name := range from.names {
		l.name(into, name)
	}
	for _, p := range from.places {
		p.line = into
	}
	into.active += from.active
	into.places = append(into.places, from.places...)
	slices.SortFunc(into.places, func(a, b *place) int { return cmp.Compare(a.arrival, b.arrival) })
	for _, newer := range slices.Clone(into.places) {
		l.supersede(into, newer)
	}
}

func (l *lines) sizes() Sizes {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := map[*line]bool{}
	for _, line := range l.byName {
		seen[line] = true
	}
	return Sizes{Lines: len(seen), Waiting: l.waiting, Labels: l.labels.len()}
}
