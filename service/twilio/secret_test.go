package twilio_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"conferenced/service/twilio"
)

const token = "hunter2hunter2"

func TestSecretIsNeverPrinted(t *testing.T) {
	account := testAccount("https://api.twilio.com")
	account.Password = twilio.NewSecret(token)
	accounts, err := twilio.NewAccounts("", account)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]any{
		"a secret":                         account.Password,
		"a pointer to a secret":            &account.Password,
		"an account":                       account,
		"a pointer to an account":          &account,
		"a set of accounts":                *accounts,
		"a pointer to a set of accounts":   accounts,
		"an account in unexported fields":  struct{ inner struct{ a twilio.Account } }{struct{ a twilio.Account }{account}},
		"an account in a map in a slice":   []map[string]twilio.Account{{"x": account}},
		"a secret behind an interface":     []any{account.Password},
		"a pointer to an unexported field": &struct{ s *twilio.Secret }{&account.Password},
	}
	for name, value := range values {
		t.Run(name, func(t *testing.T) {
			for how, text := range renderings(t, value) {
				if strings.Contains(text, token) || strings.Contains(text, fmt.Sprintf("%x", token)) {
					t.Errorf("%s shows the secret: %s", how, text)
				}
			}
		})
	}
}

func renderings(t *testing.T, value any) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%t", "% x", "%10.3s"} {
		out[format] = fmt.Sprintf(format, value)
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	out["json"] = string(encoded)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("json", "value", value)
	slog.New(slog.NewTextHandler(&log, nil)).Info("text", "value", value)
	out["slog"] = log.String()
	return out
}

func TestSecretPrintsRedacted(t *testing.T) {
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		if got := fmt.Sprintf(format, twilio.NewSecret(token)); got != "[redacted]" {
			t.Errorf("%s: %s", format, got)
		}
	}
	if got, _ := json.Marshal(twilio.NewSecret(token)); string(got) != `"[redacted]"` {
		t.Errorf("json: %s", got)
	}
}

func TestSecretsAreEqualByValue(t *testing.T) {
	if !twilio.NewSecret("a").Equal(twilio.NewSecret("a")) {
		t.Error("equal values differ")
	}
	if twilio.NewSecret("a").Equal(twilio.NewSecret("b")) {
		t.Error("different values are equal")
	}
	if !twilio.NewSecret("").IsZero() || !(twilio.Secret{}).IsZero() || twilio.NewSecret("a").IsZero() {
		t.Error("IsZero is not whether the value is empty")
	}
}
