// Package invalid defines the error of an invalid field of a configuration. The
// packages that check a configuration name its field; the program knows the flag and
// the environment variable that set the field.
package invalid

import "fmt"

// FieldError reports an invalid field of a configuration.
type FieldError struct {
	// Field is the package and the path of the field, such as
	// delivery.Retrying.Attempts.
	Field string
	// Err is the problem, such as "must be at least 1, not 0". It does not contain a
	// secret.
	Err error
}

// Field returns a *FieldError, or nil if err is nil.
func Field(field string, err error) error {
	if err == nil {
		return nil
	}
	return &FieldError{field, err}
}

// Fieldf returns a *FieldError with the problem that [fmt.Errorf] returns.
func Fieldf(field, format string, args ...any) error {
	return &FieldError{field, fmt.Errorf(format, args...)}
}

// Unless returns nil if the field is valid, and otherwise what [Fieldf] returns.
func Unless(valid bool, field, format string, args ...any) error {
	if valid {
		return nil
	}
	return Fieldf(field, format, args...)
}

// Error returns the field and the problem.
func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap returns the problem.
func (e *FieldError) Unwrap() error { return e.Err }
