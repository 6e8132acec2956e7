//go:build unix

package server

import "syscall"

// connectionLimit returns how many connections each listener may have: a quarter of
// the process's file descriptors, less those that the process itself needs. Twilio,
// Redis and files have the last quarter.
func connectionLimit() int {
	const own = 32
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return maxConnections
	}
	return max(4, (int(min(uint64(files.Cur), 4*maxConnections))-own)/4) //nolint:unconvert // It is signed on FreeBSD.
}
