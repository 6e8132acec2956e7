package property_test

import (
	"slices"
	"testing"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/property"
)

// TestPropertiesAreThoseOfTheAPI compares the enumeration with the fields of a change.
func TestPropertiesAreThoseOfTheAPI(t *testing.T) {
	var want []string
	fields := new(conferencev1.ParticipantChange).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		want = append(want, string(fields.Get(i).Name()))
	}
	if got := property.All.Names(); !slices.Equal(got, want) {
		t.Errorf("the properties are %v, want %v", got, want)
	}
	for p := range property.All.Each() {
		if parsed, ok := property.Parse(p.String()); !ok || parsed != p {
			t.Errorf("%s is parsed as %v", p, parsed)
		}
	}
	if _, ok := property.Parse("mute"); ok {
		t.Error("an unknown property is parsed")
	}
}

func TestSets(t *testing.T) {
	both := property.Of(property.Hold, property.Muted)
	if !both.Covers(property.Of(property.Muted)) || property.Of(property.Muted).Covers(both) || !both.Covers(0) {
		t.Error("Covers is wrong")
	}
	if got := both.String(); got != "muted, hold" {
		t.Errorf("got %q, want the API's order", got)
	}
}

func TestValuesKeepFalseAndEmptyApartFromUnset(t *testing.T) {
	var v property.Values
	v.Put(property.Muted, "false")
	v.Put(property.WaitURL, "")
	if want := property.Of(property.Muted, property.WaitURL); v.Set() != want || v.Get(property.Muted) != "false" {
		t.Errorf("sets %s with muted=%q, want %s", v.Set(), v.Get(property.Muted), want)
	}
}
