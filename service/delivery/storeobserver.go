package delivery

import "time"

// StoreObserver is notified of how a Store uses the server that keeps its state. All
// of its functions must be set, be safe for concurrent use, and not block: the store
// calls them while updates wait, and some of them under a lock.
type StoreObserver struct {
	// Requested is called after each request to the server, or with StoreNotAsked and
	// a duration of 0 in place of one.
	Requested func(StoreOperation, StoreResult, time.Duration)
	// LeaseLost is called when the store finds that a lease of this replica has
	// ended, so that other replicas may have gone on.
	LeaseLost func(StoreLease)
	// Separated is called when an update goes on in a queue of this replica alone,
	// because the server cannot be reached or has lost the update.
	Separated func()
}

// StoreOperation is what a request to the server is about.
type StoreOperation string

// The operations.
const (
	// StoreQueue is about the queues of participants and about labels.
	StoreQueue StoreOperation = "line"
	// StoreRequestID is about request ids.
	StoreRequestID StoreOperation = "claim"
)

// StoreOperations returns all operations.
func StoreOperations() []StoreOperation { return []StoreOperation{StoreQueue, StoreRequestID} }

// StoreResult is how a request to the server ended.
type StoreResult string

// The results.
const (
	StoreAnswered StoreResult = "ok"
	// StoreTimedOut: there was no answer within the store's timeout.
	StoreTimedOut StoreResult = "timeout"
	// StoreFailed: there was no connection, it broke, or the answer is an error.
	StoreFailed StoreResult = "error"
	// StoreCutOff: the context of the request ended.
	StoreCutOff StoreResult = "cut_off"
	// StoreNotAsked: the server was known not to answer, so no request was made.
	StoreNotAsked StoreResult = "not_asked"
)

// StoreResults returns all results.
func StoreResults() []StoreResult {
	return []StoreResult{StoreAnswered, StoreTimedOut, StoreFailed, StoreCutOff, StoreNotAsked}
}

// StoreLease is what a replica holds by a lease.
type StoreLease string

// The leases.
const (
	// QueueLease is of an update's place in its participant's queue.
	QueueLease StoreLease = "turn"
	// RequestIDLease is of a request id.
	RequestIDLease StoreLease = "request_id"
)

// StoreLeases returns all leases.
func StoreLeases() []StoreLease { return []StoreLease{QueueLease, RequestIDLease} }
