package settings

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"conferenced/service/invalid"
	"conferenced/service/twilio"
)

// environmentAccount returns the account that the TWILIO_ variables define, as the
// default account. Its error joins everything that is wrong or missing.
func environmentAccount(baseURL string, from *reading) (*twilio.Accounts, error) {
	account := twilio.Account{SID: os.Getenv("TWILIO_ACCOUNT_SID")}
	var sidErr, credentialsErr, baseErr error
	if account.SID == "" {
		sidErr = errors.New("TWILIO_ACCOUNT_SID is not set")
	} else if err := twilio.ValidateAccountSID(account.SID); err != nil {
		sidErr = fmt.Errorf("TWILIO_ACCOUNT_SID: %w", err)
	}
	account.Username, account.Password, credentialsErr = environmentCredentials(account.SID, from)
	account.BaseURL, baseErr = environmentBaseURL(baseURL)
	if err := errors.Join(sidErr, credentialsErr, baseErr); err != nil {
		return nil, errors.Join(errors.New("Twilio is not configured:"), err,
			errors.New("To try conferenced without an account, run conferenced sandbox"))
	}
	return twilio.NewAccounts(account.SID, account)
}

// environmentCredentials returns the API key if there is one, otherwise the auth
// token.
func environmentCredentials(accountSID string, from *reading) (username string, password twilio.Secret, err error) {
	key := os.Getenv("TWILIO_API_KEY")
	secret, secretErr := environmentSecret("TWILIO_API_SECRET", from)
	token, tokenErr := environmentSecret("TWILIO_AUTH_TOKEN", from)
	if err := errors.Join(secretErr, tokenErr); err != nil {
		return "", twilio.Secret{}, err
	}
	switch {
	case key != "" && secret.IsZero():
		return "", secret, errors.New("TWILIO_API_KEY is set, but neither TWILIO_API_SECRET nor TWILIO_API_SECRET_FILE")
	case key == "" && !secret.IsZero():
		return "", secret, errors.New("TWILIO_API_SECRET is set, but not TWILIO_API_KEY")
	case key != "":
		if err := twilio.ValidateUsername(key); err != nil {
			return "", secret, fmt.Errorf("TWILIO_API_KEY: %w", err)
		}
		return key, secret, nil
	case token.IsZero():
		return "", token, errors.New("neither TWILIO_AUTH_TOKEN nor TWILIO_API_KEY and TWILIO_API_SECRET is set (nor TWILIO_AUTH_TOKEN_FILE, TWILIO_API_SECRET_FILE)")
	default:
		return accountSID, token, nil
	}
}

// environmentSecret returns the secret in the variable, or in the file named by the
// variable with the suffix _FILE. If neither is set, it is empty.
func environmentSecret(name string, from *reading) (twilio.Secret, error) {
	value, path := os.Getenv(name), os.Getenv(name+"_FILE")
	switch {
	case value != "" && path != "":
		return twilio.Secret{}, fmt.Errorf("%s and %s_FILE are both set", name, name)
	case path != "":
		secret, err := from.readSecret("", path)
		if err != nil {
			return secret, fmt.Errorf("%s_FILE: %s: %w", name, path, err)
		}
		return secret, nil
	case value != "":
		secret, err := parseSecret(value)
		if err != nil {
			return secret, fmt.Errorf("%s: %w", name, err)
		}
		return secret, nil
	default:
		return twilio.Secret{}, nil
	}
}

func environmentBaseURL(baseURL string) (string, error) {
	region, edge := os.Getenv("TWILIO_REGION"), os.Getenv("TWILIO_EDGE")
	if baseURL == "" {
		baseURL, err := twilio.BaseURL(region, edge)
		if err != nil {
			return "", fmt.Errorf("TWILIO_REGION and TWILIO_EDGE: %w", err)
		}
		return baseURL, nil
	}
	if region != "" || edge != "" {
		return "", invalid.Fieldf("settings.BaseURL", "cannot be used together with TWILIO_REGION or TWILIO_EDGE")
	}
	baseURL = strings.TrimSuffix(baseURL, "/")
	if err := twilio.ValidateBaseURL(baseURL); err != nil {
		return "", invalid.Field("settings.BaseURL", err)
	}
	return baseURL, nil
}
