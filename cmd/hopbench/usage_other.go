//go:build !linux

package main

import (
	"errors"
	"time"
)

func (p *process) cpuTime() (time.Duration, error) { return 0, errors.New("hopbench needs Linux") }
