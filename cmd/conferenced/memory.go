package main

import (
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// gcPercent is the GOGC of the program. What lives is a few MiB, so that with Go's
// own 100 a busy server spends an eighth of its CPU on collecting; with this it is
// half of that, for about 10 MiB more.
const gcPercent = 200

// tuneMemory sets how much garbage there may be, unless the environment says so by
// GOGC or GOMEMLIMIT. Where the cgroup limits the memory, garbage is collected
// earlier as nine tenths of the limit come near.
func tuneMemory() {
	_, hasPercent := os.LookupEnv("GOGC")
	_, hasLimit := os.LookupEnv("GOMEMLIMIT")
	if hasPercent || hasLimit {
		return
	}
	debug.SetGCPercent(gcPercent)
	_, _ = memlimit.Set() // It fails where there are no cgroups: then there is no limit.
}
