//go:build !unix

package telemetry

import "os"

// checkWritable returns an error if the directory does not exist.
func checkWritable(dir string) error {
	_, err := os.Stat(dir)
	return err
}
