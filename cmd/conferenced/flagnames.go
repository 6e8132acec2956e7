package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/alecthomas/kong"

	"conferenced/service/invalid"
)

// flagNames finds the flag that sets a field of a configuration: the one whose tag
// `field` has the field's name. It also finds a flag by its own name, such as
// --http-addr.
type flagNames map[string]*kong.Flag

// newFlagNames returns the flags of all commands. Flags of one name have one variable.
func newFlagNames(app *kong.Application) flagNames {
	names := flagNames{}
	for _, command := range app.Leaves(false) {
		for _, flag := range command.Flags {
			names["--"+flag.Name] = flag
			if field := flag.Tag.Get("field"); field != "" {
				names[field] = flag
			}
		}
	}
	return names
}

// label returns the flag of a field and its variable: --http-addr
// (CONFERENCED_HTTP_ADDR).
func (n flagNames) label(field string) string {
	flag := n[field]
	switch {
	case flag == nil:
		return field
	case len(flag.Envs) == 0:
		return "--" + flag.Name
	default:
		return fmt.Sprintf("--%s (%s)", flag.Name, flag.Envs[0])
	}
}

// describe returns the text of an error, one problem a line. Invalid fields of a
// configuration are named by flag and variable.
func (n flagNames) describe(err error) string {
	switch known := err.(type) { //nolint:errorlint // It walks the tree of errors itself.
	case usageError:
		return n.describe(known.error)
	case *kong.ParseError:
		return n.describeParsing(known)
	case *invalid.FieldError:
		return n.label(known.Field) + ": " + known.Err.Error()
	case interface{ Unwrap() []error }:
		var lines []string
		for _, err := range known.Unwrap() {
			lines = append(lines, n.describe(err))
		}
		return strings.Join(lines, "\n")
	default:
		return err.Error()
	}
}

// noValue is how kong's errors about a flag without a value end.
var noValue = regexp.MustCompile(`(expected .*\(<EOL>\)|missing value, .*)$`)

// describeParsing adds the variable to an error of kong that begins with a flag.
func (n flagNames) describeParsing(err *kong.ParseError) string {
	text := noValue.ReplaceAllString(err.Error(), "needs a value")
	end := strings.IndexAny(text+" ", " :")
	flag := n[text[:end]]
	if flag == nil || len(flag.Envs) == 0 || strings.Contains(text, flag.Envs[0]) {
		return text
	}
	return n.label(text[:end]) + text[end:]
}

// variablePrefix is the prefix of the program's environment variables.
const variablePrefix = "CONFERENCED_"

// unknownVariables returns a warning for each of the variables, given as NAME=VALUE,
// that has the prefix and that no flag reads. It suggests the nearest name, if that
// differs by less than half. The variables that Kubernetes sets for a Service named
// conferenced are not counted.
func (n flagNames) unknownVariables(environment []string) (warnings []string) {
	known := map[string]bool{}
	for _, flag := range n {
		for _, name := range flag.Envs {
			known[name] = true
		}
	}
	for _, entry := range environment {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, variablePrefix) || known[name] || isServiceVariable(name, value) {
			continue
		}
		warnings = append(warnings, "no flag reads the variable "+name+suggestion(name, slices.Sorted(maps.Keys(known))))
	}
	return warnings
}

func suggestion(name string, known []string) string {
	nearest, least := "", (len(name)-len(variablePrefix)+1)/2
	for _, candidate := range known {
		if distance := levenshtein.ComputeDistance(name, candidate); distance < least {
			nearest, least = candidate, distance
		}
	}
	if nearest == "" {
		return ""
	}
	return ": did you mean " + nearest + "?"
}

// isServiceVariable reports whether Kubernetes sets the variable for a Service:
// CONFERENCED_SERVICE_HOST, CONFERENCED_PORT=tcp://10.0.0.1:8080 and the like.
func isServiceVariable(name, value string) bool {
	return strings.HasSuffix(name, "_SERVICE_HOST") || strings.Contains(name, "_SERVICE_PORT") ||
		strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://") ||
		strings.Contains(name, "_TCP")
}
