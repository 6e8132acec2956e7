//go:build !unix

package wire

import "testing"

func waitReadable(t testing.TB, _ *conn) {
	t.Helper()
	t.Skip("looking at a socket without reading from it needs Unix")
}
