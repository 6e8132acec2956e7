package twilio

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// redacted is what every rendering of a [Secret] shows.
const redacted = "[redacted]"

// Secret is an auth token or an API key secret. No way of printing, logging or
// encoding it shows its value. The zero Secret is empty.
type Secret struct {
	// A pointer, because fmt prints an unexported struct field without asking
	// its methods: a pointer shows as an address there.
	value *string
}

// NewSecret returns a Secret that holds value.
func NewSecret(value string) Secret { return Secret{value: &value} }

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.reveal() == "" }

// Equal reports whether both hold the same value, in constant time for values
// of the same length.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.reveal()), []byte(other.reveal())) == 1
}

// String returns a constant.
func (Secret) String() string { return redacted }

// GoString returns a constant.
func (Secret) GoString() string { return redacted }

// Format writes a constant, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns a constant.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns a constant. JSON encoders use it too.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

func (s Secret) reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}
