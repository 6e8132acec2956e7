package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// parsed returns the values of a command's flags for some arguments.
func parsed(t *testing.T, args ...string) map[string]any {
	t.Helper()
	parser, err := kong.New(new(commands), kong.Name("conferenced"))
	if err != nil {
		t.Fatal(err)
	}
	command, err := parser.Parse(args)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]any{}
	for _, flag := range command.Flags() {
		values[flag.Name] = flag.Target.Interface()
	}
	return values
}

// commandsWithFlags returns the flags of each command, without --help and --version.
func commandsWithFlags(t *testing.T) map[string][]*kong.Flag {
	t.Helper()
	parser, err := kong.New(new(commands), kong.Name("conferenced"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]*kong.Flag{}
	for _, command := range parser.Model.Leaves(false) {
		var flags []*kong.Flag
		for _, group := range command.AllFlags(false) {
			for _, flag := range group {
				if flag.Name != "help" && flag.Name != "version" {
					flags = append(flags, flag)
				}
			}
		}
		all[command.Path()] = flags
	}
	return all
}

func TestEveryFlagHasAnEnvironmentName(t *testing.T) {
	for command, flags := range commandsWithFlags(t) {
		for _, flag := range flags {
			if len(flag.Envs) == 0 && (command == "check" || command == "proto" || command == "token") {
				continue // Flags of one invocation are no configuration.
			}
			if len(flag.Envs) != 1 || !strings.HasPrefix(flag.Envs[0], "CONFERENCED_") {
				t.Errorf("%s --%s has the environment names %v", command, flag.Name, flag.Envs)
			}
			if strings.Contains(strings.ToUpper(strings.Join(flag.Envs, "")+flag.Name), "SECRET") {
				t.Errorf("%s --%s takes a secret", command, flag.Name)
			}
		}
	}
}

func TestOneEnvironmentNameIsOneThing(t *testing.T) {
	flagOf := map[string]string{}
	for command, flags := range commandsWithFlags(t) {
		for _, flag := range flags {
			for _, name := range flag.Envs {
				if other, ok := flagOf[name]; ok && other != flag.Name {
					t.Errorf("%s: %s is --%s, and --%s elsewhere", command, name, flag.Name, other)
				}
				flagOf[name] = flag.Name
			}
		}
	}
}

func TestHelpOfEachCommand(t *testing.T) {
	for command, flags := range commandsWithFlags(t) {
		t.Run(command, func(t *testing.T) {
			got := runCommand(t.Context(), append(strings.Fields(command), "--help")...)
			got.check(t, 0)
			help := strings.Join(strings.Fields(got.stdout), " ") // without line breaks
			for _, flag := range flags {
				for _, name := range flag.Envs {
					if !strings.Contains(help, "$"+name) {
						t.Errorf("%s, of --%s, is not in the help:\n%s", name, flag.Name, got.stdout)
					}
				}
			}
		})
	}
}

// TestHelpIsGrouped checks that serve shows every flag under a heading, and each default
// once: kong shows it after the flag's name, unless the flag has a placeholder.
func TestHelpIsGrouped(t *testing.T) {
	for command, flags := range commandsWithFlags(t) {
		for _, flag := range flags {
			if command == "serve" && flag.Group == nil {
				t.Errorf("--%s is in no group", flag.Name)
			}
			times := strings.Count(flag.FormatPlaceHolder(), flag.Default) + strings.Count(flag.Help, "("+flag.Default+")")
			if flag.Default != "" && !flag.IsBool() && times != 1 && flag.PlaceHolder == "" {
				t.Errorf("%s --%s shows its default %d times: %s, %s", command, flag.Name, times, flag.FormatPlaceHolder(), flag.Help)
			}
		}
	}
	help := runCommand(t.Context(), "serve", "--help")
	if strings.Contains(help.stdout, "\nFlags:\n") {
		t.Errorf("flags without a group:\n%s", help.stdout)
	}
}

func TestHelpOfServeNamesWhatTwilioNeeds(t *testing.T) {
	got := runCommand(t.Context(), "serve", "--help")
	for _, name := range []string{
		"TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_AUTH_TOKEN_FILE", "TWILIO_API_KEY",
		"TWILIO_API_SECRET", "TWILIO_API_SECRET_FILE", "TWILIO_REGION", "TWILIO_EDGE",
	} {
		if !strings.Contains(got.stdout, name) {
			t.Errorf("%s is not in the help:\n%s", name, got.stdout)
		}
	}
}

// other returns a valid value of the flag other than the default.
func other(t *testing.T, flag *kong.Flag) string {
	t.Helper()
	if flag.Enum != "" {
		for value := range strings.SplitSeq(flag.Enum, ",") {
			if value != flag.Default {
				return value
			}
		}
	}
	switch value := flag.Target.Interface().(type) {
	case time.Duration:
		return "7s"
	case bool:
		if flag.Default == "true" {
			return "false"
		}
		return "true"
	case string:
		return "other"
	case []string:
		return "one,two"
	default:
		if reflect.TypeOf(value).Kind() == reflect.Float64 {
			return "0.5"
		}
		return "3"
	}
}

func TestTheEnvironmentSetsEveryFlag(t *testing.T) {
	for command, flags := range commandsWithFlags(t) {
		if !slices.ContainsFunc(flags, func(flag *kong.Flag) bool { return len(flag.Envs) > 0 }) {
			continue
		}
		t.Run(command, func(t *testing.T) {
			args := strings.Fields(command)
			before := parsed(t, args...)
			byFlag := parsed(t, append(args, others(t, flags)...)...)
			for _, flag := range flags {
				if len(flag.Envs) > 0 {
					t.Setenv(flag.Envs[0], other(t, flag))
				}
			}
			byEnvironment := parsed(t, args...)
			for _, flag := range flags {
				if len(flag.Envs) == 0 {
					continue
				}
				if reflect.DeepEqual(before[flag.Name], byEnvironment[flag.Name]) {
					t.Errorf("%s=%s leaves it %v", flag.Envs[0], other(t, flag), before[flag.Name])
				}
				if !reflect.DeepEqual(byFlag[flag.Name], byEnvironment[flag.Name]) {
					t.Errorf("--%s is %v by environment, %v by flag", flag.Name, byEnvironment[flag.Name], byFlag[flag.Name])
				}
			}
		})
	}
}

// others sets each flag with an environment name to its other value.
func others(t *testing.T, flags []*kong.Flag) []string {
	t.Helper()
	var args []string
	for _, flag := range flags {
		if len(flag.Envs) > 0 {
			args = append(args, "--"+flag.Name+"="+other(t, flag))
		}
	}
	return args
}

func TestAFlagOutweighsTheEnvironment(t *testing.T) {
	t.Setenv("CONFERENCED_LOG_LEVEL", "debug")
	if got := parsed(t, "sandbox", "--log-level=error")["log-level"]; got != "error" {
		t.Errorf("--log-level is %v", got)
	}
}

func TestEveryMechanismOfDeliveryCanBeSwitchedOff(t *testing.T) {
	runStopped(t, "sandbox", "--retry-attempts=1", "--no-order", "--labels-max=0",
		"--request-id-retention=0s", "--request-id-max=0", "--concurrency-max=0", "--concurrency-min=0",
		"--breaker-failures=0", "--breaker-probes=0", "--attempt-grace=0s").check(t, 0)
}

// TestSecretsInFlags checks that what other users of the machine can read in the
// command line is refused, and accepted in the environment.
func TestSecretsInFlags(t *testing.T) {
	policy := writerIn(t, t.TempDir())("policy", "rules: [{callers: [{name: x}], accounts: ['*'], properties: [muted]}]")
	jwt := []string{"--jwt-issuer=https://issuer.example", "--jwt-audience=x", "--policy=" + policy}
	tests := []struct {
		name     string
		flag     string
		variable string
		value    string
		others   []string
	}{
		{"a password of Redis", "--redis-url", "CONFERENCED_REDIS_URL", "redis://user:" + misplaced + "@127.0.0.1:1", nil},
		{"a password of Redis without a user", "--redis-url", "CONFERENCED_REDIS_URL", "redis://:" + misplaced + "@127.0.0.1:1/", nil},
		{"a password of Redis at a socket", "--redis-url", "CONFERENCED_REDIS_URL", "unix://:" + misplaced + "@/nowhere", nil},
		{"a query of the JWKS URL", "--jwt-jwks-url", "CONFERENCED_JWT_JWKS_URL", "https://keys.example/?key=" + misplaced, jwt},
	}
	for _, command := range []string{"serve", "sandbox"} {
		for _, test := range tests {
			t.Run(command+" with "+test.name, func(t *testing.T) {
				environment(t, "TWILIO_ACCOUNT_SID", testAccountSID, "TWILIO_AUTH_TOKEN", testToken)
				args := append([]string{command}, test.others...)
				refused := runStopped(t, append(args, test.flag+"="+test.value)...)
				refused.check(t, 2, "conferenced: "+test.flag+": ", "can be read by other users of this machine: set "+test.variable+" instead")
				t.Setenv(test.variable, test.value)
				accepted := runStopped(t, args...)
				accepted.check(t, 0)
				for _, got := range []ran{refused, accepted} {
					if strings.Contains(got.stdout+got.stderr, misplaced) {
						t.Errorf("the secret is printed:\n%s%s", got.stdout, got.stderr)
					}
				}
			})
		}
	}
}

func TestURLsWithoutSecretsInFlags(t *testing.T) {
	environment(t, "TWILIO_ACCOUNT_SID", testAccountSID, "TWILIO_AUTH_TOKEN", testToken)
	for _, flag := range []string{
		"--redis-url=redis://user@127.0.0.1:1/2?addr=127.0.0.1:2", "--redis-url=redis://127.0.0.1:1/",
	} {
		runStopped(t, "serve", flag).check(t, 0)
	}
}

// TestURLsThatNeverHavePasswords, whether from a flag or from the environment.
func TestURLsThatNeverHavePasswords(t *testing.T) {
	for name, want := range map[string]string{
		"twilio-base-url": "--twilio-base-url (CONFERENCED_TWILIO_BASE_URL): the base URL must not hold a user name or password",
		"jwt-issuer":      "--jwt-issuer (CONFERENCED_JWT_ISSUER): must not hold a user name or password",
		"jwt-jwks-url":    "--jwt-jwks-url (CONFERENCED_JWT_JWKS_URL): must not hold a user name or password",
		"cors-origin":     "--cors-origin (CONFERENCED_CORS_ORIGIN): a CORS origin must not have a user name",
	} {
		const value = "https://user:" + misplaced + "@host.example"
		t.Run(name, func(t *testing.T) {
			environment(t, "TWILIO_ACCOUNT_SID", testAccountSID, "TWILIO_AUTH_TOKEN", testToken)
			if strings.HasPrefix(name, "jwt-") {
				environment(t, "CONFERENCED_JWT_AUDIENCE", "x", "CONFERENCED_JWT_ISSUER", "https://issuer.example")
			}
			byFlag := runStopped(t, "serve", "--"+name+"="+value)
			t.Setenv("CONFERENCED_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_")), value)
			for _, got := range []ran{byFlag, runStopped(t, "serve")} {
				if got.code != exitUsage || !strings.Contains(got.stderr, want) || strings.Contains(got.stdout+got.stderr, misplaced) {
					t.Errorf("exit code %d, no %q:\n%s%s", got.code, want, got.stdout, got.stderr)
				}
			}
		})
	}
}
