// Package access tests from outside who gets into the whole service and what
// they may touch: every kind of caller against every property and account, over
// gRPC and REST; what is written while calls go wrong, in which no secret may
// be found; the replacement of every file while calls run; and the record that
// the audit keeps of all that.
package access
