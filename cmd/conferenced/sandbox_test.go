package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
)

const ownState = `
accounts:
  - sid: ACac000000000000000000000000000009
    auth_token: 99112233445566778899aabbccddeeff
    conferences:
      - sid: CFcf000000000000000000000000000009
        participants:
          - call_sid: CAca000000000000000000000000000009
            label: Zoë
`

// writerIn returns a function that writes a file into the folder and returns its path.
func writerIn(t *testing.T, folder string) func(name, text string) string {
	return func(name, text string) string {
		t.Helper()
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
}

func writeState(t *testing.T, text string) string {
	t.Helper()
	return writerIn(t, t.TempDir())("state.yaml", text)
}

func TestSandboxState(t *testing.T) {
	s := startSandbox(t, "--state="+writeState(t, ownState))
	addr := s.stdout.awaitMatch(t, `gRPC +(\S+)`)[0]
	answer, err := conferencev1.NewConferenceServiceClient(dial(t, addr)).UpdateParticipant(t.Context(),
		&conferencev1.UpdateParticipantRequest{
			ConferenceSid: "CFcf000000000000000000000000000009", CallSid: "Zoë", Muted: proto.Bool(true),
		})
	if err != nil {
		t.Fatal(err)
	}
	if got := answer.GetParticipant(); got.GetAccountSid() != "ACac000000000000000000000000000009" || !got.GetMuted() {
		t.Errorf("participant: %v", got)
	}
	s.checkStops(t)
}

func TestInvalidSandboxState(t *testing.T) {
	tests := []struct{ name, path, want string }{
		{"no such file", filepath.Join(t.TempDir(), "none.yaml"), "--state (CONFERENCED_STATE): open "},
		{"no account", writeState(t, "accounts: []\n"), "account"},
		{"an unknown key", writeState(t, "accounts:\n  - sid: x\n    phone: 1\n"), "line 3"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := runStopped(t, "sandbox", "--state="+test.path)
			got.check(t, exitUsage, test.want)
			if !strings.Contains(got.stderr, test.path) {
				t.Errorf("the file is not named: %s", got.stderr)
			}
		})
	}
}

func TestInvalidFlagsOfSandbox(t *testing.T) {
	for flag, want := range map[string]string{
		"--twilio-addr=":           "--twilio-addr (CONFERENCED_TWILIO_ADDR): is empty",
		"--sandbox-error-rate=1.1": "--sandbox-error-rate (CONFERENCED_SANDBOX_ERROR_RATE): must be between 0 and 1",
		"--sandbox-error-rate=NaN": "--sandbox-error-rate (CONFERENCED_SANDBOX_ERROR_RATE): must be between 0 and 1",
		"--sandbox-latency=-1s":    "--sandbox-latency (CONFERENCED_SANDBOX_LATENCY): must not be less than 0",
		"--sandbox-call-step=0s":   "--sandbox-call-step (CONFERENCED_SANDBOX_CALL_STEP): must be at least 1ms",
		"--sandbox-concurrency=-1": "--sandbox-concurrency (CONFERENCED_SANDBOX_CONCURRENCY): must not be less than 0",
	} {
		t.Run(flag, func(t *testing.T) {
			runStopped(t, "sandbox", flag).check(t, exitUsage, want)
		})
	}
}

func TestTwilioAlone(t *testing.T) {
	s := startCommand(t, "sandbox", "--twilio-only",
		"--grpc-addr=nowhere.invalid:1") // Nothing else is served.
	base := s.stdout.awaitMatch(t, `is at (http://\S+)`)[0]
	if page := getPage(t, newHTTPClient(t), base+"/sandbox/state"); !strings.Contains(page, "front desk") {
		t.Errorf("state: %s", page)
	}
	s.checkStops(t)
}
