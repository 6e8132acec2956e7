package callers

import (
	"slices"
	"strings"
)

// pattern matches whole texts. `*` stands for any characters, also slashes and
// none at all; every other character stands for itself.
type pattern struct {
	parts []string // The text between the stars, one part more than stars.
}

func newPattern(text string) *pattern {
	return &pattern{parts: strings.Split(text, "*")}
}

// match takes time proportional to the text: each part is searched once, after
// the part before it.
func (p *pattern) match(text string) bool {
	first, rest := p.parts[0], p.parts[1:]
	if len(rest) == 0 {
		return text == first
	}
	text, ok := strings.CutPrefix(text, first)
	if !ok {
		return false
	}
	middle, last := rest[:len(rest)-1], rest[len(rest)-1]
	text, ok = strings.CutSuffix(text, last)
	if !ok {
		return false
	}
	for _, part := range middle {
		_, text, ok = strings.Cut(text, part)
		if !ok {
			return false
		}
	}
	return true
}

// any reports whether one of the texts matches.
func (p *pattern) any(texts []string) bool {
	return slices.ContainsFunc(texts, p.match)
}

func (p *pattern) String() string { return strings.Join(p.parts, "*") }
