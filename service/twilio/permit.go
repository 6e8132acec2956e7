package twilio

import "context"

type permitKey struct{}

// WithPermit returns a context whose requests ask the permit once they have a
// connection, right before they are written; that may be much later than they
// were made. A request whose permit is an error is not sent, and that error is
// what its *TransportError wraps.
func WithPermit(ctx context.Context, permit func() error) context.Context {
	return context.WithValue(ctx, permitKey{}, permit)
}

// Permitted asks the context's permit, if there is one, as a Client does.
func Permitted(ctx context.Context) error {
	if permit, ok := ctx.Value(permitKey{}).(func() error); ok {
		return permit()
	}
	return nil
}
