//go:build !unix

package server

// connectionLimit returns how many connections each listener may have.
func connectionLimit() int { return maxConnections }
