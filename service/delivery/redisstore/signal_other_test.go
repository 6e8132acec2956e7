//go:build !unix

package redisstore

import (
	"errors"
	"os"
)

// Where no process can be stopped, the tests that stop one fail.
var sigStop, sigCont = os.Kill, os.Kill

func awaitStopped(int) error { return errors.ErrUnsupported }
