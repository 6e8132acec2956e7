package redisstore

import (
	"cmp"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/redis/rueidis"

	"conferenced/service/invalid"
)

// urlParameters are the parameters that the query of a URL can have.
var urlParameters = []string{
	"addr", "client_name", "db", "dial_timeout", "master_set", "protocol", "skip_verify", "write_timeout",
}

// parseURL parses a URL as rueidis does, and refuses parameters that rueidis ignores.
// An empty path is no database number. Errors contain nothing of the URL but the name
// of a parameter.
func parseURL(text string) (rueidis.ClientOption, error) {
	u, err := url.Parse(text)
	if err != nil {
		return rueidis.ClientOption{}, errURL
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return rueidis.ClientOption{}, errURL
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if !slices.Contains(urlParameters, name) {
			return rueidis.ClientOption{}, unknownParameter(name)
		}
	}
	if u.Path == "/" {
		u.Path = ""
	}
	options, err := rueidis.ParseURL(u.String())
	if err != nil {
		return options, errURL
	}
	return options, nil
}

// parameterName matches names that are not a secret in the wrong place.
var parameterName = regexp.MustCompile(`^[A-Za-z_-]{1,20}$`)

// unknownParameter suggests the parameter that begins like the unknown one, if any.
func unknownParameter(name string) error {
	nearest := slices.MaxFunc(urlParameters, func(a, b string) int {
		return cmp.Compare(commonLetters(a, name), commonLetters(b, name))
	})
	if !parameterName.MatchString(name) || commonLetters(nearest, name) < 3 {
		nearest = "one of " + strings.Join(urlParameters, ", ")
	}
	if !parameterName.MatchString(name) {
		name = "in its query"
	}
	return invalid.Fieldf("redisstore.URL", "has an unknown parameter %s: want %s", name, nearest)
}

// commonLetters counts the first letters that two names have in common.
func commonLetters(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n]|0x20 == b[n]|0x20 {
		n++
	}
	return n
}
