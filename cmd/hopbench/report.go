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

func (r *report) writeClients(text *strings.Builder, b *bench, clients int) {
	fmt.Fprintf(text, "\n### %d callers\n\n", clients)
	text.WriteString("| | calls/s | p50 ms | p99 ms | CPU µs/call | allocs/call | peak MiB | CPU × floor | CPU × other | calls/s × floor | calls/s × other |\n")
	text.WriteString("|---|---|---|---|---|---|---|---|---|---|---|\n")
	samples := r.results[clients]
	for _, c := range b.contestants {
		own := samples[c.name]
		middle := func(value func(sample) float64) float64 { return spreadOf(column(own, value)).median }
		fmt.Fprintf(text, "| %s | %.0f | %.2f | %.2f | %.1f | %.0f | %.1f | %s | %s | %s | %s |\n", c.name,
			middle(throughput), middle(func(s sample) float64 { return s.p50 }), middle(func(s sample) float64 { return s.p99 }),
			middle(cpu), middle(allocations), middle(func(s sample) float64 { return s.peak }),
			against(samples, c.name, nameFloor, cpu), against(samples, c.name, c.against, cpu),
			against(samples, c.name, nameFloor, throughput), against(samples, c.name, c.against, throughput))
	}
}

// against is a contestant's ratio to another; nothing if there is no other.
func against(samples map[string][]sample, name, other string, value func(sample) float64) string {
	if other == "" || name == other {
		return ""
	}
	return spreadOf(ratios(column(samples[name], value), column(samples[other], value))).String()
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
	text.WriteString("| | idle MiB | peak MiB | goroutines/call | p99 ms |\n|---|---|---|---|---|\n")
	for _, c := range b.contestants {
		if f, ok := r.flights[c.name]; ok {
			fmt.Fprintf(text, "| %s | %.1f | %.1f | %.2f | %.0f |\n", c.name, f.idle, f.peak, f.goroutines, f.p99)
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
