package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// report has the measurements of a run.
type report struct {
	loads      map[int]measurements // By number of callers.
	half       measurements
	halfRate   float64 // Calls per second.
	inFlight   measurements
	ready      []float64 // Milliseconds.
	binarySize int
	took       time.Duration
}

// column is a column of a table.
type column struct {
	title string
	cell  func(m measurements, s subject) string
}

func median(name metric, format string) column {
	return column{string(name), func(m measurements, s subject) string {
		return fmt.Sprintf(format, spreadOf(m[s.name][name]).median)
	}}
}

// against compares a metric with that of another row, round by round.
func against(title string, name metric, compare func(value, other float64) float64, otherOf func(subject) string) column {
	return column{title, func(m measurements, s subject) string {
		other := otherOf(s)
		if other == "" || other == s.name {
			return ""
		}
		return paired(m[s.name][name], m[other][name], compare).String()
	}}
}

func theFloor(subject) string   { return "floor" }
func itsOther(s subject) string { return s.other }

func (b *bench) writeReport(w io.Writer, r report) error {
	t := newTables(w)
	fmt.Fprintf(t, "%s, %d CPUs, %s; %d rounds; took %v.\n",
		machine(), runtime.NumCPU(), runtime.Version(), b.rounds, r.took.Round(time.Second))
	fmt.Fprintln(t, "Medians; in brackets the lowest and the highest round. Ratios compare values of the same round.")
	other := "peer"
	if b.baseline != "" {
		other = "baseline"
	}
	for _, callers := range b.callers {
		t.write(fmt.Sprintf("%d callers", callers), b.subjects, r.loads[callers],
			median(throughput, "%.0f"), median(p50, "%.2f"), median(p99, "%.1f"), median(cpu, "%.1f"),
			against("CPU × floor", cpu, ratio, theFloor),
			against("CPU × "+other, cpu, ratio, itsOther),
			against("calls/s × "+other, throughput, ratio, itsOther),
			median(allocations, "%.0f"), median(peak, "%.0f"))
	}
	if b.baseline == "" {
		b.writeRest(t, r)
	}
	return t.Flush()
}

// writeRest writes the measurements that are not made with a baseline.
func (b *bench) writeRest(t tables, r report) {
	t.write(fmt.Sprintf("Half load: %.0f calls/s", r.halfRate), b.subjects, r.half,
		median(p50, "%.2f"), median(p99, "%.1f"),
		against("p50 above floor", p50, difference, theFloor),
		against("p99 above floor", p99, difference, theFloor))
	t.write(fmt.Sprintf("%d calls in flight, Twilio takes %v", b.inFlight, b.latency), b.subjects, r.inFlight,
		median(rest, "%.0f"), median(peak, "%.0f"), against("peak × peer", peak, ratio, itsOther), median(goroutines, "%.1f"))
	fmt.Fprintf(t, "\nconferenced is ready after %v ms. Its binary has %.1f MiB.\n",
		spreadOf(r.ready), float64(r.binarySize)/(1<<20))
	t.head(fmt.Sprintf("Targets, at %d callers", usualCallers), "target", "measured", "")
	for _, s := range b.subjects {
		if s.maxCPU > 0 {
			usual := r.loads[usualCallers]
			t.target(s.name+": CPU/call", "≤", s.maxCPU, "× peer", s.ratioTo(usual, cpu))
			t.target(s.name+": calls/s", ">", 1, "× peer", s.ratioTo(usual, throughput))
			t.target(s.name+": peak memory of calls in flight", "<", 1, "× peer", s.ratioTo(r.inFlight, peak))
		}
	}
	t.target("conferenced: ready", "<", 150, "ms", spreadOf(r.ready))
}

// ratioTo compares a metric with that of the other row.
func (s subject) ratioTo(m measurements, name metric) spread {
	return paired(m[s.name][name], m[s.other][name], ratio)
}

// tables writes Markdown whose columns are aligned.
type tables struct{ *tabwriter.Writer }

func newTables(w io.Writer) tables { return tables{tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)} }

func (t tables) write(title string, subjects []subject, m measurements, columns ...column) {
	var titles []string
	for _, c := range columns {
		titles = append(titles, c.title)
	}
	t.head(title, titles...)
	for _, s := range subjects {
		cells := []string{s.name}
		for _, c := range columns {
			cells = append(cells, c.cell(m, s))
		}
		t.row(cells...)
	}
}

// head starts a table. Its first column has no title.
func (t tables) head(title string, columns ...string) {
	fmt.Fprintf(t, "\n### %s\n\n", title)
	t.row(append([]string{""}, columns...)...)
	fmt.Fprintln(t, "|"+strings.Repeat("---\t|", len(columns)+1))
}

func (t tables) row(cells ...string) { fmt.Fprintln(t, "| "+strings.Join(cells, "\t| ")+"\t|") }

// target writes a row that compares the median of the measured values with a bound.
func (t tables) target(what, relation string, bound float64, unit string, measured spread) {
	verdict := "missed"
	if met(measured.median, relation, bound) {
		verdict = "met"
	}
	t.row(what, fmt.Sprintf("%s %g %s", relation, bound, unit), measured.String(), verdict)
}

func met(measured float64, relation string, bound float64) bool {
	switch relation {
	case "<":
		return measured < bound
	case ">":
		return measured > bound
	default: // ≤
		return measured <= bound
	}
}

// machine returns the processor and the kernel.
func machine() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	_, rest, _ := strings.Cut(string(text), "model name")
	model, _, _ := strings.Cut(rest, "\n")
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.Trim(model, " \t:") + ", Linux " + strings.TrimSpace(string(kernel))
}
