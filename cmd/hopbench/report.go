package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"
)

// report is all that a run found out.
type report struct {
	results   results
	half      halfLoad
	flights   map[string]flight
	starts    map[string][]float64 // Milliseconds.
	binaryMiB float64
	took      time.Duration
}

// write writes the report as Markdown.
func (r *report) write(w io.Writer, b *bench) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s, %d CPUs, %s; upstream %s; %d rounds of %v; took %v.\n",
		machine(), runtime.NumCPU(), runtime.Version(), b.upstream, b.rounds, b.slice, r.took.Round(time.Second))
	text.WriteString("Medians; in brackets the lowest and the highest round. Ratios are of the same round; the other is the peer, by gRPC or by REST.\n")
	for _, clients := range b.counts {
		r.writeClients(&text, b, clients)
	}
	r.writeHalfLoad(&text, b)
	r.writeFlights(&text, b)
	r.writeStarts(&text)
	r.writeTargets(&text)
	_, err := io.WriteString(w, text.String())
	return err
}

// columns are what is reported of samples.
var columns = []struct {
	title  string
	value  func(sample) float64
	format string
}{
	{"calls/s", throughput, "%.0f"},
	{"p50 ms", func(s sample) float64 { return s.p50 }, "%.2f"},
	{"p99 ms", func(s sample) float64 { return s.p99 }, "%.2f"},
	{"CPU µs/call", cpu, "%.1f"},
	{"allocs/call", func(s sample) float64 { return s.allocations }, "%.0f"},
	{"peak MiB", func(s sample) float64 { return s.peak }, "%.1f"},
}

// writeClients writes what was measured at a number of clients, and then the
// ratios to floor and to the other.
func (r *report) writeClients(text *strings.Builder, b *bench, clients int) {
	fmt.Fprintf(text, "\n### %d callers\n", clients)
	samples := r.results[clients]
	writeHead(text, "")
	for _, c := range b.contestants {
		fmt.Fprintf(text, "| %s |", c.name)
		for _, column := range columns {
			fmt.Fprintf(text, " "+column.format+" |", medianOf(samples[c.name], column.value))
		}
		text.WriteString("\n")
	}
	writeHead(text, "× floor")
	for _, c := range b.contestants {
		writeRatios(text, samples, c.name, nameFloor)
	}
	writeHead(text, "× other")
	for _, c := range b.contestants {
		writeRatios(text, samples, c.name, c.against)
	}
}

func writeHead(text *strings.Builder, of string) {
	fmt.Fprintf(text, "\n| %s |", of)
	for _, column := range columns {
		title, _, _ := strings.Cut(column.title, " ")
		if of == "" {
			title = column.title
		}
		fmt.Fprintf(text, " %s |", title)
	}
	text.WriteString("\n|---|" + strings.Repeat("---|", len(columns)) + "\n")
}

// writeRatios writes a contestant's row against another; none if there is none.
func writeRatios(text *strings.Builder, samples map[string][]sample, name, other string) {
	if other == "" || name == other {
		return
	}
	fmt.Fprintf(text, "| %s |", name)
	for _, c := range columns {
		fmt.Fprintf(text, " %v |", spreadOf(ratios(column(samples[name], c.value), column(samples[other], c.value))))
	}
	text.WriteString("\n")
}

func medianOf(samples []sample, value func(sample) float64) float64 {
	return spreadOf(column(samples, value)).median
}

func (r *report) writeHalfLoad(text *strings.Builder, b *bench) {
	fmt.Fprintf(text, "\n### Half load: %.0f calls/s\n\n", r.half.rate)
	text.WriteString("| | p50 ms | p99 ms | p50 over floor, ms | p99 over floor, ms |\n|---|---|---|---|---|\n")
	for _, c := range b.contestants {
		fmt.Fprintf(text, "| %s | %v | %v | %v | %v |\n", c.name,
			spreadOf(r.half.p50[c.name]), spreadOf(r.half.p99[c.name]),
			spreadOf(differences(r.half.p50[c.name], r.half.p50[nameFloor])),
			spreadOf(differences(r.half.p99[c.name], r.half.p99[nameFloor])))
	}
}

func (r *report) writeFlights(text *strings.Builder, b *bench) {
	fmt.Fprintf(text, "\n### %d calls in flight, upstream takes %v\n\n", b.inFlight, b.slowUpstream)
	text.WriteString("| | idle MiB | peak MiB | heap MiB | stacks MiB | goroutines/call | p99 ms |\n|---|---|---|---|---|---|---|\n")
	for _, c := range b.contestants {
		if f, ok := r.flights[c.name]; ok {
			fmt.Fprintf(text, "| %s | %.1f | %.1f | %.1f | %.1f | %.2f | %.0f |\n", c.name, f.idle, f.peak, f.heap, f.stacks, f.goroutines, f.p99)
		}
	}
}

func (r *report) writeStarts(text *strings.Builder) {
	text.WriteString("\n### Start and size\n\n| | ready after, ms |\n|---|---|\n")
	for _, name := range []string{"floor", "peer", "conferenced"} {
		fmt.Fprintf(text, "| %s | %v |\n", name, spreadOf(r.starts[name]))
	}
	fmt.Fprintf(text, "\nThe binary of conferenced has %.1f MiB.\n", r.binaryMiB)
}

func (r *report) writeTargets(text *strings.Builder) {
	fmt.Fprintf(text, "\n### Targets, at %d callers\n\n| | target | measured | |\n|---|---|---|---|\n", usualClients)
	for _, t := range r.targets() {
		verdict := "met"
		if !t.met() {
			verdict = "missed"
		}
		fmt.Fprintf(text, "| %s | %s | %s | %s |\n", t.what, t.wanted(), t.measured, verdict)
	}
}
