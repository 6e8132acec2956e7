package callers

import (
	"slices"
	"strings"

	"conferenced/service/properties"
)

// propertySet is a set of an update's properties: bit i is properties.Names[i].
type propertySet uint16

var allProperties = propertySet(1)<<len(properties.Names) - 1

// propertyOf is the set of the named property; empty if there is none.
func propertyOf(name string) propertySet {
	if i := slices.Index(properties.Names, name); i >= 0 {
		return 1 << i
	}
	return 0
}

// first names the set's first property in the API's order.
func (p propertySet) first() string {
	for i, name := range properties.Names {
		if p&(1<<i) != 0 {
			return name
		}
	}
	return ""
}

func (p propertySet) String() string {
	var names []string
	for i, name := range properties.Names {
		if p&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}
