// Package access tests the whole service's access control: every kind of caller with
// every property and account, over gRPC and REST; that no secret is in any output
// while calls fail; the replacement of every file while calls run; and the audit
// records of all calls.
package access
