// Package sandbox simulates, in memory, the part of Twilio's API for conferences and
// their participants. It is an [http.Handler] for tests of Twilio's clients, with the
// same paths, form fields, answers, headers, errors and conference events, a journal
// of the requests and callbacks, a board, a clock that tests can advance, and faults on
// demand.
//
// A request is processed as follows: [Sandbox.ServeHTTP] reads it (request.go),
// checks the credentials and finds the operation (routes.go). The operation changes the
// state under a lock (world.go and a file for each operation) and queues the events of
// the change (event.go, callback.go), with the defects of the account (defect.go). The
// answer is encoded as JSON or XML (resource.go, answer.go) and recorded in the journal
// (journal.go). A fault (fault.go), which is armed or named by a label (rule.go), can
// replace any of these steps or change the answer.
//
// # Paths
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
// Without .json the answers are XML, as Twilio's are. HEAD works like GET. The README
// lists the sandbox's own pages, which need no credentials (control.go, board.go).
//
// # Calls
//
// Creating a participant places a simulated call. It is queued, connecting,
// ringing and then connected, each for Config.CallStep, on the clock that
// [Sandbox.Advance] moves. A connected participant has joined. It starts the
// conference if it has StartConferenceOnEnter, or if all participants were created by the
// API.
// Participants leave by the API's DELETE and by [Sandbox.HangUp]. A conference ends,
// and all participants leave, when a participant leaves whose EndConferenceOnExit is in
// effect, when the last one leaves, or by request.
//
// # Conference events
//
// A conference with a status callback sends its events there, in Twilio's form and
// signed with the account's auth token: conference-start and -end,
// participant-join, -leave, -mute, -unmute, -hold, -unhold and -modify, and
// announcement-end and -fail. The URL comes from the state ([ParseState]) or from the
// request that creates the conference (ConferenceStatusCallback). It must be on
// loopback, and redirects are not followed. The events of a conference are sent in
// the background, one at a time, in the order of SequenceNumber, and once.
// [Callbacks] counts their results.
//
// # Choices
//
// The README's table "How true it is" shows what Twilio documents and what this
// package chooses. These are further choices. On requests:
//
//   - Bodies over 256 KiB get 413 and code 20413, unreadable forms and paging that
//     is out of range 400 and code 20001. URLs follow RFC 3986 and have at most
//     4000 bytes.
//   - An empty HoldUrl means Twilio's music, an empty AnnounceUrl no announcement,
//     an empty CallSidToCoach an unset one.
//   - Coaching=false removes CallSidToCoach, also if the request sets it. A participant
//     that is not connected cannot be coached: code 16028.
//   - An update that names no property answers 200 and does not change date_updated.
//   - A malformed conference SID is refused before the participant is looked up.
//   - Accounts that are suspended or closed get 401.
//
// On creating participants:
//
//   - To and From are required, codes 21201 and 21213, and can have any value.
//     Every call is answered.
//   - A label that contains %2F is malformed.
//   - MaxParticipants, Region and the ConferenceStatusCallback fields count only if
//     the request creates the conference. Values out of range or unknown get 400
//     and code 20001.
//   - StatusCallback, which is for events of the call, is never requested. Timeout and
//     the fields for recordings, SIP and machine detection are ignored.
//   - queue_time is the milliseconds until the call is placed, in the answer to the
//     create request only.
//   - SIDs are the same in every run.
//
// On conferences:
//
//   - A conference in status init or in-progress can be ended. After that Status
//     and AnnounceUrl get 400 and code 16099, as AnnounceUrl does before the start.
//   - Participants can be removed in any status, also before the start.
//     EndConferenceOnExit counts only for participants that had joined.
//   - A participant keeps coaching after the coached participant has left.
//   - DateCreated and DateUpdated filter by days in UTC; < and > include the day.
//
// On events:
//
//   - SequenceNumber counts the events that are sent, from 1 in each conference.
//   - participant-join comes before conference-start, and at the end of a
//     conference each participant-leave before conference-end. In one update mute
//     comes before hold, hold before modify, and announcements last.
//   - A property that the request sets to its present value has no event.
//   - There are no speaker events.
//   - CallSidToCoach is that of a participant that coaches, and Reason equals
//     ReasonConferenceEnded.
//   - A call that was not connected ends canceled if its participant is removed or
//     the conference ends, and no-answer if it hangs up.
//   - The signed URL is the one requested: without a fragment, with / for an empty
//     path.
//   - Any status but 2xx is a failure, and so is no answer within 15 seconds. At most
//     1024 events of a conference wait.
//
// # Fault labels
//
// The README describes the labels of participants and the names of conferences that begin
// with "fault:"; [FaultKind] lists the kinds of faults. A fault applies whether a request
// names the participant by label or by Call SID. If a label names another operation than
// update, the first fetch of the label creates the participant too. Reset restarts the
// counts. A malformed label names no participant: 404.
package sandbox
