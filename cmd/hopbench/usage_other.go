//go:build !linux

package main

import (
	"errors"
	"runtime"
	"time"
)

var errNotLinux = errors.New("what a process uses can be measured on Linux only")

func cpuTime(int) (time.Duration, error)      { return 0, errNotLinux }
func memory(int) (now, peak int64, err error) { return 0, 0, errNotLinux }
func forgetPeak(int)                          {}
func machine() string                         { return runtime.GOOS }
