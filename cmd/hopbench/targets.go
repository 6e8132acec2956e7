package main

import (
	"fmt"
	"slices"
)

// target is a bound for what was measured. The median counts.
type target struct {
	what     string
	measured spread
	bound    float64
	least    bool // The bound is the least allowed, otherwise the most.
	unit     string
}

func (t target) met() bool {
	if t.least {
		return t.measured.median > t.bound
	}
	return t.measured.median <= t.bound
}

func (t target) wanted() string {
	if t.least {
		return fmt.Sprintf("more than %g%s", t.bound, t.unit)
	}
	return fmt.Sprintf("at most %g%s", t.bound, t.unit)
}

// Bounds that are not ratios to the peer.
const (
	mostCPUByGRPC  = 1.25 // × floor
	mostCPUByREST  = 1.9  // × floor
	mostAddedP99   = 1    // ms
	mostInFlight   = 64   // MiB
	longestToReady = 150  // ms
)

// targets compares what was measured with what it should be.
func (r *report) targets() []target {
	usual := r.results[usualClients]
	ratio := func(name, other string, value func(sample) float64) spread {
		return spreadOf(ratios(column(usual[name], value), column(usual[other], value)))
	}
	added := func(name string) spread {
		return spreadOf(differences(r.half.p99[name], r.half.p99[nameFloor]))
	}
	flight := func(name string) spread { return spreadOf([]float64{r.flights[name].peak}) }
	return slices.Concat([]target{
		{what: "CPU by gRPC", measured: ratio(nameGRPC, nameFloor, cpu), bound: mostCPUByGRPC, unit: " × floor"},
		{what: "CPU by gRPC", measured: ratio(nameGRPC, namePeer, cpu), bound: 1, unit: " × peer"},
		{what: "CPU by REST", measured: ratio(nameREST, nameFloor, cpu), bound: mostCPUByREST, unit: " × floor"},
		{what: "CPU by REST", measured: ratio(nameREST, namePeerREST, cpu), bound: 1, unit: " × peer"},
		{what: "calls/s by gRPC", measured: ratio(nameGRPC, namePeer, throughput), bound: 1, least: true, unit: " × peer"},
		{what: "calls/s by REST", measured: ratio(nameREST, namePeerREST, throughput), bound: 1, least: true, unit: " × peer"},
	}, []target{
		{what: "p99 by gRPC over floor, half load", measured: added(nameGRPC), bound: mostAddedP99, unit: " ms"},
		{what: "p99 by REST over floor, half load", measured: added(nameREST), bound: mostAddedP99, unit: " ms"},
		{what: "calls in flight by gRPC", measured: flight(nameGRPC), bound: mostInFlight, unit: " MiB"},
		{what: "calls in flight by REST", measured: flight(nameREST), bound: mostInFlight, unit: " MiB"},
		{what: "ready", measured: spreadOf(r.starts["conferenced"]), bound: longestToReady, unit: " ms"},
	})
}
