// Package sandbox imitates, in memory, the part of Twilio's API that holds
// conferences and their participants. It is an [http.Handler] to test a client
// against: the same paths, form fields, answers, headers and errors, the same
// conference events, a journal of what was applied, a clock that tests can move,
// and faults on demand.
//
// # What it answers
//
// Below /2010-04-01/Accounts/{AccountSid}:
//
//	GET    /Conferences.json                                        list: Status, FriendlyName, DateCreated, DateUpdated
//	GET    /Conferences/{Sid}.json                                  fetch
//	POST   /Conferences/{Sid}.json                                  update: Status=completed, AnnounceUrl, AnnounceMethod
//	GET    /Conferences/{Sid}/Participants.json                     list: Muted, Hold, Coaching
//	POST   /Conferences/{Sid or friendly name}/Participants.json    create
//	GET    /Conferences/{Sid}/Participants/{CallSid or label}.json  fetch
//	POST   /Conferences/{Sid}/Participants/{CallSid or label}.json  update
//	DELETE /Conferences/{Sid}/Participants/{CallSid or label}.json  remove
//
// And its own:
//
//	GET    /sandbox/state    everything it knows, as JSON, without credentials
//	POST   /sandbox/reset    starts over
//	POST   /sandbox/advance  moves the clock on, by=5s
//	POST   /sandbox/hangup   ends the call of a participant: ConferenceSid, and a Call SID or label as CallSid
//	GET    /                 a page of text that says the same
//
// Without the ending .json the answers are XML, as Twilio's are. HEAD works
// wherever GET does. Paths below /sandbox need no credentials.
//
// # Calls
//
// Creating a participant places a call that nobody really gets. It is queued,
// connecting, ringing and then connected, each for Config.CallStep, on the clock
// that [Sandbox.Advance] moves. Whoever is connected has joined; the first to
// join with StartConferenceOnEnter starts the conference. Removing a participant
// and [Sandbox.HangUp] are the two ways to leave. A conference ends when
// somebody leaves whose EndConferenceOnExit is effective, when the last one
// leaves, or on request; its participants are gone then.
//
// # Conference events
//
// A conference that has a status callback tells it of what happens there, in
// Twilio's form and signed with the account's auth token: conference-start and
// -end, participant-join, -leave, -mute, -unmute, -hold, -unhold and -modify, and
// announcement-end. The URL comes with the state ([ParseState]) or with the
// request that creates the conference (ConferenceStatusCallback), and is on
// loopback: any other is refused, and redirects are not followed. Each conference
// has its events sent one at a time, in the order of their SequenceNumber, in the
// background and once. What becomes of them is counted in [Callbacks].
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
//     when the request arrived and stays so: users report that lifting hold in
//     the same request makes it count;
//   - moves date_updated when an update names any property, so an update that
//     names none answers 200, is journaled and leaves the date alone;
//   - refuses bodies over 256 KiB with 413 and code 20413;
//   - lists participants in the order in which they joined or were called, and
//     lists nobody for a conference that has completed;
//   - answers 405 and code 20004 to a malformed conference SID, before it looks
//     for the participant.
//
// On creating participants it
//
//   - answers 404 and code 16022 if a conference SID names none, or one that is
//     over; a friendly name of up to 128 characters always finds or makes one;
//   - starts a conference with its first participant who has
//     StartConferenceOnEnter, though one of Twilio's pages waits for two;
//   - answers 400 and code 16020 to one participant too many, 16024 to a label
//     that is malformed, empty or has %2F in it, and 16026 to one that is taken;
//   - requires To and From, codes 21201 and 21213, and takes anything for a
//     number, an address or an identity; every call is answered;
//   - lets MaxParticipants, Region and the ConferenceStatusCallback fields count
//     only if the request makes the conference, and refuses values that are out
//     of range or unknown with 400 and code 20001;
//   - takes StatusCallback, whose events tell of the call and not of the
//     conference, and never calls it; Timeout and all that concerns recordings,
//     SIP and machine detection is ignored;
//   - shows queue_time as the milliseconds until the call is placed, in the answer
//     to the create request only;
//   - makes SIDs that are the same in every run.
//
// On conferences and those who leave it
//
//   - ends a conference in any status but completed, after which Status and
//     AnnounceUrl are refused with 400 and code 16099, and announces only in one
//     that is in progress;
//   - removes participants in any status, also from a conference in status init;
//   - lets EndConferenceOnExit count only for somebody who had joined;
//   - leaves a participant whose coached participant has left as it is;
//   - lists conferences by date of creation, the latest first, and takes
//     DateCreated and DateUpdated as days in UTC, with < and > including the day;
//   - admits nobody to an account that is suspended or closed: 401.
//
// On events it
//
//   - numbers those that are sent, from 1 in each conference, so that a filter
//     leaves no gaps;
//   - sends participant-join before conference-start, and on the end of a
//     conference everybody's participant-leave before conference-end;
//   - sends an event when a value changes, and not when it is merely named; in one
//     update mute comes before hold, hold before modify, and announcements last;
//   - lets announcements end at once, and sends no speaker events;
//   - tells CallSidToCoach of somebody who coaches, and gives as Reason what it
//     gives as ReasonConferenceEnded;
//   - tells of somebody who leaves before being connected that the call was
//     canceled (removed, or the conference ended) or not answered (hung up);
//   - signs the URL as requested, without a fragment and with the slash that an
//     empty path becomes;
//   - counts every answer but 2xx as a failure, waits 15 seconds, repeats nothing
//     and keeps up to 1024 events of a conference waiting.
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
