package main

import (
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// gcPercent is the default of GOGC. The live heap is a few MiB, so with Go's default of
// 100 a busy server spends an eighth of its CPU on garbage collection. With 200 it is
// half of that, for some 10 MiB more memory.
const gcPercent = 200

// tuneMemory sets the garbage collector's target, unless GOGC or GOMEMLIMIT is set. With
// a memory limit of the cgroup, the target is also nine tenths of that.
func tuneMemory() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(gcPercent)
	_, _ = memlimit.Set() // It fails where there are no cgroups, and so no limit.
}
