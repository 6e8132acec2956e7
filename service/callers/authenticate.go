package callers

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/metadata"
)

// maxBearer is the maximum length of a bearer token in bytes.
const maxBearer = 16 << 10

// The reasons why a call's authorization is not accepted.
var (
	errNothing   = errors.New("callers: the call has no credentials")
	errSeveral   = errors.New("callers: the call has several authorization values")
	errScheme    = errors.New("callers: the authorization is not of the scheme Bearer")
	errMalformed = errors.New("callers: the authorization is not Bearer and one token")
	errBasic     = errors.New("callers: the basic authentication is not a token's name and that token")
	errTooLong   = errors.New("callers: the bearer token is too long")
	errNotOurs   = errors.New("callers: the bearer token is neither in the tokens file nor an accepted JWT")
)

// Authenticate returns the caller of a server's context. Its error is the cause,
// for the log and not for the caller.
//
// If the call has `authorization` metadata, a client certificate is ignored, also if
// the authorization is not accepted.
func (s *Set) Authenticate(ctx context.Context) (Caller, error) { return s.authenticate(ctx, false) }

// AuthenticateBasic is Authenticate for a call that may also have basic
// authentication, the only kind that Twilio's SDKs send: the user is a token's
// name and the password is the token. Without tokens it is ignored, because an
// SDK sends it in any case.
func (s *Set) AuthenticateBasic(ctx context.Context) (Caller, error) {
	return s.authenticate(ctx, true)
}

func (s *Set) authenticate(ctx context.Context, acceptsBasic bool) (Caller, error) {
	values := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(values) == 0 {
		return s.byConnection(ctx)
	}
	if len(values) > 1 {
		return Caller{}, errSeveral
	}
	scheme, credentials, _ := strings.Cut(values[0], " ")
	credentials = strings.TrimLeft(credentials, " ")
	isBasic := acceptsBasic && strings.EqualFold(scheme, "basic")
	switch {
	case isBasic && s.Tokens == nil:
		return s.byConnection(ctx)
	case isBasic:
		return s.byBasic(credentials)
	case strings.EqualFold(scheme, "bearer"):
		return s.byBearer(ctx, credentials)
	default:
		return Caller{}, errScheme
	}
}

func (s *Set) byBasic(credentials string) (Caller, error) {
	if len(credentials) > maxBearer {
		return Caller{}, errTooLong
	}
	decoded, err := base64.StdEncoding.DecodeString(credentials)
	if err != nil {
		return Caller{}, errBasic
	}
	name, password, _ := strings.Cut(string(decoded), ":")
	token := s.Tokens.find(password)
	if token == nil || subtle.ConstantTimeCompare([]byte(token.name), []byte(name)) != 1 {
		return Caller{}, errBasic
	}
	return s.byToken(token)
}

func (s *Set) byBearer(ctx context.Context, bearer string) (Caller, error) {
	if len(bearer) > maxBearer {
		return Caller{}, errTooLong
	}
	if !isBearer(bearer) {
		return Caller{}, errMalformed
	}
	if token := s.Tokens.find(bearer); token != nil {
		return s.byToken(token)
	}
	if s.JWT != nil && isJWT(bearer) {
		return s.JWT.caller(ctx, bearer)
	}
	return Caller{}, errNotOurs
}

func (s *Set) byToken(token *token) (Caller, error) {
	if token.expired(s.now()) {
		return Caller{}, fmt.Errorf("callers: the token of %q has expired", token.name)
	}
	return Caller{Name: token.name, Kind: KindToken}, nil
}

// byConnection returns the caller of a call without authorization.
func (s *Set) byConnection(ctx context.Context) (Caller, error) {
	if !s.Authenticating() {
		return Caller{}, nil
	}
	presented := peerCertificates(ctx)
	if s.ClientCAs == nil || len(presented) == 0 {
		return Caller{}, errNothing
	}
	return s.byCertificate(presented)
}

// isBearer reports whether a text has the syntax of RFC 6750: letters, digits and
// -._~+/, and then any number of =.
func isBearer(text string) bool {
	text = strings.TrimRight(text, "=")
	return text != "" && consistsOf(text, "-._~+/")
}

// isJWT reports whether a text looks like a signed JWT: three parts in base64url.
func isJWT(text string) bool {
	return strings.Count(text, ".") == 2 && consistsOf(text, "-_.")
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
