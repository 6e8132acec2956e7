package main

import (
	"conferenced/service/certtest"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// mistake is a configuration that check and serve refuse.
type mistake struct {
	name string
	args []string
	env  []string // Pairs, besides an account with its token.
	want string   // The error has each of its lines.
}

func mistakesInFlags() []mistake {
	flag := func(name, flag, want string) mistake { return mistake{name, []string{flag}, nil, want} }
	return []mistake{
		flag("an unknown flag", "--port=1", "unknown flag --port"),
		flag("a token as a flag", "--twilio-auth-token="+testToken, "unknown flag --twilio-auth-token"),
		flag("an unknown level", "--log-level=loud", "--log-level (CONFERENCED_LOG_LEVEL) must be one of"),
		{"an unknown level in the environment", nil, []string{"CONFERENCED_LOG_LEVEL", "loud"}, "--log-level (CONFERENCED_LOG_LEVEL) must be one of"},
		flag("an unknown format", "--log-format=xml", "--log-format (CONFERENCED_LOG_FORMAT) must be one of"),
		flag("an audit that fails in another way", "--audit-failure=maybe", "--audit-failure (CONFERENCED_AUDIT_FAILURE) must be one of"),
		flag("an audit folder that is missing", "--audit-log=/nowhere/audit", "--audit-log (CONFERENCED_AUDIT_LOG): access /nowhere: no such file"),
		flag("a folder as the audit", "--audit-log=/", "--audit-log (CONFERENCED_AUDIT_LOG): open /: is a directory"),
		{"an exporter of traces", nil, []string{"OTEL_TRACES_EXPORTER", "zipkin"}, "OTEL_TRACES_EXPORTER"},
		{"an endpoint of traces", nil, []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"}, "OTEL_EXPORTER_OTLP_ENDPOINT: must be a URL"},

		flag("anonymous callers from anywhere", "--http-addr=:0", "--http-addr (CONFERENCED_HTTP_ADDR): :0 is not a loopback address and callers are not authenticated"),
		{"an address of the environment", nil, []string{"CONFERENCED_GRPC_ADDR", "0.0.0.0:0"}, "--grpc-addr (CONFERENCED_GRPC_ADDR): 0.0.0.0:0 is not"},
		flag("a public admin address", "--admin-addr=0.0.0.0:0", "--admin-addr (CONFERENCED_ADMIN_ADDR): 0.0.0.0:0 is not a loopback address, and admin authenticates nobody"),
		flag("an address without a port", "--http-addr=127.0.0.1", "--http-addr (CONFERENCED_HTTP_ADDR): address 127.0.0.1: missing port"),
		flag("no address", "--admin-addr=", "--admin-addr (CONFERENCED_ADMIN_ADDR): is empty"),
		flag("a port that is too large", "--grpc-addr=127.0.0.1:65536", "--grpc-addr (CONFERENCED_GRPC_ADDR): address 65536: invalid port"),
		flag("a port that is no name of a service", "--admin-addr=127.0.0.1:nothing", "--admin-addr (CONFERENCED_ADMIN_ADDR): "),
		flag("a CORS origin", "--cors-origin=app.example", `--cors-origin (CONFERENCED_CORS_ORIGIN): CORS origin "app.example" is not like`),
		flag("a proxy that is no network", "--trusted-proxy=10.0.0.0/8,proxy", `--trusted-proxy (CONFERENCED_TRUSTED_PROXY): "proxy" is neither an address nor a network`),

		flag("a malformed duration", "--default-timeout=soon", "--default-timeout"),
		{"a malformed duration in the environment", nil, []string{"CONFERENCED_SHUTDOWN_TIMEOUT", "soon"}, "--shutdown-timeout"},
		flag("a duration without a unit", "--default-timeout=10", "--default-timeout"),
		flag("a default timeout of 0", "--default-timeout=0s", "--default-timeout (CONFERENCED_DEFAULT_TIMEOUT): must be more than 0"),
		flag("a negative default timeout", "--default-timeout=-1s", "--default-timeout (CONFERENCED_DEFAULT_TIMEOUT): must be more than 0"),
		{"a default timeout above the maximum", nil, []string{"CONFERENCED_DEFAULT_TIMEOUT", "2m"}, "--max-timeout (CONFERENCED_MAX_TIMEOUT): must be at least --default-timeout"},
		flag("a shutdown timeout of 0", "--shutdown-timeout=0s", "--shutdown-timeout (CONFERENCED_SHUTDOWN_TIMEOUT): must be more than 0"),
		flag("a negative shutdown timeout", "--shutdown-timeout=-1ns", "--shutdown-timeout (CONFERENCED_SHUTDOWN_TIMEOUT): must be more than 0"),
		{
			"two timeouts of 0", []string{"--default-timeout=0s", "--shutdown-timeout=0s"}, nil,
			"--default-timeout (CONFERENCED_DEFAULT_TIMEOUT): must be\n--shutdown-timeout (CONFERENCED_SHUTDOWN_TIMEOUT): must be",
		},
		flag("a negative drain delay", "--drain-delay=-1s", "--drain-delay (CONFERENCED_DRAIN_DELAY): must not be less than 0"),
		flag("an age below the minimum", "--max-connection-age=1ms", "--max-connection-age (CONFERENCED_MAX_CONNECTION_AGE): must be 0 or at least 1s"),
		flag("a grace below --max-timeout", "--max-connection-age-grace=9s", "--max-connection-age-grace (CONFERENCED_MAX_CONNECTION_AGE_GRACE): must be at least the maximum of deadlines, 1m0s"),

		flag("an attempt timeout of 0", "--attempt-timeout=0s", "--attempt-timeout (CONFERENCED_ATTEMPT_TIMEOUT): must be more than 0"),
		flag("no attempt", "--retry-attempts=0", "--retry-attempts (CONFERENCED_RETRY_ATTEMPTS): must be at least 1, not 0"),
		flag("a negative base", "--retry-base=-1ns", "--retry-base (CONFERENCED_RETRY_BASE): must be at least 0s, not -1ns"),
		flag("a negative cap", "--retry-cap=-1s", "--retry-cap (CONFERENCED_RETRY_CAP): must be at least 0s, not -1s"),
		flag("a cap that is too long", "--retry-cap=2000h", "--retry-cap (CONFERENCED_RETRY_CAP): must be at most 1000h0m0s, not 2000h0m0s"),
		flag("a floor of 0", "--concurrency-min=0", "--concurrency-min (CONFERENCED_CONCURRENCY_MIN): must be at least 1, not 0"),
		flag("a floor above the ceiling", "--concurrency-max=2", "--concurrency-min (CONFERENCED_CONCURRENCY_MIN): must be at most 2, not 4"),
		flag("a negative ceiling", "--concurrency-max=-1", "--concurrency-max (CONFERENCED_CONCURRENCY_MAX): must be at least 0, not -1"),
		flag("a negative queue", "--queue=-1", "--queue (CONFERENCED_QUEUE): must be at least 0, not -1"),
		flag("a negative rate", "--rate=-1", "--rate (CONFERENCED_RATE): must be 0 or at least 0.001, not -1"),
		flag("a rate that is too slow", "--rate=1e-9", "--rate (CONFERENCED_RATE): must be 0 or at least 0.001, not 1e-09"),
		flag("a rate that is no number", "--rate=NaN", "--rate (CONFERENCED_RATE): must be 0 or at least 0.001, not NaN"),
		flag("an infinite rate", "--rate=+Inf", "--rate (CONFERENCED_RATE): must be 0 or at least 0.001, not +Inf"),
		{"a rate without a burst", []string{"--rate=5", "--rate-burst=0"}, nil, "--rate-burst (CONFERENCED_RATE_BURST): must be at least 1, not 0"},
		flag("a breaker that is open for 0s", "--breaker-open-for=0s", "--breaker-open-for (CONFERENCED_BREAKER_OPEN_FOR): must be"),
		flag("a breaker without probes", "--breaker-probes=0", "--breaker-probes (CONFERENCED_BREAKER_PROBES): must be at least 1, not 0"),
		flag("a queue of 0", "--queue-per-participant=0", "--queue-per-participant (CONFERENCED_QUEUE_PER_PARTICIPANT): must be at least 1, not 0"),
		flag("no label", "--labels-max=0", "--labels-max (CONFERENCED_LABELS_MAX): must be at least 1, not 0"),
		flag("a label retention of 0", "--labels-retention=0s", "--labels-retention (CONFERENCED_LABELS_RETENTION): must be"),
		flag("no answer", "--request-id-max=0", "--request-id-max (CONFERENCED_REQUEST_ID_MAX): must be at least 1, not 0"),
		flag("negative retention", "--request-id-retention=-1s", "--request-id-retention (CONFERENCED_REQUEST_ID_RETENTION): must be"),
		flag("negative grace", "--attempt-grace=-1s", "--attempt-grace (CONFERENCED_ATTEMPT_GRACE): must be at least 0s, not -1s"),
		{
			"one mistake in each part of delivery",
			[]string{"--retry-attempts=0", "--retry-cap=-1s", "--concurrency-max=-1", "--queue=-1", "--breaker-probes=0", "--labels-max=0", "--request-id-max=0", "--attempt-grace=-1s"}, nil,
			"--retry-attempts (\n--retry-cap (\n--concurrency-max (\n--queue (\n--breaker-probes (\n--labels-max (\n--request-id-max (\n--attempt-grace (",
		},
	}
}

func mistakesAboutRedis() []mistake {
	const url = "CONFERENCED_REDIS_URL"
	return []mistake{
		{"a Redis URL of another kind", nil, []string{url, "http://user:" + misplaced + "@redis.test"}, "--redis-url (CONFERENCED_REDIS_URL): must be redis://"},
		{"a malformed Redis URL", nil, []string{url, "redis://user:" + misplaced + "@redis.test:port%"}, "--redis-url (CONFERENCED_REDIS_URL): must be redis://"},
		{
			"a password of Redis", []string{"--redis-url=redis://redis.example"}, []string{"CONFERENCED_REDIS_PASSWORD_FILE", "/nowhere"},
			"--redis-password-file (CONFERENCED_REDIS_PASSWORD_FILE): /nowhere: no such file",
		},
		{"a certificate of Redis", []string{"--redis-url=rediss://redis.example", "--redis-ca-file=/nowhere"}, nil, "--redis-ca-file (CONFERENCED_REDIS_CA_FILE): open /nowhere"},
		{"a timeout of Redis", []string{"--redis-timeout=5s"}, []string{url, "redis://user:" + misplaced + "@redis.test"}, "--redis-timeout (CONFERENCED_REDIS_TIMEOUT): must be"},
	}
}

func mistakesAboutCallers(t *testing.T, f securityFiles) []mistake {
	t.Helper()
	f.write(t, "other-key", certtest.KeyPEM(t, certtest.Issue(t, nil, "127.0.0.1")))
	f.write(t, "empty", "")
	f.write(t, "damaged", certtest.PEM(certtest.NewCA(t, "clients"))[:200])
	const issuer, audience = "--jwt-issuer=https://i.example", "--jwt-audience=x"
	return []mistake{
		{"tokens without a policy", f.flags("tokens"), nil, "--policy (CONFERENCED_POLICY): callers are authenticated, but there is no policy"},
		{"a certificate without a key", f.flags("tls-cert"), nil, "--tls-cert (CONFERENCED_TLS_CERT): " + f.path("tls-cert") + ": is a TLS certificate without a key"},
		{"a key without its certificate", []string{"--tls-key=/nowhere/key"}, nil, "is a TLS key without a certificate"},
		{"a key of another certificate", append(f.flags("tls-cert"), "--tls-key="+f.path("other-key")), nil, "--tls-key (CONFERENCED_TLS_KEY): \n: does not go with"},
		{"a key that is none", append(f.flags("tls-cert"), "--tls-key="+f.path("policy")), nil, "--tls-key (CONFERENCED_TLS_KEY): \n: does not go with"},
		{"an empty key", append(f.flags("tls-cert"), "--tls-key="+f.path("empty")), nil, "--tls-key (CONFERENCED_TLS_KEY): \n: does not go with"},
		{"a certificate that is none", append(f.flags("tls-key"), "--tls-cert="+f.path("policy")), nil, "--tls-cert (CONFERENCED_TLS_CERT): \n: has no certificate in PEM"},
		{"a damaged client CA", append(f.flags("tls-cert", "tls-key", "policy"), "--client-ca="+f.path("damaged")), nil, "--client-ca (CONFERENCED_CLIENT_CA): \n: 1 of 1 PEM blocks are damaged"},
		{"client certificates without TLS", f.flags("client-ca", "policy"), nil, "--client-ca (CONFERENCED_CLIENT_CA): \n: needs TLS to ask for client certificates"},
		{"an issuer alone", []string{issuer, "--http-addr=:0"}, nil, "--jwt-audience (CONFERENCED_JWT_AUDIENCE): is missing"},
		{"an audience alone", []string{audience}, nil, "--jwt-issuer (CONFERENCED_JWT_ISSUER): must be an absolute URL"},
		{
			"keys alone", []string{"--jwt-jwks-url=https://issuer.example/keys"}, nil,
			"--jwt-issuer (CONFERENCED_JWT_ISSUER): must be\n--jwt-audience (CONFERENCED_JWT_AUDIENCE): is missing",
		},
		{"an issuer without TLS", []string{"--jwt-issuer=http://issuer.example", audience}, nil, "must be https"},
		{"a shared key", []string{issuer, audience, "--jwt-algorithms=ES256,HS256"}, nil, `--jwt-algorithms (CONFERENCED_JWT_ALGORITHMS): "HS256" is not one of`},
		{"no signature", []string{issuer, audience, "--jwt-algorithms=none"}, nil, `--jwt-algorithms (CONFERENCED_JWT_ALGORITHMS): "none" is not one of`},
		{"a clock skew that is too large", []string{issuer, audience, "--jwt-clock-skew=1h"}, nil, "--jwt-clock-skew (CONFERENCED_JWT_CLOCK_SKEW): must be 0 to 5m0s"},
		{
			"several", []string{audience, "--trusted-proxy=x", "--tokens=/nowhere/tokens", "--policy=/nowhere/policy"}, nil,
			"--jwt-issuer (CONFERENCED_JWT_ISSUER): must be\n--trusted-proxy (CONFERENCED_TRUSTED_PROXY): \n" +
				"/nowhere/tokens: no such file\n/nowhere/policy: no such file",
		},
	}
}

func mistakesAboutTwilio(f securityFiles) []mistake {
	// env replaces the auth token.
	env := func(name, want string, pairs ...string) mistake {
		return mistake{name, nil, append([]string{"TWILIO_AUTH_TOKEN", ""}, pairs...), want}
	}
	// more adds to the auth token.
	more := func(name, want string, pairs ...string) mistake { return mistake{name, nil, pairs, want} }
	const neitherSecret = "TWILIO_API_KEY is set, but neither TWILIO_API_SECRET nor TWILIO_API_SECRET_FILE"
	return []mistake{
		more("no account", "TWILIO_ACCOUNT_SID is not set", "TWILIO_ACCOUNT_SID", ""),
		more("an account that is none", "the account SID must be AC and 32 hexadecimal digits", "TWILIO_ACCOUNT_SID", testKeySID),
		more("an account with a line feed", "TWILIO_ACCOUNT_SID: ", "TWILIO_ACCOUNT_SID", testAccountSID+"\n"),
		env("no credentials", "neither TWILIO_AUTH_TOKEN nor TWILIO_API_KEY and TWILIO_API_SECRET is set"),
		env("a key without its secret", neitherSecret, "TWILIO_API_KEY", testKeySID),
		more("a key without its secret, and a token", neitherSecret, "TWILIO_API_KEY", testKeySID),
		env("a secret without its key", "TWILIO_API_SECRET is set, but not TWILIO_API_KEY", "TWILIO_API_SECRET", testSecret),
		env("a key that is none", "the username must be an account SID (AC...) or an API key SID (SK...)", "TWILIO_API_KEY", testSecret, "TWILIO_API_SECRET", testSecret),
		env("a key's secret with a blank", "TWILIO_API_SECRET: \nhas white space", "TWILIO_API_KEY", testKeySID, "TWILIO_API_SECRET", testSecret+" \n"),
		env("a token with a blank", "TWILIO_AUTH_TOKEN: \nhas white space", "TWILIO_AUTH_TOKEN", testToken+" "+testToken),
		env("a token of two lines", "TWILIO_AUTH_TOKEN: \nhas a control character or more than one line", "TWILIO_AUTH_TOKEN", testToken+"\n"+testToken),
		env("a token after a byte order mark", "TWILIO_AUTH_TOKEN: \nbegins with a byte order mark (BOM)", "TWILIO_AUTH_TOKEN", "\ufeff"+testToken),
		env("a file with a byte order mark", "TWILIO_AUTH_TOKEN_FILE: \nbegins with a byte order mark (BOM)", "TWILIO_AUTH_TOKEN_FILE", "FILE:\ufeff"+testToken),
		env("a file that is not there", "TWILIO_AUTH_TOKEN_FILE: /nowhere/token: no such file or directory", "TWILIO_AUTH_TOKEN_FILE", "/nowhere/token"),
		env("a file that is empty", "TWILIO_AUTH_TOKEN_FILE: \nsecret: is empty", "TWILIO_AUTH_TOKEN_FILE", "FILE: \n"),
		env("two files that are not there", "/nowhere/token\n/nowhere/secret",
			"TWILIO_AUTH_TOKEN_FILE", "/nowhere/token", "TWILIO_API_KEY", testKeySID, "TWILIO_API_SECRET_FILE", "/nowhere/secret"),
		more("a token twice", "TWILIO_AUTH_TOKEN and TWILIO_AUTH_TOKEN_FILE are both set", "TWILIO_AUTH_TOKEN_FILE", "FILE:"+testToken),
		more("a secret twice", "TWILIO_API_SECRET and TWILIO_API_SECRET_FILE are both set", "TWILIO_API_SECRET", testSecret, "TWILIO_API_SECRET_FILE", "FILE:"+testSecret),
		more("a region without its edge", "region ie1 needs an edge too, such as dublin\nwere announced to stop on 2026-04-28", "TWILIO_REGION", "ie1"),
		more("a region with a line feed", "TWILIO_REGION and TWILIO_EDGE: the region is not a name", "TWILIO_REGION", "ie1\n", "TWILIO_EDGE", "dublin"),
		more("a region that is none", "the region is not a name", "TWILIO_REGION", "ie1.example/", "TWILIO_EDGE", "dublin"),
		{
			"a region and a base URL", []string{"--twilio-base-url=https://twilio.example"}, []string{"TWILIO_REGION", "us1"},
			"--twilio-base-url (CONFERENCED_TWILIO_BASE_URL): cannot be used together with TWILIO_REGION or TWILIO_EDGE",
		},
		{
			"an edge and a base URL", []string{"--twilio-base-url=https://twilio.example"}, []string{"TWILIO_EDGE", "dublin"},
			"--twilio-base-url (CONFERENCED_TWILIO_BASE_URL): cannot be used together with TWILIO_REGION or TWILIO_EDGE",
		},
		{
			"accounts and a base URL", append(f.flags("accounts"), "--twilio-base-url=https://x.example"), nil,
			"--twilio-base-url (CONFERENCED_TWILIO_BASE_URL): cannot be used together with --accounts",
		},
		{"a base URL with a path", []string{"--twilio-base-url=https://twilio.example/2010-04-01"}, nil, "the base URL must be scheme://host[:port]"},
		{"a base URL without a scheme", []string{"--twilio-base-url=twilio.example"}, nil, "the base URL must begin with https:// or http://"},
		env("everything that is missing or wrong", "TWILIO_ACCOUNT_SID is not set\nTWILIO_API_KEY is set, but neither\nneeds an edge too",
			"TWILIO_ACCOUNT_SID", "", "TWILIO_REGION", "ie1", "TWILIO_API_KEY", testKeySID),
	}
}

// TestMistakes checks that check and serve print the same errors, without secrets, and
// that serve does so before it binds an address.
func TestMistakes(t *testing.T) {
	taken := listen(t)
	f := newSecurityFiles(t, "https://api.twilio.com")
	all := append(mistakesInFlags(), mistakesAboutRedis()...)
	all = append(append(all, mistakesAboutCallers(t, f)...), mistakesAboutTwilio(f)...)
	for _, test := range all {
		t.Run(test.name, func(t *testing.T) {
			environment(t, "TWILIO_ACCOUNT_SID", testAccountSID, "TWILIO_AUTH_TOKEN", testToken)
			environment(t, "CONFERENCED_GRPC_ADDR", "127.0.0.1:0", "CONFERENCED_HTTP_ADDR", taken, "CONFERENCED_ADMIN_ADDR", "127.0.0.1:0")
			environment(t, "CONFERENCED_AUDIT_LOG", filepath.Join(t.TempDir(), "audit"))
			environment(t, test.env...)
			checked := runCommand(t.Context(), append([]string{"check"}, test.args...)...)
			checked.check(t, exitUsage, append(strings.Split(test.want, "\n"), "conferenced: ")...)
			checkUnsaid(t, checked)
			served := runCommand(t.Context(), append([]string{"serve"}, test.args...)...)
			if diff := cmp.Diff(checked, served, cmp.AllowUnexported(ran{})); diff != "" {
				t.Errorf("check and serve differ (-check +serve):\n%s", diff)
			}
		})
	}
}

// TestCheckTakesNothing: it neither binds an address nor creates a file.
func TestCheckTakesNothing(t *testing.T) {
	audit := filepath.Join(t.TempDir(), "audit")
	environment(t, "TWILIO_ACCOUNT_SID", testAccountSID, "TWILIO_AUTH_TOKEN", testToken)
	runCommand(t.Context(), "check", "--audit-log="+audit, "--http-addr="+listen(t)).check(t, 0)
	if _, err := os.Stat(audit); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("check has created the audit: %v", err)
	}
}

// listen returns an address that is in use until the test ends.
func listen(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}
