package sandbox

// The credentials of the default account. They are the same in every run and
// protect nothing.
const (
	AccountSID = "ACac000000000000000000000000000001"
	AuthToken  = "00112233445566778899aabbccddeeff"

	// APIKeySID and APIKeySecret can be used instead of AccountSID and AuthToken.
	APIKeySID    = "SK5c000000000000000000000000000001"
	APIKeySecret = "sandboxsandboxsandboxsandboxsand"
)

// The default conferences, one of each status.
const (
	// ConferenceSID is in progress and has the five participants below.
	ConferenceSID = "CFcf000000000000000000000000000001"

	// InitConferenceSID has not started. ConnectingSID is its only participant.
	// Updates of it are refused with code 16099.
	InitConferenceSID = "CFcf000000000000000000000000000002"

	// CompletedConferenceSID has ended and has no participants.
	CompletedConferenceSID = "CFcf000000000000000000000000000003"
)

// The default participants, by Call SID.
const (
	AgentSID      = "CAca000000000000000000000000000001" // label "agent"
	CustomerSID   = "CAca000000000000000000000000000002" // label "customer"
	SupervisorSID = "CAca000000000000000000000000000003" // label "supervisor"
	FrontDeskSID  = "CAca000000000000000000000000000004" // label "front desk"
	HeldSID       = "CAca000000000000000000000000000005" // no label; on hold
	ConnectingSID = "CAca000000000000000000000000000006" // label "caller", in InitConferenceSID
)

// defaultState returns the state that the constants above describe.
func defaultState() *InitialState {
	account := &Account{SID: AccountSID, OwnerAccountSID: AccountSID, FriendlyName: "Sandbox", Status: accountActive}
	account.Conferences = []*Conference{
		defaultConference(Conference{SID: ConferenceSID, FriendlyName: "Support", Status: conferenceInProgress},
			Participant{CallSID: AgentSID, Label: "agent", EndConferenceOnExit: true},
			Participant{CallSID: CustomerSID, Label: "customer"},
			Participant{CallSID: SupervisorSID, Label: "supervisor"},
			Participant{CallSID: FrontDeskSID, Label: "front desk"},
			Participant{CallSID: HeldSID, Hold: true},
		),
		defaultConference(Conference{SID: InitConferenceSID, FriendlyName: "Not started", Status: conferenceInit},
			Participant{CallSID: ConnectingSID, Label: "caller", Status: statusConnecting},
		),
		defaultConference(Conference{
			SID: CompletedConferenceSID, FriendlyName: "Over", Status: conferenceCompleted,
			ReasonConferenceEnded: endedByAPI,
		}),
	}
	known := secrets{token: AuthToken, keys: map[string]string{APIKeySID: APIKeySecret}}
	return &InitialState{[]initialAccount{{Account: account, secrets: known}}}
}

func defaultConference(c Conference, participants ...Participant) *Conference {
	c.AccountSID = AccountSID
	c = c.withDefaults()
	for _, p := range participants {
		p.StartConferenceOnEnter = true
		p = p.withDefaults()
		c.Participants = append(c.Participants, &p)
	}
	return &c
}
