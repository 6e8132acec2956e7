// Package property defines the twelve properties of a participant that an update can
// set, and the values of one update.
package property

import (
	"iter"
	"math/bits"
	"strings"
)

// Property is one of the twelve properties. Their order is that of the API and of
// Twilio's form.
type Property uint8

// The properties.
const (
	Muted Property = iota
	Hold
	HoldURL
	HoldMethod
	AnnounceURL
	AnnounceMethod
	WaitURL
	WaitMethod
	BeepOnExit
	EndConferenceOnExit
	Coaching
	CallSIDToCoach

	count = iota
)

// names are each property's field in the API and key in Twilio's form.
var names = [count]struct{ field, formKey string }{
	Muted:               {"muted", "Muted"},
	Hold:                {"hold", "Hold"},
	HoldURL:             {"hold_url", "HoldUrl"},
	HoldMethod:          {"hold_method", "HoldMethod"},
	AnnounceURL:         {"announce_url", "AnnounceUrl"},
	AnnounceMethod:      {"announce_method", "AnnounceMethod"},
	WaitURL:             {"wait_url", "WaitUrl"},
	WaitMethod:          {"wait_method", "WaitMethod"},
	BeepOnExit:          {"beep_on_exit", "BeepOnExit"},
	EndConferenceOnExit: {"end_conference_on_exit", "EndConferenceOnExit"},
	Coaching:            {"coaching", "Coaching"},
	CallSIDToCoach:      {"call_sid_to_coach", "CallSidToCoach"},
}

// String returns the name of the property's field in the API.
func (p Property) String() string { return names[p].field }

// FormKey returns the property's key in Twilio's form.
func (p Property) FormKey() string { return names[p].formKey }

// Parse returns the property with that field in the API.
func Parse(field string) (Property, bool) {
	for p := range All.Each() {
		if names[p].field == field {
			return p, true
		}
	}
	return 0, false
}

// Set is a set of properties.
type Set uint16

// All has every property. Booleans has the properties of type bool.
const (
	All      Set = 1<<count - 1
	Booleans Set = 1<<Muted | 1<<Hold | 1<<BeepOnExit | 1<<EndConferenceOnExit | 1<<Coaching
)

// Of returns the set of the properties.
func Of(properties ...Property) Set {
	var s Set
	for _, p := range properties {
		s |= 1 << p
	}
	return s
}

// Has reports whether the property is in the set.
func (s Set) Has(p Property) bool { return s&(1<<p) != 0 }

// Covers reports whether every property of the other set is in this one.
func (s Set) Covers(other Set) bool { return other&^s == 0 }

// Each yields the properties in the set in their order.
func (s Set) Each() iter.Seq[Property] {
	return func(yield func(Property) bool) {
		for rest := s; rest != 0; rest &= rest - 1 {
			if !yield(Property(bits.TrailingZeros16(uint16(rest)))) { //nolint:gosec // At most 15.
				return
			}
		}
	}
}

// Names returns the properties' fields in the API in their order.
func (s Set) Names() []string {
	fields := make([]string, 0, bits.OnesCount16(uint16(s)))
	for p := range s.Each() {
		fields = append(fields, p.String())
	}
	return fields
}

// String returns the names, separated by commas.
func (s Set) String() string { return strings.Join(s.Names(), ", ") }

// Values is the properties that one update sets, with their values as in Twilio's
// form. The zero Values sets nothing.
type Values struct {
	set    Set
	values [count]string
}

// Set returns the properties that have a value; "" and false are values.
func (v *Values) Set() Set { return v.set }

// Get returns the property's value; "" if it has none.
func (v *Values) Get(p Property) string { return v.values[p] }

// Put sets the property to the value.
func (v *Values) Put(p Property, value string) {
	v.set |= 1 << p
	v.values[p] = value
}
