package twilio

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// redacted is printed instead of a [Secret].
const redacted = "[redacted]"

// Secret is an auth token or an API key secret. Printing, logging or encoding it
// never shows its value. The zero Secret is empty.
type Secret struct {
	// A pointer, because fmt prints unexported struct fields without calling their
	// methods; a pointer is printed as an address.
	value *string
}

// NewSecret returns a Secret that holds value.
func NewSecret(value string) Secret { return Secret{value: &value} }

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.reveal() == "" }

// Validate returns an error if the secret is empty or has a character that no auth
// token or API key secret has.
func (s Secret) Validate() error {
	if s.IsZero() {
		return errors.New("the auth token or API key secret is empty")
	}
	for _, b := range []byte(s.reveal()) {
		if b <= ' ' || b >= 0x7f {
			return errors.New("the auth token or API key secret has white space or other characters that no token has")
		}
	}
	return nil
}

// Equal reports whether both hold the same value. It takes constant time for
// values of the same length.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.reveal()), []byte(other.reveal())) == 1
}

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (Secret) GoString() string { return redacted }

// Format writes "[redacted]" for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns "[redacted]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]". JSON encoders use it too.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

func (s Secret) reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}
