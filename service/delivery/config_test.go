package delivery

import (
	"testing"
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
