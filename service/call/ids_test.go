package call

import (
	"strings"
	"testing"
)

func TestFormOfAUUID(t *testing.T) {
	tests := []struct {
		name, text string
		want       bool
	}{
		{"lower case", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", true},
		{"upper case", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", true},
		{"zeros", "00000000-0000-0000-0000-000000000000", true},
		{"no hyphens", "a0eebc999c0b4ef8bb6d6bb9bd380a11", false},
		{"braces", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", false},
		{"a letter that is not a digit", "g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", false},
		{"hyphens alone", strings.Repeat("-", 36), false},
		{"digits alone", strings.Repeat("4", 36), false},
		{"a short first group", "a0eebc9-9c0b-4ef8-bb6d-6bb9bd380a111", false},
		{"a short second group", "a0eebc99-9c0-4ef8-bb6d-6bb9bd380a111", false},
		{"a short third group", "a0eebc99-9c0b-4ef-bb6d-6bb9bd380a111", false},
		{"a short fourth group", "a0eebc99-9c0b-4ef8-bb6-6bb9bd380a111", false},
		{"a sixth group", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd-80a11", false},
		{"nothing", "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := isUUID(test.text); got != test.want {
				t.Errorf("isUUID(%q) = %v", test.text, got)
			}
		})
	}
}
