// Package sids recognizes the SIDs of Twilio's resources: two letters for the kind of
// resource, and 32 hexadecimal digits.
package sids

import "strings"

// IsAccount reports whether the text has the syntax of an Account SID.
func IsAccount(text string) bool { return hasForm("AC", text) }

// IsKey reports whether the text has the syntax of the SID of an API key.
func IsKey(text string) bool { return hasForm("SK", text) }

// IsConference reports whether the text has the syntax of a Conference SID.
func IsConference(text string) bool { return hasForm("CF", text) }

// IsCall reports whether the text has the syntax of a Call SID. The name of a participant
// that has it is not a label.
func IsCall(text string) bool { return hasForm("CA", text) }

func hasForm(prefix, text string) bool {
	digits, ok := strings.CutPrefix(text, prefix)
	return ok && len(digits) == 32 && strings.Trim(digits, "0123456789abcdefABCDEF") == ""
}
