package sandbox

// An InitialState is the state with which a sandbox starts: accounts with their
// credentials, conferences and participants. Zero dates become the time of the start.
// It is immutable, so several sandboxes can share it.
type InitialState struct {
	accounts []initialAccount
}

// initialAccount is an account of an InitialState.
type initialAccount struct {
	*Account
	secrets  secrets
	settings settings
}

// settings make an account behave differently from the default.
type settings struct {
	sounds   map[string]Sound
	refusals []refusedCombination
	defects  defects
}

// secrets are the credentials of an account. Account does not have them, so
// showing an account cannot show them.
type secrets struct {
	token string
	keys  map[string]string // The secrets of the API keys, by SID.
}

// Credentials are an account's SID and auth token.
type Credentials struct {
	AccountSID string
	AuthToken  string
}

// Credentials returns the credentials of every account, in order. A nil state is the
// default one.
func (s *InitialState) Credentials() []Credentials {
	if s == nil {
		s = defaultState()
	}
	var all []Credentials
	for _, account := range s.accounts {
		all = append(all, Credentials{AccountSID: account.SID, AuthToken: account.secrets.token})
	}
	return all
}
