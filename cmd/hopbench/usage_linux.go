package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime returns the CPU time that the process has spent, user and system, from
// its CPU clock. /proc has it in units of 10 ms only.
func (p *process) cpuTime() (time.Duration, error) {
	const schedulerClock = 2 // CPUCLOCK_SCHED
	var spent unix.Timespec
	if err := unix.ClockGettime(int32(^p.pid<<3|schedulerClock), &spent); err != nil { //nolint:gosec // G115: pids are below 2^22.
		return 0, fmt.Errorf("CPU clock of process %d: %w", p.pid, err)
	}
	return time.Duration(spent.Nano()), nil
}
