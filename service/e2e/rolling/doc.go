// Package rolling tests that replicas can be replaced one after the other under
// constant load. gRPC clients with the service config of docs/clients.md and REST
// clients make announcements, each with a request ID. They repeat an announcement
// that certainly was not made, and one that got no answer: every replica here is
// shut down in order, so an unanswered call has not been served. No call may fail,
// and the journal of the embedded Twilio must have each announcement once.
//
// The flags -calls and -rounds make the test longer:
//
//	go test ./service/e2e/rolling -v -calls 50000 -rounds 6
package rolling
