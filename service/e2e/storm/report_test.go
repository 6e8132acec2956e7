package storm_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"conferenced/service/delivery"
)

// report counts the events of one or several storms.
type report struct {
	seeds          []string
	calls, updates int
	repeated       int // Updates with several calls.
	outcomes       map[string]int
	faults         map[string]int
	stats          delivery.Stats
	requests       int
	applications   int
	announcements  int
	ordered, late  int
	exempt         int
	expired        int
	removals       int
	removed, reads int
	broken         map[rule]int
}

func newReport() *report {
	return &report{outcomes: map[string]int{}, faults: map[string]int{}, broken: map[rule]int{}}
}

func (r *report) add(seed string, h *history, v *findings) {
	r.seeds = append(r.seeds, seed)
	r.calls += len(h.calls)
	markers := map[int]int{}
	for _, c := range h.calls {
		markers[c.marker]++
		if markers[c.marker] == 2 {
			r.repeated++
		}
		r.outcomes[c.answer.String()]++
	}
	r.updates += len(markers)
	r.applications += v.applications
	r.announcements += v.announcements
	r.ordered += v.ordered
	r.late += v.late
	r.exempt += v.exempt
	r.expired += v.expired
	r.removals += v.removals
	r.removed += v.removed
	r.reads += v.reads
	for broken, examples := range v.violations {
		r.broken[broken] += len(examples)
	}
}

// addUpstream adds the counts of the upstream.
func (r *report) addUpstream(up *upstream) {
	r.requests += up.requests()
	for kind, count := range up.State().FaultsServed {
		r.faults[kind] += count
	}
}

func (r *report) addStats(s delivery.Stats) {
	r.stats = sum(r.stats, s)
}

func sum(a, b delivery.Stats) delivery.Stats {
	return delivery.Stats{
		Updates:    a.Updates + b.Updates,
		Attempts:   a.Attempts + b.Attempts,
		Retries:    a.Retries + b.Retries,
		Superseded: a.Superseded + b.Superseded,
		Replays:    a.Replays + b.Replays,
		Refused:    a.Refused + b.Refused,
		Abandoned:  a.Abandoned + b.Abandoned,
		Sizes: delivery.Sizes{
			Queues:  a.Queues + b.Queues,
			Waiting: a.Waiting + b.Waiting,
			Labels:  a.Labels + b.Labels,
			Records: a.Records + b.Records,
		},
	}
}

func (r *report) print(t *testing.T, who string) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s; seeds %s\n", who, strings.Join(r.seeds, " "))
	fmt.Fprintf(&b, "  calls %d, of %d updates, %d of them with repeated calls\n",
		r.calls, r.updates, r.repeated)
	fmt.Fprintf(&b, "  upstream: requests %d, applied %d, announcements played %d\n",
		r.requests, r.applications, r.announcements)
	if s := r.stats; s.Updates > 0 {
		fmt.Fprintf(&b, "  delivery: updates %d, attempts %d, retries %d, superseded %d, replays %d, refused %d, abandoned %d\n",
			s.Updates, s.Attempts, s.Retries, s.Superseded, s.Replays, s.Refused, s.Abandoned)
	}
	fmt.Fprintf(&b, "  order: %d applications checked, %d late, %d in an outage; %d announcements repeated after their request ID expired\n",
		r.ordered, r.late, r.exempt, r.expired)
	fmt.Fprintf(&b, "  guests: %d removals, %d of them OK, and %d reads\n", r.removals, r.removed, r.reads)
	list(&b, "faults", r.faults)
	list(&b, "outcomes", r.outcomes)
	broken := map[string]int{}
	for rule, count := range r.broken {
		broken[string(rule)] = count
	}
	list(&b, "broken rules", broken)
	t.Log(b.String())
}

func list(b *strings.Builder, title string, counts map[string]int) {
	fmt.Fprintf(b, "  %s:\n", title)
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(b, "    %8d  %s\n", counts[name], name)
	}
}
