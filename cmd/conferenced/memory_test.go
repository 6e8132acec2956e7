package main

import (
	"math"
	"os"
	"runtime/debug"
	"testing"
)

func TestTuneMemory(t *testing.T) {
	tests := []struct {
		name string
		env  map[string]string
		want int
	}{
		{"by itself", nil, gcPercent},
		{"empty variables count as unset", map[string]string{"GOGC": "", "GOMEMLIMIT": ""}, gcPercent},
		{"GOGC is left alone", map[string]string{"GOGC": "70"}, 70},
		{"GOMEMLIMIT leaves GOGC alone", map[string]string{"GOMEMLIMIT": "1GiB"}, 70},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, name := range []string{"GOGC", "GOMEMLIMIT", "AUTOMEMLIMIT"} {
				value, set := test.env[name]
				t.Setenv(name, value)
				if !set {
					os.Unsetenv(name)
				}
			}
			percent, limit := debug.SetGCPercent(70), debug.SetMemoryLimit(math.MaxInt64)
			defer func() {
				debug.SetGCPercent(percent)
				debug.SetMemoryLimit(limit)
			}()
			tuneMemory()
			if got := debug.SetGCPercent(70); got != test.want {
				t.Errorf("GOGC %d, want %d", got, test.want)
			}
			if got := debug.SetMemoryLimit(-1); test.want == 70 && got != math.MaxInt64 {
				t.Errorf("GOMEMLIMIT %d", got)
			}
		})
	}
}
