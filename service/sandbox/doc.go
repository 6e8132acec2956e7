// Package sandbox imitates, in memory, the part of Twilio's API that updates
// the participants of a conference. It is an [http.Handler] to test a client
// against: the same paths, form fields, answers, headers and errors, a journal
// of what was applied, and faults on demand.
//
// # What it answers
//
//	POST /2010-04-01/Accounts/{AccountSid}/Conferences/{ConferenceSid}/Participants/{CallSid or label}.json
//	GET  /2010-04-01/Accounts/{AccountSid}/Conferences/{ConferenceSid}/Participants/{CallSid or label}.json
//	GET  /2010-04-01/Accounts/{AccountSid}/Conferences/{ConferenceSid}/Participants.json
//	GET  /sandbox/state    everything it knows, as JSON, without credentials
//	POST /sandbox/reset    starts over
//	GET  /                 a page of text that says the same
//
// Without the ending .json the answers are XML, as Twilio's are. HEAD works
// wherever GET does. Paths below /sandbox need no credentials.
//
// # Where it chooses
//
// Twilio does not say everything. Where it is silent, the sandbox
//
//   - reads booleans without regard to case and takes everything other than
//     true for false, which Twilio promises for Muted alone;
//   - takes the first of several values of one field, and ignores fields that
//     it does not know;
//   - takes GET and POST, in capitals, for methods, and refuses the rest with
//     400 and code 21209;
//   - refuses a URL that is not absolute, not http or https or longer than 4000
//     bytes with 400 and code 21205; an empty HoldUrl means Twilio's own music,
//     an empty AnnounceUrl no announcement;
//   - refuses Coaching=true without CallSidToCoach, an unreadable form and odd
//     paging with 400 and code 20001;
//   - stops coaching and forgets whom on Coaching=false, whatever CallSidToCoach
//     says, and takes an empty CallSidToCoach for an unset one;
//   - takes a participant that is not connected yet for absent, code 16028, when
//     somebody is to coach it;
//   - lets EndConferenceOnExit take effect unless the participant was on hold
//     when the request arrived: lifting hold in the same request is too late;
//   - moves date_updated when an update names any property, so an update that
//     names none answers 200, is journaled and leaves the date alone;
//   - refuses bodies over 256 KiB with 413 and code 20413;
//   - lists participants in the order in which they joined, and lists nobody for
//     a conference that has completed;
//   - answers 405 and code 20004 to a malformed conference SID, before it looks
//     for the participant.
//
// # Faults by label
//
// An update of a participant whose label begins with "fault:" goes wrong as the
// label says, whether it is addressed by label or by Call SID. In a conference
// in progress the first update addressed to such a label creates the
// participant, so that no preparation is needed. See [FaultKind] for the kinds
// and their labels. A label that begins so and cannot be read names nobody: 404.
//
// "xN" behind any of them limits it to the participant's first N updates:
// fault:429x2 refuses twice and then works. Reset starts the counts over.
package sandbox
