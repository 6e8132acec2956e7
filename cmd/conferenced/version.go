package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker of releases: -X main.version=v1.2.3.
var version string

type versionCommand struct{}

// Run prints the version of the program and of Go.
func (versionCommand) Run(out output) error {
	_, err := fmt.Fprintf(out.stdout, "conferenced %s (%s, %s/%s)\n",
		programVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

func programVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return cmp.Or(version, "unknown")
	}
	return cmp.Or(version, info.Main.Version, "unknown")
}
