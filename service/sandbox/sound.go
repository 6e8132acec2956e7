package sandbox

import "time"

// defaultDuration is the duration of sounds that the state does not describe.
const defaultDuration = 5 * time.Second

// A Sound is the sound at the URL of an announcement or of music.
type Sound struct {
	URL      string
	Duration time.Duration // 0 if the sound fails at once.
	Fails    bool
}

// sound returns the sound at a URL: that of the state, or one of the default duration.
func (t *tenant) sound(url string) Sound {
	if known, ok := t.settings.sounds[url]; ok {
		return known
	}
	return Sound{URL: url, Duration: defaultDuration}
}

// How an announcement ended.
const (
	announcementEnded    = "ended"
	announcementFailed   = "failed"
	announcementReplaced = "replaced" // By another announcement to the same listener.
	announcementStopped  = "stopped"  // Its conference has ended.
)

// An Announcement is a sound played to one participant or to all.
type Announcement struct {
	URL    string    `json:"url"`
	Method string    `json:"method"`
	Time   time.Time `json:"time"`

	// Ends is when the announcement ends or ended.
	Ends time.Time `json:"ends"`

	// Outcome is "" while it plays, and then ended, failed, replaced or stopped.
	Outcome string `json:"outcome"`
}

// Playing is a sound that a participant hears besides the other participants.
type Playing struct {
	// Kind is announcement, hold or wait.
	Kind string `json:"kind"`

	// URL is "" for Twilio's default music.
	URL string `json:"url"`

	Since time.Time `json:"since"`

	// Ends is zero for music without an end.
	Ends time.Time `json:"ends,omitzero"`
}

// announcementsTo returns the announcements to a participant, or to all if that is nil.
func (c *Conference) announcementsTo(p *Participant) *[]Announcement {
	if p == nil {
		return &c.Announcements
	}
	return &p.Announcements
}

// playingIn returns the announcement that is playing, or nil. It is always the last.
func playingIn(all []Announcement) *Announcement {
	if n := len(all); n > 0 && all[n-1].Outcome == "" {
		return &all[n-1]
	}
	return nil
}

// announce plays an announcement to a participant, or to all if that is nil. It
// replaces the announcement that plays to the same listeners.
func (t *tenant) announce(c *Conference, p *Participant, a Announcement) {
	t.endAnnouncement(c, p, announcementReplaced, a.Time)
	sound := t.sound(a.URL)
	a.Ends = a.Time.Add(sound.Duration)
	all := c.announcementsTo(p)
	*all = append(*all, a)
	t.recordAnnouncement(c, p, a, "started", a.Time)
	if sound.Duration == 0 {
		t.endAnnouncement(c, p, "", a.Time)
	}
}

// endAnnouncement ends the announcement that plays, if any, and sends its event. An empty
// outcome means that it has played to its end, or failed if the sound at its URL fails.
func (t *tenant) endAnnouncement(c *Conference, p *Participant, outcome string, at time.Time) {
	a := playingIn(*c.announcementsTo(p))
	if a == nil {
		return
	}
	if outcome == "" {
		outcome = announcementEnded
		if t.sound(a.URL).Fails {
			outcome = announcementFailed
		}
	}
	a.Ends, a.Outcome = at, outcome
	t.recordAnnouncement(c, p, *a, outcome, at)
	e := event{name: "announcement-end", time: at, participant: p, fields: map[string]string{"AnnounceUrl": a.URL}}
	if outcome == announcementFailed {
		e.name, e.fields["ReasonAnnouncementFailed"] = "announcement-fail", "The announcement could not be played"
	}
	if outcome != announcementStopped {
		t.notify(c, e)
	}
}

func (t *tenant) recordAnnouncement(c *Conference, p *Participant, a Announcement, what string, at time.Time) {
	e := &Entry{
		Time: at, Kind: kindAnnouncement, AccountSID: t.SID, ConferenceSID: c.SID, FriendlyName: c.FriendlyName,
		Operation: what, Method: a.Method, URL: a.URL, Applied: true,
	}
	if p != nil {
		e.CallSID, e.Label = p.CallSID, p.Label
	}
	t.record(e)
}

// playing returns the sound that a participant hears, or nil.
func (t *tenant) playing(c *Conference, p *Participant, now time.Time) *Playing {
	if p.Status != statusConnected {
		return nil
	}
	for _, all := range [][]Announcement{p.Announcements, c.Announcements} {
		if a := playingIn(all); a != nil {
			return &Playing{Kind: "announcement", URL: a.URL, Since: a.Time, Ends: a.Ends}
		}
	}
	if p.Hold {
		return t.holdMusic(p, now)
	}
	if c.Status != conferenceInit {
		return nil
	}
	wait := &Playing{Kind: "wait", Since: p.DateCreated}
	if p.WaitURL != nil {
		wait.URL = *p.WaitURL
		if wait.URL == "" || t.sound(wait.URL).Fails {
			return nil
		}
	}
	return wait
}

// holdMusic returns the music of a participant on hold, or nil. Music with a URL plays
// once.
func (t *tenant) holdMusic(p *Participant, now time.Time) *Playing {
	hold := &Playing{Kind: "hold", URL: p.HoldURL, Since: p.HoldSince}
	if p.HoldURL == "" {
		return hold
	}
	sound := t.sound(p.HoldURL)
	hold.Ends = p.HoldSince.Add(sound.Duration)
	if sound.Fails || !hold.Ends.After(now) {
		return nil
	}
	return hold
}
