// Package callers says who makes a call and what they may change.
//
// A caller is known by a bearer token from a file of digests, by a JWT of one
// OIDC issuer, or by a client certificate; and on Twilio's own path, whose SDKs
// send nothing else, by a token and its name in basic authentication. A policy says which accounts and
// which properties each may touch; what it does not allow is refused.
//
// A call that fails here is told CALLER_UNKNOWN and nothing more. The errors of
// this package are for the log: they hold names, and never a token, a claim or
// a certificate that was presented.
package callers

import "context"

// Kind is how a caller is known.
type Kind int

// The kinds of callers.
const (
	// KindAnonymous is a caller who need not be known: no way of knowing
	// callers is configured.
	KindAnonymous Kind = iota
	// KindToken is a caller with a bearer token of the tokens file.
	KindToken
	// KindJWT is a caller with a JWT of the issuer.
	KindJWT
	// KindCertificate is a caller with a client certificate.
	KindCertificate
)

// String is anonymous, token, jwt or mtls.
func (k Kind) String() string {
	switch k {
	case KindToken:
		return "token"
	case KindJWT:
		return "jwt"
	case KindCertificate:
		return "mtls"
	default:
		return "anonymous"
	}
}

// Caller is who makes a call. Calls may share its map and slice: they are not
// to be changed.
type Caller struct {
	// Name is the token's name, the JWT's subject (or the claim configured for
	// it), or the certificate's SPIFFE ID, else its first DNS name. It is empty
	// for an anonymous caller alone. Names of different kinds may be equal.
	Name string
	// Kind is how the caller is known.
	Kind Kind
	// Claims are the JWT's claims that are strings or lists of strings. The
	// words of the claim `scope` are a list.
	Claims map[string][]string
	// SANs are the certificate's URIs, then its DNS names in lower case.
	SANs []string
}

// Key is the caller's name in a form that no caller of another kind has.
func (c Caller) Key() string { return c.Kind.String() + ":" + c.Name }

type callerKey struct{}

// WithCaller returns a context that carries the caller.
func WithCaller(ctx context.Context, caller Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

// FromContext returns the context's caller; without one, the zero Caller, which
// is anonymous.
func FromContext(ctx context.Context) Caller {
	caller, _ := ctx.Value(callerKey{}).(Caller)
	return caller
}
