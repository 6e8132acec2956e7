package telemetry

import (
	"google.golang.org/grpc/codes"

	"conferenced/service/call"
	"conferenced/service/outcome"
)

// isUnauthenticated reports whether a call of the API ended before its caller was
// authenticated.
func isUnauthenticated(c *call.Call) bool { return c.IsAPI() && c.KnownBy == "" }

// codeOf returns the gRPC code of a call; failed is nil for OK.
func codeOf(failed *outcome.Error) codes.Code {
	if failed == nil {
		return codes.OK
	}
	return failed.Code
}

// appliedOf returns whether the change of a call was applied; failed is nil for OK. A
// read changes nothing, and a bulk operation that succeeds may have changed nothing.
func appliedOf(c *call.Call, failed *outcome.Error) outcome.Applied {
	switch {
	case c.Operation == call.Read:
		return outcome.No
	case failed == nil && c.Bulk != nil:
		return c.Bulk.Applied
	case failed == nil:
		return outcome.Yes
	default:
		return failed.Applied
	}
}
