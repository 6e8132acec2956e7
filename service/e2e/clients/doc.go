// Package clients runs the clients that README.md and docs/clients.md show, against the
// service in front of the embedded Twilio. A test of cmd/conferenced compares the
// documents with this code.
package clients
