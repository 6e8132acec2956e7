package gateway

import "strings"

// maxNameLen is how much of an unknown field's name is repeated, in bytes.
const maxNameLen = 64

func shortened(name string) string {
	if len(name) <= maxNameLen {
		return name
	}
	return strings.ToValidUTF8(name[:maxNameLen], "") + "…"
}

// nearestField is the field of the body that a misspelt name most likely means,
// or nothing: `muted` for `mute`, `hold_url` for `HoldUrl`.
func nearestField(name string, r *route) string {
	if len(name) > maxNameLen {
		return ""
	}
	const maxDistance = 2
	nearest, least := "", maxDistance+1
	fields := r.input.Descriptor().Fields()
	for i := range fields.Len() {
		field := string(fields.Get(i).Name())
		apart := distance(folded(name), folded(field))
		if apart < least && apart < len(name) && !r.givesField(field) {
			nearest, least = field, apart
		}
	}
	return nearest
}

// folded leaves out what tells snake_case, camelCase and PascalCase apart.
func folded(name string) string {
	return strings.ToLower(strings.ReplaceAll(name, "_", ""))
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
