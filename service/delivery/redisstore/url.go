package redisstore

import (
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"conferenced/service/invalid"
)

// urlParameters are the parameters that the query of a URL can have.
var urlParameters = []string{
	"addr", "client_name", "db", "dial_timeout", "master_set", "protocol", "skip_verify", "write_timeout",
}

// parseURL parses a URL as rueidis does, and refuses what rueidis ignores or replaces by
// localhost or the first host. An empty path is no database number. Errors contain nothing
// of the URL.
func parseURL(text string) (rueidis.ClientOption, error) {
	u, err := url.Parse(text)
	if err != nil || u.Fragment != "" || !hasAddress(u) {
		return rueidis.ClientOption{}, errURL
	}
	if err := checkQuery(u.RawQuery); err != nil {
		return rueidis.ClientOption{}, err
	}
	if u.Path == "/" {
		u.Path = ""
	}
	options, err := rueidis.ParseURL(u.String())
	if err != nil || options.SelectDB < 0 {
		return options, errURL
	}
	return options, nil
}

// hasAddress reports whether the URL has the path of a socket, or a host, with or without
// a port.
func hasAddress(u *url.URL) bool {
	if u.Scheme == "unix" {
		return u.Host == "" && u.Path != ""
	}
	return u.Hostname() != "" && (u.Port() == "" || isPort(u.Port()))
}

func checkQuery(text string) error {
	query, err := url.ParseQuery(text)
	if err != nil {
		return errURL
	}
	for name, values := range query {
		switch {
		case !slices.Contains(urlParameters, name):
			return errParameter
		case len(values) > 1 && name != "addr":
			return invalid.Fieldf("redisstore.URL", "has the parameter %s more than once", name)
		}
	}
	if slices.ContainsFunc(query["addr"], isNotHostPort) {
		return errAddr
	}
	if query.Has("master_set") && query.Get("master_set") == "" {
		return errMasterSet
	}
	if query.Has("protocol") && query.Get("protocol") != "2" && query.Get("protocol") != "3" {
		return errProtocol
	}
	return nil
}

func isNotHostPort(text string) bool {
	host, port, err := net.SplitHostPort(text)
	return err != nil || host == "" || !isPort(port)
}

func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port != 0
}

var (
	errParameter = invalid.Fieldf("redisstore.URL", "has a parameter other than %s", strings.Join(urlParameters, ", "))
	errAddr      = invalid.Fieldf("redisstore.URL", "has an addr other than HOST:PORT")
	errMasterSet = invalid.Fieldf("redisstore.URL", "has an empty master_set")
	errProtocol  = invalid.Fieldf("redisstore.URL", "has a protocol other than 2 and 3")
)
