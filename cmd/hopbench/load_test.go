package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		name   string
		values []float64
		want   spread
	}{
		{"no values", nil, spread{}},
		{"one value", []float64{3}, spread{3, 3, 3}},
		{"an odd number", []float64{9, 1, 2}, spread{2, 1, 9}},
		{"an even number", []float64{4, 1, 9, 2}, spread{3, 1, 9}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := spreadOf(test.values); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestPairedValues(t *testing.T) {
	values, others := []float64{2, 9, 5}, []float64{1, 3}
	if got, want := paired(values, others, ratio), (spread{2.5, 2, 3}); got != want {
		t.Errorf("ratio: got %v, want %v", got, want)
	}
	if got, want := paired(values, others, difference), (spread{3.5, 1, 6}); got != want {
		t.Errorf("difference: got %v, want %v", got, want)
	}
}

func TestQuantiles(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, test := range []struct {
		name      string
		latencies []time.Duration
		share     float64
		want      time.Duration
	}{
		{"no calls", nil, 0.99, 0},
		{"one call", hundred[:1], 0.99, 1},
		{"the median", hundred, 0.5, 50},
		{"p99", hundred, 0.99, 99},
		{"the lowest", hundred, 0, 1},
		{"the highest", hundred, 1, 100},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := (timings{latencies: test.latencies}).quantile(test.share); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestTargets(t *testing.T) {
	for _, test := range []struct {
		relation          string
		below, at, beyond bool
	}{{"<", true, false, false}, {"≤", true, true, false}, {">", false, false, true}} {
		for measured, want := range map[float64]bool{0.9: test.below, 1: test.at, 1.1: test.beyond} {
			if got := met(measured, test.relation, 1); got != want {
				t.Errorf("%v %s 1: got %t", measured, test.relation, got)
			}
		}
	}
}

// lasting returns a call that takes d.
func lasting(d time.Duration) call {
	return func(context.Context, int, int) error {
		time.Sleep(d)
		return nil
	}
}

func TestClosedLoopCallsWithoutPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, err := closedLoop(t.Context(), lasting(10*time.Millisecond), 3, 95*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.latencies) != 30 || got.took != 100*time.Millisecond || got.perSecond() != 300 {
			t.Errorf("got %d calls in %v, %v per second", len(got.latencies), got.took, got.perSecond())
		}
	})
}

func TestOpenLoopKeepsItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, err := openLoop(t.Context(), lasting(time.Millisecond), 1000, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.latencies) != 1000 || got.quantile(1) != time.Millisecond {
			t.Errorf("got %d calls, the slowest took %v", len(got.latencies), got.quantile(1))
		}
	})
}

func TestOpenLoopCountsTheWaitForItsCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Each caller is due every 100 ms and busy for 150 ms.
		got, err := openLoop(t.Context(), lasting(150*time.Millisecond), openLoopCallers*10, 200*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.latencies) != 2*openLoopCallers || got.quantile(0) != 150*time.Millisecond || got.quantile(1) != 200*time.Millisecond {
			t.Errorf("got %d calls that took %v to %v", len(got.latencies), got.quantile(0), got.quantile(1))
		}
	})
}
