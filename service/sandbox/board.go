package sandbox

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"conferenced/service/browser"
)

//go:embed board
var boardFiles embed.FS

var boardPage = template.Must(template.ParseFS(boardFiles, "board/board.html"))

const (
	shownEntries = 100
	shownHearers = 20 // In the matrix.

	// minPause and maxPause are the shortest and the longest time between two updates of a
	// board. It is also updated without a change, because it shows times.
	minPause = 100 * time.Millisecond
	maxPause = time.Second
)

// An Action is a change of a participant, as commands for a shell.
type Action struct {
	Name    string
	GRPCurl string
	Curl    string
}

// SetActions sets the function that returns the actions which the board offers for a
// participant. They call the service in front of the sandbox.
func (s *Sandbox) SetActions(actions func(c *Conference, p *Participant) []Action) {
	now := s.lock()
	defer s.unlock(now)
	s.actions = actions
}

// addBoard registers the board and its files.
func (s *Sandbox) addBoard(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		serveBoard(w, "text/html; charset=utf-8", s.render("board.html"))
	})
	for name, contentType := range map[string]string{"board.css": "text/css; charset=utf-8", "board.js": "text/javascript; charset=utf-8"} {
		text, err := boardFiles.ReadFile("board/" + name)
		if err != nil {
			panic(err) // The file is embedded.
		}
		mux.HandleFunc("GET /sandbox/"+name, func(w http.ResponseWriter, _ *http.Request) { serveBoard(w, contentType, text) })
	}
	mux.HandleFunc("GET /sandbox/events", s.serveEvents)
}

func serveBoard(w http.ResponseWriter, contentType string, text []byte) {
	setBoardHeader(w.Header(), contentType)
	_, _ = w.Write(text)
}

