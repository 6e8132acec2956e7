// Package twilio is a client for the conference participants of Twilio's REST API:
// update, removal, fetch and list, and fetch and list of conferences.
//
// It handles accounts and their hosts, forms, answers and Twilio's errors. A [Request]
// has exactly one of these results:
//
//   - an [Answer]: Twilio did what was asked;
//   - an [Error]: Twilio answered with a 4xx or 5xx status;
//   - an [AnswerError]: an answer that is neither, such as a redirect, or a 2xx
//     that cannot be read or answers another request;
//   - a [TransportError]: no answer came; its Sent field says whether any byte of
//     the request was written;
//   - a [RequestError]: the arguments make no request; nothing was sent.
//
// Requests are made by package wire, over HTTP/1.1: a connection carries one
// request at a time, so a lost connection concerns one request. HTTP/2 was measured
// and gains neither time nor CPU.
//
// No error text of this package contains a credential, a URL or a participant's
// label. Retries, order and limits are the caller's responsibility.
package twilio
