package main

import (
	"fmt"
	"slices"
)

// spread is what the rounds made of a number.
type spread struct{ median, low, high float64 }

// spreadOf returns the zero spread for no values.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	median := sorted[half]
	if len(sorted)%2 == 0 {
		median = (sorted[half-1] + sorted[half]) / 2
	}
	return spread{median: median, low: sorted[0], high: sorted[len(sorted)-1]}
}

// ratios divides round by round.
func ratios(values, by []float64) []float64 {
	divided := make([]float64, min(len(values), len(by)))
	for i := range divided {
		divided[i] = values[i] / by[i]
	}
	return divided
}

// differences subtracts round by round.
func differences(values, by []float64) []float64 {
	left := make([]float64, min(len(values), len(by)))
	for i := range left {
		left[i] = values[i] - by[i]
	}
	return left
}

// String is the median with its spread: 1.20 (1.17–1.24).
func (s spread) String() string { return fmt.Sprintf("%.2f (%.2f–%.2f)", s.median, s.low, s.high) }
