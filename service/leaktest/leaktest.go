// Package leaktest finds goroutines that tests have left running. It gives goroutines that
// are about to end the time that they need on a busy machine. It is for tests only.
package leaktest

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long goroutines may take to end. Tests that pass do not reach it.
const patience = 30 * time.Second

// Run runs a package's tests and returns their exit code, or 1 if all of them pass and
// goroutines are left.
func Run(m *testing.M, options ...goleak.Option) int {
	code := m.Run()
	if code != 0 {
		return code
	}
	if err := find(options); err != nil {
		fmt.Fprintln(os.Stderr, "goroutines are left:", err)
		return 1
	}
	return 0
}

// Check fails the test if goroutines are left.
func Check(t testing.TB, options ...goleak.Option) {
	t.Helper()
	if err := find(options); err != nil {
		t.Errorf("goroutines are left: %v", err)
	}
}

// find repeats the search of goleak, which ends after half a second.
func find(options []goleak.Option) error {
	err := goleak.Find(options...)
	for until := time.Now().Add(patience); err != nil && time.Now().Before(until); {
		err = goleak.Find(options...)
	}
	return err
}
