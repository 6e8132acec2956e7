//go:build unix

package server

import "syscall"

// connectionLimit returns how many connections each listener may have: a quarter of
// the process's file descriptors, after 32 for the process itself. The last quarter is
// for Twilio, Redis and files.
func connectionLimit() int {
	const own = 32
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return maxConnections
	}
	return max(4, (int(min(uint64(files.Cur), 4*maxConnections))-own)/4) //nolint:unconvert // It is signed on FreeBSD.
}
