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
		{"Retrying.Attempts: must be at least 1, not 0", func(c *Config) { c.Retrying.Attempts = 0 }},
		{"Retrying.Base: must be at least 0s, not -1ns", func(c *Config) { c.Retrying.Base = -1 }},
		{"Retrying.Cap: must be at least 0s, not -1s", func(c *Config) { c.Retrying.Cap = -time.Second }},
		{"Retrying.Cap: must be at most 1000h0m0s, not 2000h0m0s", func(c *Config) { c.Retrying.Cap = 2000 * time.Hour }},
		{"Limits.MaxConcurrency: must be at least 0, not -1", func(c *Config) { c.Limits.MaxConcurrency = -1 }},
		{"Limits.MinConcurrency: must be at least 1, not 0", func(c *Config) { c.Limits.MinConcurrency = 0 }},
		{"Limits.MinConcurrency: must be at most 1000, not 1001", func(c *Config) { c.Limits.MinConcurrency = 1001 }},
		{"Limits.Queue: must be at least 0, not -1", func(c *Config) { c.Limits.Queue = -1 }},
		{"Limits.Rate: must be 0 or at least 0.001, not -1", func(c *Config) { c.Limits.Rate = -1 }},
		{"Limits.Rate: must be 0 or at least 0.001, not 1e-09", func(c *Config) { c.Limits.Rate = 1e-9 }},
		{"Limits.Rate: must be 0 or at least 0.001, not NaN", func(c *Config) { c.Limits.Rate = math.NaN() }},
		{"Limits.Rate: must be 0 or at least 0.001, not +Inf", func(c *Config) { c.Limits.Rate = math.Inf(1) }},
		{"Limits.Burst: must be at least 1, not 0", func(c *Config) { c.Limits.Rate, c.Limits.Burst = 1, 0 }},
		{"Breaking.OpenFor: must be at least 1ns, not 0s", func(c *Config) { c.Breaking.OpenFor = 0 }},
		{"Breaking.Probes: must be at least 1, not 0", func(c *Config) { c.Breaking.Probes = 0 }},
		{"Bounds.Queue: must be at least 1, not 0", func(c *Config) { c.Bounds.Queue = 0 }},
		{"Bounds.Labels: must be at least 1, not 0", func(c *Config) { c.Bounds.Labels = 0 }},
		{"Bounds.LabelAge: must be at least 1ns, not 0s", func(c *Config) { c.Bounds.LabelAge = 0 }},
		{"Bounds.Records: must be at least 1, not 0", func(c *Config) { c.Bounds.Records = 0 }},
		{"Bounds.Retention: must be at least 1ns, not 0s", func(c *Config) { c.Bounds.Retention = 0 }},
		{"Grace: must be at least 0s, not -1s", func(c *Config) { c.Grace = -time.Second }},
	}
	for _, test := range tests {
		t.Run(test.want, func(t *testing.T) {
			cfg := Default()
			test.change(&cfg)
			err := cfg.Validate()
			if err == nil || err.Error() != "delivery."+test.want {
				t.Errorf("%v, want delivery.%s", err, test.want)
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
		field, _, _ := strings.Cut(line, ":")
		names = append(names, strings.TrimPrefix(field, "delivery."))
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
