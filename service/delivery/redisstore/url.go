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

// parseURL parses a URL as rueidis does, and refuses what rueidis ignores. Without a
// host, rueidis would connect to localhost. An empty path is no database number. Errors contain nothing of the URL but the name
// of a parameter.
func parseURL(text string) (rueidis.ClientOption, error) {
	u, err := url.Parse(text)
	if err != nil || u.Fragment != "" || u.Scheme != "unix" && u.Hostname() == "" {
		return rueidis.ClientOption{}, errURL
	}
	if err := checkQuery(u.RawQuery); err != nil {
		return rueidis.ClientOption{}, err
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

func checkQuery(text string) error {
	query, err := url.ParseQuery(text)
	if err != nil {
		return errURL
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if !slices.Contains(urlParameters, name) {
			return unknownParameter(name)
		}
	}
	if query.Has("protocol") && query.Get("protocol") != "2" && query.Get("protocol") != "3" {
		return errProtocol
	}
	return nil
}

var errProtocol = invalid.Fieldf("redisstore.URL", "has a protocol other than 2 and 3")

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
