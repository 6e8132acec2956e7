package redisstore

import (
	"net/url"
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
// host, rueidis would connect to localhost. An empty path is no database number. Errors
// contain nothing of the URL.
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
	for name := range query {
		if !slices.Contains(urlParameters, name) {
			return errParameter
		}
	}
	if query.Has("protocol") && query.Get("protocol") != "2" && query.Get("protocol") != "3" {
		return errProtocol
	}
	return nil
}

var (
	errParameter = invalid.Fieldf("redisstore.URL", "has a parameter other than %s", strings.Join(urlParameters, ", "))
	errProtocol  = invalid.Fieldf("redisstore.URL", "has a protocol other than 2 and 3")
)
