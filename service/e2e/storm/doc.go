// Package storm tests the whole service under faults: many concurrent callers, a
// Twilio that fails in every way it can, and networks that fail.
//
// TestStorm makes random calls, and then compares the journal of the embedded Twilio
// with the answers that the callers got. Meanwhile guests join, are read, and are
// removed, and the next guest gets the label of the one before. The flags -calls and
// -workers set the number of calls and of concurrent callers. The flag -seed sets the
// first seed, and 0 picks one:
//
//	go test ./service/e2e/storm -run TestStorm -v -calls 100000 -seed 0
//
// TestStormOfBulkOperations makes updates of many participants, which compete with
// confirmed updates of one, and checks them in the same way.
//
// TestStormReplicas does the same as TestStorm with three replicas that share their state in
// Redis, which is killed and restarted during the storm. Where updates continue
// without Redis, the order of announcements is still checked, but not that of other
// updates.
//
// TestStormIndependentReplicas, TestStormNaiveClient and TestStormWithoutMechanisms
// run the same storm on replicas without Redis, with a simple client, and on a
// service without queues or request IDs. They show that the checks find the
// violations that the service prevents.
package storm
