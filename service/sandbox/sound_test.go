package sandbox

import (
	"net/http"
	"testing"
	"time"
)

// newSoundStage returns a stage with events whose account has these sounds.
func newSoundStage(t *testing.T, callback string) *stage {
	return newEventStage(t, callback, `
      - {friendly_name: waiting, status: init, participants: [{label: default}, {label: silent, wait_url: ""}, {label: music, wait_url: "http://example.com/wait"}]}
    sounds:
      - {url: "http://example.com/long", duration: 1m}
      - {url: "http://example.com/broken", fails: true}
      - {url: "http://example.com/breaks", fails: true, duration: 2s}
`)
}

func TestAnnouncementsTakeTime(t *testing.T) {
	const second, all = time.Second, "all"
	type action struct {
		whom, url string
		then      time.Duration
	}
	tests := map[string]struct {
		actions []action
		want    []string // The events, with how long after the start they are.
	}{
		"an unknown URL":         {[]action{{"guest", "any", 10 * second}}, []string{"5s announcement-end guest any"}},
		"a URL of the state":     {[]action{{"guest", "long", 59 * second}, {"host", "any", 10 * second}}, []string{"1m0s announcement-end guest long", "1m4s announcement-end host any"}},
		"one after the other":    {[]action{{"guest", "any", 5 * second}, {"guest", "any", 5 * second}}, []string{"5s announcement-end guest any", "10s announcement-end guest any"}},
		"one replaces another":   {[]action{{"guest", "long", 3 * second}, {"guest", "any", 90 * second}}, []string{"3s announcement-end guest long", "8s announcement-end guest any"}},
		"to all":                 {[]action{{all, "any", 10 * second}}, []string{"5s announcement-end any"}},
		"one replaces it":        {[]action{{all, "long", second}, {"guest", "any", second}, {all, "any", 10 * second}}, []string{"2s announcement-end long", "6s announcement-end guest any", "7s announcement-end any"}},
		"a URL that fails":       {[]action{{"guest", "broken", second}}, []string{"0s announcement-fail guest broken"}},
		"one that fails later":   {[]action{{all, "breaks", 3 * second}}, []string{"2s announcement-fail breaks"}},
		"the participant left":   {[]action{{"guest", "any", second}, {"guest", "", 10 * second}}, []string{"1s participant-leave guest"}},
		"the conference is over": {[]action{{all, "any", second}, {"host", "", 10 * second}}, []string{"1s participant-leave host", "1s participant-leave guest", "1s conference-end"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			s := newSoundStage(t, r.URL)
			for _, a := range test.actions {
				form := "AnnounceUrl=http://example.com/" + a.url
				switch {
				case a.url == "":
					s.remove(a.whom)
				case a.whom == all:
					s.do(s.request(http.MethodPost, conferencePath(ConferenceSID), form))
				default:
					s.update(a.whom, form)
				}
				s.Advance(a.then)
			}
			var got []string
			for range test.want {
				c := <-r.got
				at, err := time.Parse(time.RFC1123Z, c.fields.Get("Timestamp"))
				if err != nil {
					t.Fatal(err)
				}
				line := at.Sub(newClock().now).String() + " " + c.event()
				if url := c.fields.Get("AnnounceUrl"); url != "" {
					line += " " + url[len("http://example.com/"):]
				}
				diff(t, c.fields.Get("StatusCallbackEvent") == "announcement-fail", c.fields.Has("ReasonAnnouncementFailed"))
				got = append(got, line)
			}
			diff(t, test.want, got)
			s.awaitCallbacks()
			diff(t, 0, len(r.got))
		})
	}
}

func TestPlaying(t *testing.T) {
	began := newClock().now
	since := func(kind, url string, length time.Duration) *Playing {
		p := &Playing{Kind: kind, URL: url, Since: began}
		if length > 0 {
			p.Ends = began.Add(length)
		}
		return p
	}
	const music = "http://example.com/long"
	tests := map[string]struct {
		form  string
		after time.Duration
		want  *Playing
	}{
		"nothing":                        {"", 0, nil},
		"an announcement":                {"AnnounceUrl=" + music, 59 * time.Second, since("announcement", music, time.Minute)},
		"after the announcement":         {"AnnounceUrl=" + music, time.Minute, nil},
		"Twilio's music":                 {"Hold=true", time.Hour, since("hold", "", 0)},
		"music":                          {"Hold=true&HoldUrl=" + music, 59 * time.Second, since("hold", music, time.Minute)},
		"music plays once":               {"Hold=true&HoldUrl=" + music, time.Minute, nil},
		"music that fails":               {"Hold=true&HoldUrl=http://example.com/breaks", 0, nil},
		"an announcement before a hold":  {"Hold=true&AnnounceUrl=http://example.com/a", 4 * time.Second, since("announcement", "http://example.com/a", 5*time.Second)},
		"the hold after an announcement": {"Hold=true&AnnounceUrl=http://example.com/a", 5 * time.Second, since("hold", "", 0)},
		"off hold":                       {"Hold=false&HoldUrl=" + music, 0, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSoundStage(t, "")
			s.update("guest", test.form)
			s.Advance(test.after)
			diff(t, test.want, s.participant("guest").Playing)
		})
	}
	waiting := newSoundStage(t, "").conference("waiting")
	for label, want := range map[string]*Playing{
		"default": since("wait", "", 0), "silent": nil, "music": since("wait", "http://example.com/wait", 0),
	} {
		diff(t, want, waiting.participant(label).Playing)
	}
}
