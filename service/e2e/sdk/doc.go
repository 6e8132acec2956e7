// Package sdk tests Twilio's published SDKs against the service and against the
// embedded Twilio behind it. Both must work as Twilio does.
//
// go test tests the SDK for Go. .ci/node-sdk tests the SDK for Node with
// testdata/node.
package sdk
