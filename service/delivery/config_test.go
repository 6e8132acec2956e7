package delivery

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestValidConfigs(t *testing.T) {
	tests := map[string]func(*Config){
		"the default":                        func(*Config) {},
		"no retry":                           func(c *Config) { c.Retrying = Retrying{Attempts: 1} },
		"retries without a wait":             func(c *Config) { c.Retrying = Retrying{Attempts: 9} },
		"no limits":                          func(c *Config) { c.Limits = Limits{} },
		"no queue":                           func(c *Config) { c.Limits.Queue = 0 },
		"a limit that does not adapt":        func(c *Config) { c.Limits.MinConcurrency = c.Limits.MaxConcurrency },
		"a rate":                             func(c *Config) { c.Limits.Rate = 0.5 },
		"the slowest rate":                   func(c *Config) { c.Limits.Rate = 0.001 },
		"no rate, so no burst":               func(c *Config) { c.Limits.Burst = 0 },
		"a rate without a concurrency limit": func(c *Config) { c.Limits = Limits{Rate: 10, Burst: 1} },
		"no breaker":                         func(c *Config) { c.Breaking = Breaking{} },
		"no grace":                           func(c *Config) { c.Grace = 0 },
		"no order":                           func(c *Config) { c.Unordered = true },
		"no request IDs":                     func(c *Config) { c.IgnoreRequestIDs = true },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := Default()
			change(&cfg)
			if err := cfg.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestInvalidConfigsNameTheField(t *testing.T) {
	tests := []struct {
		want   string
		change func(*Config)
	}{
		{"Retrying.Attempts is 0, want at least 1", func(c *Config) { c.Retrying.Attempts = 0 }},
		{"Retrying.Base is -1ns, want at least 0s", func(c *Config) { c.Retrying.Base = -1 }},
		{"Retrying.Cap is -1s, want at least 0s", func(c *Config) { c.Retrying.Cap = -time.Second }},
		{"Retrying.Cap is 2000h0m0s, want at most 1000h0m0s", func(c *Config) { c.Retrying.Cap = 2000 * time.Hour }},
		{"Limits.MaxConcurrency is -1, want at least 0", func(c *Config) { c.Limits.MaxConcurrency = -1 }},
		{"Limits.MinConcurrency is 0, want at least 1", func(c *Config) { c.Limits.MinConcurrency = 0 }},
		{"Limits.MinConcurrency is 1001, want at most 1000", func(c *Config) { c.Limits.MinConcurrency = 1001 }},
		{"Limits.Queue is -1, want at least 0", func(c *Config) { c.Limits.Queue = -1 }},
		{"Limits.Rate is -1, want 0 or a number from 0.001", func(c *Config) { c.Limits.Rate = -1 }},
		{"Limits.Rate is 1e-09, want 0 or a number from 0.001", func(c *Config) { c.Limits.Rate = 1e-9 }},
		{"Limits.Rate is NaN, want 0 or a number from 0.001", func(c *Config) { c.Limits.Rate = math.NaN() }},
		{"Limits.Rate is +Inf, want 0 or a number from 0.001", func(c *Config) { c.Limits.Rate = math.Inf(1) }},
		{"Limits.Burst is 0, want at least 1", func(c *Config) { c.Limits.Rate, c.Limits.Burst = 1, 0 }},
		{"Breaking.OpenFor is 0s, want at least 1ns", func(c *Config) { c.Breaking.OpenFor = 0 }},
		{"Breaking.Probes is 0, want at least 1", func(c *Config) { c.Breaking.Probes = 0 }},
		{"Bounds.Queue is 0, want at least 1", func(c *Config) { c.Bounds.Queue = 0 }},
		{"Bounds.Labels is 0, want at least 1", func(c *Config) { c.Bounds.Labels = 0 }},
		{"Bounds.LabelAge is 0s, want at least 1ns", func(c *Config) { c.Bounds.LabelAge = 0 }},
		{"Bounds.Records is 0, want at least 1", func(c *Config) { c.Bounds.Records = 0 }},
		{"Bounds.Retention is 0s, want at least 1ns", func(c *Config) { c.Bounds.Retention = 0 }},
		{"Grace is -1s, want at least 0s", func(c *Config) { c.Grace = -time.Second }},
	}
	for _, test := range tests {
		t.Run(test.want, func(t *testing.T) {
			cfg := Default()
			test.change(&cfg)
			err := cfg.Validate()
			if err == nil || err.Error() != "delivery: "+test.want {
				t.Errorf("%v, want delivery: %s", err, test.want)
			}
		})
	}
}

func TestValidateReportsEveryInvalidField(t *testing.T) {
	wrong := Config{
		Retrying: Retrying{Base: -1, Cap: -1},
		Limits:   Limits{MaxConcurrency: -1, Queue: -1, Rate: -1},
		Breaking: Breaking{Failures: 1},
		Grace:    -1,
	}
	names := []string{}
	for line := range strings.Lines(wrong.Validate().Error()) {
		names = append(names, strings.Fields(line)[1])
	}
	want := []string{
		"Retrying.Attempts", "Retrying.Base", "Retrying.Cap",
		"Limits.MaxConcurrency", "Limits.Queue", "Limits.Rate", "Limits.Burst",
		"Breaking.OpenFor", "Breaking.Probes",
		"Bounds.Queue", "Bounds.Labels", "Bounds.LabelAge", "Bounds.Records", "Bounds.Retention",
		"Grace",
	}
	if !slices.Equal(names, want) {
		t.Errorf("reported %v, want %v", names, want)
	}
}
