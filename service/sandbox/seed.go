package sandbox

import "time"

// The credentials of the seeded account. They are the same in every run and
// protect nothing.
const (
	AccountSID = "ACac000000000000000000000000000001"
	AuthToken  = "00112233445566778899aabbccddeeff"

	// APIKeySID and APIKeySecret may be used in place of AccountSID and AuthToken.
	APIKeySID    = "SK5c000000000000000000000000000001"
	APIKeySecret = "sandboxsandboxsandboxsandboxsand"
)

// The seeded conferences, one of each status.
const (
	// ConferenceSID is in progress and has the five participants below.
	ConferenceSID = "CFcf000000000000000000000000000001"

	// InitConferenceSID has not started. ConnectingSID is its only participant,
	// whose updates are refused with code 16099.
	InitConferenceSID = "CFcf000000000000000000000000000002"

	// CompletedConferenceSID is over, and its participants are gone.
	CompletedConferenceSID = "CFcf000000000000000000000000000003"
)

// The seeded participants, by Call SID.
const (
	AgentSID      = "CAca000000000000000000000000000001" // label "agent"
	CustomerSID   = "CAca000000000000000000000000000002" // label "customer"
	SupervisorSID = "CAca000000000000000000000000000003" // label "supervisor"
	FrontDeskSID  = "CAca000000000000000000000000000004" // label "front desk"
	HeldSID       = "CAca000000000000000000000000000005" // no label; on hold
	ConnectingSID = "CAca000000000000000000000000000006" // label "caller", in InitConferenceSID
)

func seed(now time.Time) []*Account {
	return []*Account{{
		SID:          AccountSID,
		FriendlyName: "Sandbox",
		Status:       "active",
		Conferences: []*Conference{
			{
				SID: ConferenceSID, FriendlyName: "Support", Status: conferenceInProgress,
				Participants: []*Participant{
					seeded(now, Participant{CallSID: AgentSID, Label: "agent", EndConferenceOnExit: true}),
					seeded(now, Participant{CallSID: CustomerSID, Label: "customer"}),
					seeded(now, Participant{CallSID: SupervisorSID, Label: "supervisor"}),
					seeded(now, Participant{CallSID: FrontDeskSID, Label: "front desk"}),
					seeded(now, Participant{CallSID: HeldSID, Hold: true}),
				},
			},
			{
				SID: InitConferenceSID, FriendlyName: "Not started", Status: conferenceInit,
				Participants: []*Participant{
					seeded(now, Participant{CallSID: ConnectingSID, Label: "caller", Status: statusConnecting}),
				},
			},
			{
				SID: CompletedConferenceSID, FriendlyName: "Over", Status: conferenceCompleted,
				Participants: []*Participant{},
			},
		},
	}}
}

func seeded(now time.Time, p Participant) *Participant {
	p.StartConferenceOnEnter = true
	p = p.withDefaults(now)
	return &p
}
