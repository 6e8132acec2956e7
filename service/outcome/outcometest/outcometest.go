// Package outcometest reads statuses as clients do, for tests.
package outcometest

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	"conferenced/service/outcome"
)

// Info returns the service's google.rpc.ErrorInfo of a status, which is its first
// detail, or nil.
func Info(st *status.Status) *errdetails.ErrorInfo {
	details := st.Details()
	if len(details) == 0 {
		return nil
	}
	info, ok := details[0].(*errdetails.ErrorInfo)
	if !ok || info.GetDomain() != outcome.Domain {
		return nil
	}
	return info
}

// HTTPStatus returns the HTTP status of the status's row of the table, or 0.
func HTTPStatus(st *status.Status) int {
	reason := Info(st).GetReason()
	for _, kind := range outcome.Table {
		if kind.Reason == reason && kind.Code == st.Code() {
			return kind.HTTP
		}
	}
	return 0
}

// Status returns the status of an error of the kind with the facts.
func Status(kind outcome.Kind, facts outcome.Facts) *status.Status {
	return kind.Err(facts).GRPCStatus()
}
