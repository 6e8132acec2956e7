// Package callers authenticates the callers of the API and authorizes their calls.
//
// A caller presents a bearer token whose digest is in a file, a JWT of one OIDC
// issuer, or a client certificate. On Twilio's own path it can present a token and
// its name in basic authentication, because SDKs send nothing else. A policy lists
// the accounts and properties that each caller may change; everything else is
// refused.
//
// A call whose caller is not authenticated gets CALLER_UNKNOWN without a reason.
// The errors of this package are the reasons, for the log. They may contain names,
// but never a token, a claim or a certificate that was presented.
package callers

import "context"

// Kind is the way in which a caller is authenticated.
type Kind int

// The kinds of callers.
const (
	// KindAnonymous is a caller without authentication. It exists only if no
	// authentication is configured.
	KindAnonymous Kind = iota
	// KindToken is a caller with a bearer token of the tokens file.
	KindToken
	// KindJWT is a caller with a JWT of the issuer.
	KindJWT
	// KindCertificate is a caller with a client certificate.
	KindCertificate
)

// String returns anonymous, token, jwt or mtls.
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

// Caller is the client that makes a call. Calls may share its map and slices, so
// they must not be changed.
type Caller struct {
	// Name is the token's name, the JWT's subject (or the configured claim), or
	// the certificate's SPIFFE ID, otherwise its first DNS name. Only an anonymous
	// caller has none. Callers of different kinds may have equal names.
	Name string
	// Kind is the way in which the caller is authenticated.
	Kind Kind
	// Claims are the JWT's claims that are strings, numbers, booleans, or lists of
	// them. Numbers and booleans have the text that they have in JSON. The claim
	// `scope` is a list of its words.
	Claims map[string][]string
	// URIs are the certificate's URIs.
	URIs []string
	// DNSNames are the certificate's valid DNS names, in lower case.
	DNSNames []string
}

// Key returns the caller's kind and name, which together identify it.
func (c Caller) Key() string { return c.Kind.String() + ":" + c.Name }

type callerKey struct{}

// WithCaller returns a context that carries the caller.
func WithCaller(ctx context.Context, caller Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

// FromContext returns the context's caller, or the zero Caller, which is
// anonymous.
func FromContext(ctx context.Context) Caller {
	caller, _ := ctx.Value(callerKey{}).(Caller)
	return caller
}
