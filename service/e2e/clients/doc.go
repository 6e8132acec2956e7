// Package clients runs the first call of README.md against the service in front of the
// embedded Twilio, and tests the service config for clients. A test of cmd/conferenced
// compares the document with this code. testdata has tests of clients in other languages,
// which .ci/clients runs after the programs of docs/clients.md.
package clients
