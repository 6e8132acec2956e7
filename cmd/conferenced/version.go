package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version and revision are set by the linker of releases: -X main.version=v1.2.3. A
// build in a checkout knows both without it.
var version, revision string

type versionCommand struct{}

// Run prints the version and the revision of the program and the version of Go.
func (versionCommand) Run(out output) error {
	_, err := fmt.Fprintln(out.stdout, versionText())
	return err
}

func versionText() string {
	return fmt.Sprintf("conferenced %s (revision %s, %s, %s/%s)",
		programVersion(), programRevision(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func programVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return cmp.Or(version, info.Main.Version, "unknown")
	}
	return cmp.Or(version, "unknown")
}

// programRevision returns the commit of the build, with +dirty if the checkout was
// changed.
func programRevision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || revision != "" {
		return cmp.Or(revision, "unknown")
	}
	built := map[string]string{}
	for _, setting := range info.Settings {
		built[setting.Key] = setting.Value
	}
	if built["vcs.modified"] == "true" {
		return built["vcs.revision"] + "+dirty"
	}
	return cmp.Or(built["vcs.revision"], "unknown")
}
