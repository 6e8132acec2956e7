// Package rolling tests that the service can be replaced while it is called:
// replicas are restarted one after the other under constant load, by gRPC clients
// with the service config of the README and by REST clients. Those repeat what is
// answered 503, what could not be connected, and also what ends unanswered: each
// end here is an orderly one, in which that means that nothing was done. No call
// may fail, and the journal of the embedded Twilio must have each announcement
// once.
//
// The flags -calls and -rounds make it longer; -plain adds gRPC clients without a
// retry policy:
//
//	go test ./service/e2e/rolling -v -calls 50000 -rounds 6
package rolling
