//go:build unix

package redisstore

import "syscall"

const sigStop, sigCont = syscall.SIGSTOP, syscall.SIGCONT

// awaitStopped waits until a child process has stopped. Without it, some of its threads
// may continue for a moment.
func awaitStopped(pid int) error {
	_, err := syscall.Wait4(pid, new(syscall.WaitStatus), syscall.WUNTRACED, nil)
	return err
}
