// Package sdk tests Twilio's own SDKs, as they are published, against the
// service and against the embedded Twilio behind it: to both they are to talk as
// they talk to Twilio.
//
// The SDK for Go is tested by go test, the one for Node by the test in
// testdata/node, which .ci/node-sdk installs and runs.
package sdk
