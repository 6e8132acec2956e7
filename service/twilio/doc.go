// Package twilio is a client for one operation of Twilio's REST API: updating a
// conference participant.
//
// It handles accounts and their hosts, the form, the answer and Twilio's errors. An
// update is one request, with exactly one of these results:
//
//   - an [Answer]: Twilio applied the update and described the participant;
//   - an [Error]: Twilio answered with a 4xx or 5xx status;
//   - an [AnswerError]: an answer that is neither, such as a redirect, or a 2xx
//     that cannot be read or is about another participant;
//   - a [TransportError]: no answer came; its Sent field says whether any byte of
//     the request was written;
//   - a [RequestError]: the arguments make no request; nothing was sent.
//
// Requests are made by package wire, over HTTP/1.1: a connection carries one
// update at a time, so a lost connection concerns one update. HTTP/2 was measured
// and gains neither time nor CPU.
//
// No error text of this package contains a credential, a URL or a participant's
// label. Retries, order and limits are the caller's responsibility.
package twilio
