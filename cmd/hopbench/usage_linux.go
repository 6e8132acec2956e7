package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is what a process has spent, in user and system mode, as its CPU clock
// says.
func cpuTime(pid int) (time.Duration, error) {
	const schedulerClock = 2 // CPUCLOCK_SCHED
	clock := ^pid<<3 | schedulerClock
	var at unix.Timespec
	if err := unix.ClockGettime(int32(clock), &at); err != nil { //nolint:gosec // G115: pids are below 2^22.
		return 0, fmt.Errorf("CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(at.Nano()), nil
}

// memory is the resident memory of a process, and the most that it has been
// since forgetPeak, in bytes.
func memory(pid int) (now, peak int64, err error) {
	text, err := os.ReadFile(procFile(pid, "status"))
	if err != nil {
		return 0, 0, err
	}
	return statusValue(string(text), "VmRSS:"), statusValue(string(text), "VmHWM:"), nil
}

// statusValue is a value of a status file, which has it in kB.
func statusValue(text, name string) int64 {
	_, rest, _ := strings.Cut(text, name)
	line, _, _ := strings.Cut(rest, "kB")
	value, _ := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	return value << 10
}

// forgetPeak makes the most that a process has been what it is now. Where that is
// not allowed, as in some containers, the peak stays that of its whole life.
func forgetPeak(pid int) {
	_ = os.WriteFile(procFile(pid, "clear_refs"), []byte("5"), 0)
}

func procFile(pid int, name string) string { return fmt.Sprintf("/proc/%d/%s", pid, name) }

// machine is the processor and the kernel.
func machine() string {
	cpu := "unknown CPU"
	text, _ := os.ReadFile("/proc/cpuinfo")
	if _, rest, ok := strings.Cut(string(text), "model name"); ok {
		line, _, _ := strings.Cut(rest, "\n")
		cpu = strings.Trim(line, " \t:")
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return cpu + ", Linux " + strings.TrimSpace(string(kernel))
}
