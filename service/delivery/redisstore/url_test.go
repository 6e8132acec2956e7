package redisstore

import (
	"reflect"
	"strings"
	"testing"

	"github.com/redis/rueidis"
)

func TestURLs(t *testing.T) {
	for text, want := range map[string]rueidis.ClientOption{
		"redis://redis.test":                         {InitAddress: []string{"redis.test:6379"}},
		"redis://redis.test:6380/":                   {InitAddress: []string{"redis.test:6380"}},
		"redis://redis.test/?db=2":                   {InitAddress: []string{"redis.test:6379"}, SelectDB: 2},
		"redis://redis.test/2":                       {InitAddress: []string{"redis.test:6379"}, SelectDB: 2},
		"redis://me:p%40%2F%25@redis.test/":          {InitAddress: []string{"redis.test:6379"}, Username: "me", Password: "p@/%"},
		"redis://a.test?addr=b.test:1&addr=c.test:2": {InitAddress: []string{"a.test:6379", "b.test:1", "c.test:2"}},
		"unix:///run/redis.sock?db=1":                {InitAddress: []string{"/run/redis.sock"}, SelectDB: 1},
	} {
		got, err := parseURL(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got.DialCtxFn = nil
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}

func TestURLsThatAreRefused(t *testing.T) {
	const parameter = "has a parameter other than addr, client_name, db, dial_timeout, master_set, protocol, skip_verify, write_timeout"
	for text, want := range map[string]string{
		"redis://:hidden@redis.test?master_name=m": parameter,
		"redis://redis.test/?password=hidden":      parameter,
		"redis://redis.test?hidden0123":            parameter,
		"redis://redis.test?db=1;hidden":           "redis://[USER:PASSWORD@]HOST",
		"redis://:hidden%zz@redis.test":            "redis://[USER:PASSWORD@]HOST",
		"redis://redis.test/hidden":                "redis://[USER:PASSWORD@]HOST",
		"redis://redis.test/1/":                    "redis://[USER:PASSWORD@]HOST",
		"redis.test:6379":                          "redis://[USER:PASSWORD@]HOST",
		"redis://":                                 "redis://[USER:PASSWORD@]HOST",
		"redis://:6379/1":                          "redis://[USER:PASSWORD@]HOST",
		"redis://redis.test/1#hidden":              "redis://[USER:PASSWORD@]HOST",
		"redis://redis.test?protocol=hidden":       "has a protocol other than 2 and 3",
		"redis://redis.test:99999":                 "redis://[USER:PASSWORD@]HOST",
		"redis://redis.test/-1":                    "redis://[USER:PASSWORD@]HOST",
		"redis://redis.test?db=-1":                 "redis://[USER:PASSWORD@]HOST",
		"redis://redis.test?db=1&db=2":             "has the parameter db more than once",
		"redis://a.test?addr=hidden":               "has an addr other than HOST:PORT",
		"redis://a.test?addr=":                     "has an addr other than HOST:PORT",
		"redis://a.test?addr=b.test:1&addr=:2":     "has an addr other than HOST:PORT",
		"redis://a.test?addr=b.test:65536":         "has an addr other than HOST:PORT",
		"redis://a.test?master_set=":               "has an empty master_set",
		"unix://hidden/redis.sock":                 "unix:///PATH",
		"unix://":                                  "unix:///PATH",
	} {
		err := Config{URL: text}.Validate()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