func setBoardHeader(h http.Header, contentType string) {
	h.Set("Content-Type", contentType)
	h.Set("Content-Security-Policy", browser.PagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// serveEvents sends the content of the board after each change, as server-sent events.
func (s *Sandbox) serveEvents(w http.ResponseWriter, r *http.Request) {
	setBoardHeader(w.Header(), "text/event-stream")
	fmt.Fprint(w, "retry: 1000\n")
	for {
		changed := s.nextChange()
		content := strings.ReplaceAll(string(s.render("live")), "\n", "\ndata: ")
		if _, err := fmt.Fprintf(w, "data: %s\n\n", content); err != nil {
			return
		}
		if http.NewResponseController(w).Flush() != nil || !s.wait(r.Context(), minPause) {
			return
		}
		select {
		case <-changed:
		case <-time.After(maxPause):
		case <-r.Context().Done():
			return
		case <-s.ctx.Done():
			return
		}
	}
}

// nextChange returns a channel that is closed at the next change.
func (s *Sandbox) nextChange() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

// A board is what the page shows.
type board struct {
	Now        string
	Pending    int // Callbacks.
	Several    bool
	Accounts   []boardAccount
	Armed      []string
	Log        []logLine
	Kinds      []FaultKind
	Operations []string
}

type boardAccount struct {
	SID, FriendlyName string
	Conferences       []boardConference
}

type boardConference struct {
	*Conference
	Title  string
	Sound  *boardSound
	Cards  []card
	Matrix *matrix
}

type card struct {
	*Participant
	Conference, Name string
	Chips            []string
	Sound            *boardSound
	Actions          []Action
}

type boardSound struct{ Kind, URL, For, Left string }

// A matrix shows who hears whom: a row has what one participant hears.
type matrix struct {
	Names   []string
	Rows    []matrixRow
	Omitted int
}

type matrixRow struct {
	Name  string
	Cells []matrixCell
}

type matrixCell struct{ Class, Symbol, Text string }

type logLine struct {
	Seq                                   int
	Class, Time, What, Whom, Form, Answer string
}

// render executes a template with the current state.
func (s *Sandbox) render(name string) []byte {
	state := s.State()
	b := board{
		Pending:    state.Callbacks.Pending,
		Several:    len(state.Accounts) > 1,
		Kinds:      faultKinds(),
		Operations: append([]string{opRead}, operationNames...),
	}
	s.mu.Lock()
	now, actions := s.now(), s.actions
	s.mu.Unlock()
	b.Now = now.Format("2006-01-02 15:04:05 MST")
	for _, account := range state.Accounts {
		shown := boardAccount{SID: account.SID, FriendlyName: account.FriendlyName}
		for _, c := range slices.Backward(account.Conferences) {
			shown.Conferences = append(shown.Conferences, showConference(c, now, actions))
		}
		slices.SortStableFunc(shown.Conferences, func(x, y boardConference) int { return cmp.Compare(x.rank(), y.rank()) })
		b.Accounts = append(b.Accounts, shown)
	}
	for _, r := range s.Armed("") {
		b.Armed = append(b.Armed, r.String())
	}
	entries := s.entries(func(*Entry) bool { return true })
	for _, e := range slices.Backward(entries[max(0, len(entries)-shownEntries):]) {
		b.Log = append(b.Log, e.line())
	}
	var page bytes.Buffer
	if err := boardPage.ExecuteTemplate(&page, name, b); err != nil {
		panic(fmt.Sprintf("sandbox: render the board: %v", err)) // All its types are in this package.
	}
	return indent.ReplaceAll(page.Bytes(), []byte("\n"))
}

// indent matches the line breaks of the template, with the indentation after them.
var indent = regexp.MustCompile(`\n\s+`)

// rank sorts conferences: in progress, not started, completed.
func (c boardConference) rank() int {
	return slices.Index([]string{conferenceInProgress, conferenceInit, conferenceCompleted}, c.Status)
}

func showConference(c *Conference, now time.Time, actions func(*Conference, *Participant) []Action) boardConference {
	shown := boardConference{Conference: c, Title: cmp.Or(c.FriendlyName, c.SID)}
	if a := playingIn(c.Announcements); a != nil {
		shown.Sound = showSound(&Playing{Kind: "announcement to all", URL: a.URL, Since: a.Time, Ends: a.Ends}, now)
	}
	for _, p := range c.Participants {
		k := card{Participant: p, Conference: c.SID, Name: p.name(), Chips: chips(c, p), Sound: showSound(p.Playing, now)}
		if actions != nil && c.Status == conferenceInProgress {
			k.Actions = actions(c, p)
		}
		shown.Cards = append(shown.Cards, k)
	}
	if len(c.Participants) > 1 {
		shown.Matrix = showMatrix(c)
	}
	return shown
}

// name returns the label, or the end of the Call SID.
func (p *Participant) name() string {
	return cmp.Or(p.Label, "…"+p.CallSID[max(0, len(p.CallSID)-4):])
}

// chips describes the properties that are set.
func chips(c *Conference, p *Participant) (set []string) {
	add := func(is bool, text string) {
		if is {
			set = append(set, text)
		}
	}
	add(p.Muted, "muted")
	add(p.Hold, "on hold")
	if p.Coaching {
		coached := p.CallSIDToCoach
		if other := c.participant(coached); other != nil {
			coached = other.name()
		}
		add(true, "coaches "+coached)
	}
	add(p.EffectiveEndConferenceOnExit, "ends the conference on exit")
	add(p.EndConferenceOnExit && !p.EffectiveEndConferenceOnExit, "shows end on exit, without effect")
	add(!p.EndConferenceOnExit && p.EffectiveEndConferenceOnExit, "shows no end on exit")
	add(p.BeepOnEnter, "beep on enter")
	add(p.BeepOnExit, "beep on exit")
	return set
}

func showSound(p *Playing, now time.Time) *boardSound {
	if p == nil {
		return nil
	}
	shown := &boardSound{Kind: p.Kind, URL: p.URL, For: now.Sub(p.Since).Truncate(time.Second).String()}
	if !p.Ends.IsZero() {
		shown.Left = p.Ends.Sub(now).Truncate(time.Second).String()
	}
	return shown
}

func showMatrix(c *Conference) *matrix {
	all := c.Participants[:min(len(c.Participants), shownHearers)]
	m := &matrix{Omitted: len(c.Participants) - len(all)}
	for _, listener := range all {
		m.Names = append(m.Names, listener.name())
		row := matrixRow{Name: listener.name()}
		for _, speaker := range all {
			row.Cells = append(row.Cells, showHearing(c, listener, speaker))
		}
		m.Rows = append(m.Rows, row)
	}
	return m
}

func showHearing(c *Conference, listener, speaker *Participant) matrixCell {
	if listener == speaker {
		return matrixCell{Class: "self"}
	}
	h := hearingOf(c, listener, speaker)
	cell := matrixCell{Class: "deaf", Symbol: "–", Text: "does not hear: " + string(h)}
	switch h {
	case hears:
		cell = matrixCell{Class: "hears", Symbol: "●", Text: string(h)}
	case whisper:
		cell = matrixCell{Class: "whisper", Symbol: "◐", Text: string(h)}
	}
	return cell
}

// line returns the entry as a line of the board.
func (e Entry) line() logLine {
	l := logLine{
		Seq: e.Seq, Class: e.Kind, Time: e.Time.Format(time.TimeOnly), What: strings.TrimSpace(e.Kind + " " + e.Operation),
		Whom: cmp.Or(e.Label, e.CallSID, e.FriendlyName, e.ConferenceSID), Answer: "…",
	}
	switch {
	case e.Kind == kindCallback:
		l.Form = "SequenceNumber=" + e.Form.Get("SequenceNumber")
	case e.Kind == kindAnnouncement:
		l.Form, l.Answer = e.URL, ""
		return l
	default:
		for _, name := range slices.Sorted(maps.Keys(e.Form)) {
			l.Form += name + "=" + e.Form.Get(name) + " "
		}
	}
	if e.Answer == nil {
		return l
	}
	l.Answer = fmt.Sprintf("%d in %.1f ms", e.Answer.Status, e.Answer.Milliseconds)
	if e.Answer.Error != "" {
		l.Answer = fmt.Sprintf("%s after %.1f ms", e.Answer.Error, e.Answer.Milliseconds)
	}
	if e.Fault != "" {
		l.Answer += ", fault " + e.Fault
	}
	if e.Answer.Error != "" || e.Answer.Status >= http.StatusBadRequest {
		l.Class += " failed"
	}
	return l
}
