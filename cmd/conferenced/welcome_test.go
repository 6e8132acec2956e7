package main

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"conferenced/service/certtest"
)

// TestPrintedCommandsRun runs what the sandbox prints in a shell, with the flags that
// change how it is called. It skips what is not installed.
func TestPrintedCommandsRun(t *testing.T) {
	f := newSecurityFiles(t, "https://api.twilio.com")
	const loopback, all, v6 = "127.0.0.1:0", "0.0.0.0:0", "[::1]:0"
	tests := []struct {
		name, addr string
		flags      []string
		env        []string
		commands   int // without grpcurl, if that is not installed
	}{
		{"the default", loopback, nil, nil, 3},
		{"other addresses", v6, nil, nil, 3},
		{"TLS", loopback, f.flags("tls-cert", "tls-key"), nil, 3},
		{"tokens", loopback, f.flags("tokens", "policy"), []string{"TOKEN", callerToken}, 3},
		{"tokens and TLS on all addresses", all, f.flags("tokens", "policy", "tls-cert", "tls-key"), []string{"TOKEN", callerToken}, 3},
		{"client certificates", loopback, append(f.flags("tls-cert", "tls-key"), "--client-ca="+f.path("client"), "--policy="+f.path("any")), []string{"CERT", f.path("client"), "KEY", f.path("client-key")}, 3},
		{"a state file", loopback, []string{"--state=" + writeState(t, ownState)}, nil, 3},
		{"no reflection", loopback, []string{"--no-reflection", "--no-docs"}, nil, 2},
		{"the embedded Twilio alone", all, []string{"--twilio-only"}, nil, 1},
	}
	pair := certtest.Issue(t, nil, "ui.example") // It is its own CA.
	f.write(t, "client", certtest.PEM(pair))
	f.write(t, "client-key", certtest.KeyPEM(t, pair))
	f.write(t, "any", `rules: [{callers: [{san: "*"}], accounts: ["*"], properties: ["*"]}]`)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			environment(t, test.env...)
			environment(t, "http_proxy", "", "https_proxy", "", "NO_PROXY", "*")
			args := []string{"sandbox", "--grpc-addr=" + test.addr, "--http-addr=" + test.addr, "--admin-addr=127.0.0.1:0", "--twilio-addr=127.0.0.1:0"}
			if test.name == "the embedded Twilio alone" {
				args[len(args)-1] = "--twilio-addr=" + test.addr
			}
			s := startOn(t, false, append(args, test.flags...)...)
			s.stdout.awaitMatch(t, `Stop with (Ctrl-C)\.`)
			text := s.stdout.String()
			commands := regexp.MustCompile(`(?m)^  ((curl|grpcurl) .*)$`).FindAllStringSubmatch(text, -1)
			if len(commands) != test.commands {
				t.Errorf("%d commands:\n%s", len(commands), text)
			}
			for _, command := range commands {
				runPrinted(t, command[2], command[1])
			}
			if len(test.env) > 0 != strings.Contains(text, "Callers are authenticated. Set "+strings.Join(test.env[:min(1, len(test.env))], "")) {
				t.Errorf("what the reader has to set is not right:\n%s", text)
			}
		})
	}
}

// runPrinted runs a printed command, which must answer with the changed participant.
func runPrinted(t *testing.T, tool, command string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		t.Log(err)
		return
	}
	answer, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput()
	if err != nil || !regexp.MustCompile(`"(muted|hold)": ?true`).Match(answer) {
		t.Errorf("%s: %v: %s", command, err, answer)
	}
}

// TestShortLines: a sandbox on a terminal logs one short line for each call.
func TestShortLines(t *testing.T) {
	s := startOn(t, true, append([]string{"sandbox"}, anywhere...)...)
	address := s.stdout.awaitMatch(t, `REST +(\S+)`)[0]
	rest := address + "/v1/conferences/CFcf000000000000000000000000000001/participants"
	client := newHTTPClient(t)
	for _, step := range []struct{ path, body, want string }{
		{"/CAca000000000000000000000000000002", `{"muted": true}`, "muted customer  200"},
		{"/front%20desk", `{"hold": true, "muted": false, "beep_on_exit": true}`, "unmuted, held, set beep_on_exit of front desk  200"},
		{"/agent", `{"announce_url": "https://a.example/x"}`, "announced to agent  200"},
		{"/nobody", `{"muted": false}`, "not unmuted a participant  404"},
		{"/CAca000000000000000000000000000005", `{"hold": false}`, "took off hold CAca000000000000000000000000000005  200"},
		{"/CAca000000000000000000000000000001", `{"mute": true}`, "not updated agent  400"},
		{":update", `{"participants": ["agent", "nobody"], "set": {"muted": true}}`, "muted 1 of 2 participants  200"},
	} {
		response, err := client.Post(rest+step.path, "application/json", strings.NewReader(step.body))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		s.stderr.awaitMatch(t, `(?m)^(`+regexp.QuoteMeta(step.want)+`)  \d+ ms(  [A-Z_]+)?$`)
	}
	for path, want := range map[string]string{
		rest: "read participants", rest + "/agent": "read agent", address + "/v1/conferences/name:x/participants": "not read participants",
		address + "/2010-04-01/Accounts/ACac000000000000000000000000000001/Conferences.json": "read conferences",
	} {
		response, err := client.Get(path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		s.stderr.awaitMatch(t, `(?m)^(`+want+`)  \d+  \d+ ms`)
	}
	if log := s.stderr.String(); strings.Contains(log, "msg=call") || !strings.Contains(log, "msg=serving") {
		t.Errorf("the log:\n%s", log)
	}
	for name, s := range map[string]*started{
		"json": startOn(t, true, append([]string{"sandbox", "--log-format=json"}, anywhere...)...),
		"text": startSandbox(t),
	} {
		if err := muteAgent(t, s.stdout.awaitMatch(t, `gRPC +(\S+)`)[0]); err != nil {
			t.Fatal(err)
		}
		s.stderr.awaitMatch(t, map[string]string{"json": `"msg":"(call)"`, "text": `msg=(call)`}[name])
	}
}
