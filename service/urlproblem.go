package service

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// webURL divides an http or https URL into user information, host, port and the
// rest, whatever their characters are.
var webURL = regexp.MustCompile(`(?is)^https?://(?:([^/?#]*)@)?([[][^]/?#]*]?|[^/?#:]*)(:[^/?#]*)?(.*)$`)

// urlParts are the parts that webURL divides a URL into. Of each, valid matches the
// longest beginning that RFC 3986 allows, and problem is what is wrong with the
// character after it.
var urlParts = []struct {
	valid   *regexp.Regexp
	problem string
}{
	{regexp.MustCompile(`^([\w.~!$&'()*+,;=:-]|%[[:xdigit:]]{2})*`), "must be percent-encoded"},
	{regexp.MustCompile(`^([[][[:xdigit:]:]*]?|[\w.-]*)`), "must have a valid host"},
	{regexp.MustCompile(`^:?[0-9]*`), "must have a valid port"},
	{
		regexp.MustCompile(`^([\w.~!$&'()*+,;=:@/?-]|%[[:xdigit:]]{2})*(#([\w.~!$&'()*+,;=:@/?-]|%[[:xdigit:]]{2})*)?`),
		"must be percent-encoded",
	},
}

// hostPart is the index of the host in urlParts.
const hostPart = 1

// urlProblem describes the first character of a text that keeps it from being an
// http or https URL, with its position in characters from 1, and no other part of
// the text. It returns "" if no single character is at fault.
func urlProblem(text string) string {
	groups := webURL.FindStringSubmatchIndex(text)
	if groups == nil {
		return ""
	}
	for i, part := range urlParts {
		from, to := groups[2*i+2], groups[2*i+3]
		if from < 0 {
			continue // The URL has no such part.
		}
		at := from + len(part.valid.FindString(text[from:to]))
		if at == to {
			continue
		}
		if i == hostPart && strings.ContainsFunc(text[from:to], isInternational) {
			return "must have its international host in the xn-- form"
		}
		character, _ := utf8.DecodeRuneInString(text[at:])
		return fmt.Sprintf("%s: %q at character %d", part.problem, string(character), utf8.RuneCountInString(text[:at])+1)
	}
	return ""
}

func isInternational(character rune) bool { return character >= utf8.RuneSelf }
