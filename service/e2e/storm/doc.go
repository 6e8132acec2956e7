// Package storm tests the whole service at its worst: many callers at once in
// front of a Twilio that fails in every way it can, and networks that fail in
// between.
//
// TestStorm makes random calls and then holds the journal of the embedded
// Twilio against what the callers were told. The flags -calls, -workers and
// -seed make it longer, wider, or repeat a seed that was printed:
//
//	go test ./service/e2e/storm -run TestStorm -v -calls 100000
//
// TestStormReplicas does the same with three replicas that share their state in
// Redis, which is killed and started again on the way. Where updates go on without
// it, the order of those is not checked, but that of announcements is.
//
// TestStormReplicasApart, TestStormNaiveClient and TestStormSwitchedOff let replicas
// that share nothing, a client without order and memory, and the service without
// them, through the same storm, to show that the same checks find what they are
// there for.
package storm
