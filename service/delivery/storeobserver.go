package delivery

import "time"

// StoreObserver observes a Store's use of the server that keeps its state. All of its
// functions must be set, be safe for concurrent use, and not block: the store calls
// them while updates wait, and some of them under a lock.
type StoreObserver struct {
	// Requested is called after each request to the server. If no request was made, it
	// is called with StoreNotAsked and a duration of 0.
	Requested func(StoreOperation, StoreResult, time.Duration)
	// LeaseLost is called when the store detects that a lease of this replica has
	// expired, so that another replica may have taken over.
	LeaseLost func(StoreLease)
	// Separated is called when an update moves to a queue of this replica alone, because
	// the server cannot be reached or has lost the update.
	Separated func()
}

// StoreOperation is the kind of a request to the server.
type StoreOperation string

// The operations.
const (
	// StoreQueue covers the queues of participants and the labels.
	StoreQueue StoreOperation = "line"
	// StoreRequestID covers request IDs.
	StoreRequestID StoreOperation = "claim"
)

// StoreOperations returns all operations.
func StoreOperations() []StoreOperation { return []StoreOperation{StoreQueue, StoreRequestID} }

// StoreResult is the result of a request to the server.
type StoreResult string

// The results.
const (
	StoreAnswered StoreResult = "ok"
	// StoreTimedOut means that no answer came within the store's timeout.
	StoreTimedOut StoreResult = "timeout"
	// StoreFailed means that no connection could be made, that it broke, or that the
	// answer is an error.
	StoreFailed StoreResult = "error"
	// StoreCutOff means that the context of the request ended.
	StoreCutOff StoreResult = "cut_off"
	// StoreNotAsked means that no request was made, because the server is known not to
	// answer.
	StoreNotAsked StoreResult = "not_asked"
)

// StoreResults returns all results.
func StoreResults() []StoreResult {
	return []StoreResult{StoreAnswered, StoreTimedOut, StoreFailed, StoreCutOff, StoreNotAsked}
}

// StoreLease is a kind of lease that a replica holds.
type StoreLease string

// The leases.
const (
	// QueueLease is the lease of an update's position in its participant's queue.
	QueueLease StoreLease = "turn"
	// RequestIDLease is the lease of a request ID.
	RequestIDLease StoreLease = "request_id"
)

// StoreLeases returns all leases.
func StoreLeases() []StoreLease { return []StoreLease{QueueLease, RequestIDLease} }
