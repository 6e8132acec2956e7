package sids_test

import (
	"testing"

	"conferenced/service/sids"
)

func TestFormOfASID(t *testing.T) {
	const digits = "00112233445566778899aabbccDDEEFF"
	tests := []struct {
		name, text string
		want       bool
	}{
		{"a SID", "CA" + digits, true},
		{"another prefix", "CF" + digits, false},
		{"a prefix in lower case", "ca" + digits, false},
		{"a digit less", "CA" + digits[1:], false},
		{"a digit more", "CA0" + digits, false},
		{"a letter that is not a digit", "CA" + digits[1:] + "g", false},
		{"a space inside", "CA" + digits[:15] + " " + digits[16:], false},
		{"a character of two bytes", "CA" + digits[2:] + "é", false},
		{"nothing", "", false},
		{"the prefix alone", "CA", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := sids.IsCall(test.text); got != test.want {
				t.Errorf("IsCall(%q) = %v", test.text, got)
			}
		})
	}
}
