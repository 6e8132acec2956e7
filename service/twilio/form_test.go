package twilio_test

import (
	"net/url"
	"testing"

	"conferenced/service/property"
	"conferenced/service/twilio"
)

// pair is a property and its value.
type pair struct {
	property property.Property
	value    string
}

// change returns the update with these properties.
func change(pairs ...pair) *property.Values {
	v := new(property.Values)
	for _, p := range pairs {
		v.Put(p.property, p.value)
	}
	return v
}

// muting is an update that mutes.
func muting() *property.Values { return change(pair{property.Muted, "true"}) }

// everything sets every property.
func everything() *property.Values {
	v := new(property.Values)
	for p := range property.All.Each() {
		v.Put(p, "https://example.com/"+p.String())
	}
	return v
}

func TestAppendForm(t *testing.T) {
	tests := []struct {
		name   string
		update *property.Values
		want   string
	}{
		{"nothing", change(), ""},
		{"true", muting(), "Muted=true"},
		{"false, which is not unset", change(pair{property.Muted, "false"}), "Muted=false"},
		{"an empty wait URL, which is not unset", change(pair{property.WaitURL, ""}), "WaitUrl="},
		{"the order of the properties", change(pair{property.Hold, "true"}, pair{property.Muted, "true"}), "Muted=true&Hold=true"},
		{"a URL with a fragment", change(pair{property.HoldURL, "https://example.com/hold music?a=1&b=%20#rc=2&ct=3000"}),
			"HoldUrl=https%3A%2F%2Fexample.com%2Fhold+music%3Fa%3D1%26b%3D%2520%23rc%3D2%26ct%3D3000"},
		{"characters outside of ASCII", change(pair{property.AnnounceURL, "https://example.com/café+;~"}),
			"AnnounceUrl=https%3A%2F%2Fexample.com%2Fcaf%C3%A9%2B%3B~"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := string(twilio.AppendForm(nil, test.update)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// FuzzForm checks that parsing the form returns the values of the update.
func FuzzForm(f *testing.F) {
	f.Add(uint16(property.All), "https://example.com/a b?c=d#e", "true")
	f.Add(uint16(1), "", "false")
	f.Fuzz(func(t *testing.T, set uint16, text, other string) {
		v := new(property.Values)
		for p := range (property.Set(set) & property.All).Each() {
			if p%2 == 0 {
				v.Put(p, text)
			} else {
				v.Put(p, other)
			}
		}
		form, err := url.ParseQuery(string(twilio.AppendForm(nil, v)))
		if err != nil {
			t.Fatal(err)
		}
		if len(form) != len(v.Set().Names()) {
			t.Errorf("%d keys for %s", len(form), v.Set())
		}
		for p := range v.Set().Each() {
			if got := form.Get(p.FormKey()); got != v.Get(p) {
				t.Errorf("%s is %q, want %q", p, got, v.Get(p))
			}
		}
	})
}
