// Package contactcentre has tests of what a contact centre does to a call, in Python
// over gRPC and in Node with Twilio's SDK, which .ci/contactcentre runs, and the recipe
// of the sandbox for Go.
package contactcentre
