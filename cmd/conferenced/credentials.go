package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"conferenced/service/twilio"
)

// secretReader reads a secret from a file.
type secretReader func(path string) (string, error)

// accountsFromEnvironment is the one account that the environment names. Its
// error lists everything that is wrong or missing.
func accountsFromEnvironment(baseURL string, readSecret secretReader) (*twilio.Accounts, error) {
	account := twilio.Account{SID: os.Getenv("TWILIO_ACCOUNT_SID")}
	var errs []error
	if account.SID == "" {
		errs = append(errs, errors.New("TWILIO_ACCOUNT_SID is not set"))
	}
	var err error
	if account.Username, account.Password, err = credentials(account.SID, readSecret); err != nil {
		errs = append(errs, err)
	}
	if account.BaseURL, err = upstream(baseURL); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("Twilio is not configured:\n%w\nTo try conferenced without an account, run conferenced sandbox", errors.Join(errs...))
	}
	return twilio.NewAccounts(account.SID, account)
}

// credentials is the API key if there is one, otherwise the auth token.
func credentials(accountSID string, readSecret secretReader) (string, twilio.Secret, error) {
	key := os.Getenv("TWILIO_API_KEY")
	secret, secretErr := secretFromEnvironment("TWILIO_API_SECRET", readSecret)
	token, tokenErr := secretFromEnvironment("TWILIO_AUTH_TOKEN", readSecret)
	if err := errors.Join(secretErr, tokenErr); err != nil {
		return "", twilio.Secret{}, err
	}
	switch {
	case key != "" && secret != "":
		return key, twilio.NewSecret(secret), nil
	case key != "":
		return "", twilio.Secret{}, errors.New("TWILIO_API_KEY is set, but neither TWILIO_API_SECRET nor TWILIO_API_SECRET_FILE")
	case secret != "":
		return "", twilio.Secret{}, errors.New("TWILIO_API_SECRET is set, but not TWILIO_API_KEY")
	case token != "":
		return accountSID, twilio.NewSecret(token), nil
	default:
		return "", twilio.Secret{}, errors.New("neither TWILIO_AUTH_TOKEN nor TWILIO_API_KEY and TWILIO_API_SECRET is set (nor TWILIO_AUTH_TOKEN_FILE, TWILIO_API_SECRET_FILE)")
	}
}

// secretFromEnvironment reads a secret from the variable, or from the file that
// the variable with _FILE behind its name says. Neither set: "".
func secretFromEnvironment(name string, readSecret secretReader) (string, error) {
	value, path := os.Getenv(name), os.Getenv(name+"_FILE")
	if path == "" {
		return value, nil
	}
	if value != "" {
		return "", fmt.Errorf("%s and %s_FILE are both set", name, name)
	}
	secret, err := readSecret(path)
	if err != nil {
		return "", fmt.Errorf("%s_FILE: %w", name, err)
	}
	return secret, nil
}

// upstream is where Twilio's API is.
func upstream(baseURL string) (string, error) {
	region, edge := os.Getenv("TWILIO_REGION"), os.Getenv("TWILIO_EDGE")
	if baseURL == "" {
		return twilio.BaseURL(region, edge)
	}
	if region != "" || edge != "" {
		return "", errors.New("--twilio-base-url and TWILIO_REGION or TWILIO_EDGE are both set: only one of them can say where Twilio is")
	}
	return strings.TrimSuffix(baseURL, "/"), nil
}
