// Package twilio is a client of the one operation of Twilio's REST API that
// this module needs: updating a conference participant.
//
// It knows HTTP and Twilio: accounts and their hosts, the form, the answer,
// and the ways in which a request can end. Each update is one request and
// ends in exactly one of these:
//
//   - an [Answer]: Twilio applied the update and described the participant;
//   - an [Error]: Twilio answered with a 4xx or 5xx status;
//   - an [AnswerError]: Twilio answered with something that is neither, such
//     as a 2xx that cannot be read, or a redirect;
//   - a [TransportError]: no answer came, and its Sent field tells whether a
//     byte of the request may have left;
//   - a [RequestError]: the arguments do not make a request; nothing was sent.
//
// It speaks HTTP/1.1, by package wire. A connection carries one update at a time,
// so that a lost one takes no more than that with it, and whether a byte of the
// update was written is known exactly. HTTP/2 needs fewer connections, but a
// measurement showed no gain in time or CPU.
//
// No error text of this package holds a credential, a URL or a participant's
// label. Retrying, ordering and limiting are left to the caller.
package twilio
