package storm_test

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"conferenced/service/sandbox"
	"conferenced/service/settings"
	"conferenced/service/twilio"
)

// callerCount is the number of callers. Each has its own token.
const callerCount = 3

// tokenOf returns the caller's token.
func tokenOf(caller int) string { return fmt.Sprintf("token-of-caller-%d", caller) }

// authorizationOf returns the caller's Authorization header.
func authorizationOf(caller int) string { return "Bearer " + tokenOf(caller) }

// newSettings returns settings with one account, whose Twilio is at the address, and
// callers that may do everything.
func newSettings(t *testing.T, upstreamAddr string) *settings.Live {
	t.Helper()
	accounts, err := twilio.NewAccounts(sandbox.AccountSID, twilio.Account{
		SID:      sandbox.AccountSID,
		Username: sandbox.AccountSID,
		Password: twilio.NewSecret(sandbox.AuthToken),
		BaseURL:  "http://" + upstreamAddr,
	})
	if err != nil {
		t.Fatal(err)
	}
	files := settings.Files{
		Tokens: writeFile(t, "tokens.yaml", tokensFile()),
		Policy: writeFile(t, "policy.yaml",
			`rules: [{callers: [{token: "*"}], accounts: ["*"], operations: [update, read, remove], properties: ["*"]}]`),
	}
	live, err := settings.NewLive(files, settings.Base{Accounts: accounts}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return live
}

func tokensFile() string {
	var b strings.Builder
	b.WriteString("tokens:\n")
	for caller := range callerCount {
		fmt.Fprintf(&b, "  - {name: caller-%d, sha256: \"%x\"}\n", caller, sha256.Sum256([]byte(tokenOf(caller))))
	}
	return b.String()
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
