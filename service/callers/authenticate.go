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

// maxBearer is the most bytes that a bearer token may have.
const maxBearer = 16 << 10

// Why a call's authorization is not accepted.
var (
	errNothing   = errors.New("callers: the call presents nothing that its caller could be known by")
	errSeveral   = errors.New("callers: the call has several authorization values")
	errScheme    = errors.New("callers: the authorization is not of the scheme Bearer")
	errMalformed = errors.New("callers: the authorization is not Bearer and one token")
	errBasic     = errors.New("callers: the basic authentication is not a token's name and that token")
	errTooLong   = errors.New("callers: the bearer token is too long")
	errNotOurs   = errors.New("callers: the bearer token is none of the tokens file and no JWT that is accepted")
)

// Authenticate says who makes the call of a server's context. Its error is the
// cause for the log, not for the caller.
//
// The call's `authorization` metadata alone decides if there is any: when it is
// not accepted, a client certificate does not make up for it.
func (s *Set) Authenticate(ctx context.Context) (Caller, error) {
	switch values := metadata.ValueFromIncomingContext(ctx, "authorization"); len(values) {
	case 0:
		return s.byConnection(ctx)
	case 1:
		return s.byAuthorization(ctx, values[0])
	default:
		return Caller{}, errSeveral
	}
}

// AuthenticateBasic is Authenticate for a call that may also come with basic
// authentication, which is all that Twilio's SDKs can send: a token's name for
// the user and the token for the password. Where there are no tokens it is not
// looked at, for an SDK sends it all the same.
func (s *Set) AuthenticateBasic(ctx context.Context) (Caller, error) {
	values := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(values) != 1 {
		return s.Authenticate(ctx)
	}
	scheme, credentials, _ := strings.Cut(values[0], " ")
	switch {
	case !strings.EqualFold(scheme, "basic"):
		return s.Authenticate(ctx)
	case s.Tokens == nil:
		return s.byConnection(ctx)
	default:
		return s.byBasic(strings.TrimLeft(credentials, " "))
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

func (s *Set) byAuthorization(ctx context.Context, value string) (Caller, error) {
	scheme, credentials, _ := strings.Cut(value, " ")
	switch strings.ToLower(scheme) {
	case "bearer":
		return s.byBearer(ctx, strings.TrimLeft(credentials, " "))
	default:
		return Caller{}, errScheme
	}
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

// byConnection knows the caller of a call without authorization.
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

// isBearer reports whether the text has the syntax of RFC 6750: letters, digits
// and -._~+/, and then any number of =.
func isBearer(text string) bool {
	text = strings.TrimRight(text, "=")
	for _, c := range []byte(text) {
		if !isAlphanumeric(c) && strings.IndexByte("-._~+/", c) < 0 {
			return false
		}
	}
	return text != ""
}

// isJWT reports whether the text looks like a signed JWT: three parts in
// base64url.
func isJWT(text string) bool {
	for _, c := range []byte(text) {
		if !isAlphanumeric(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return strings.Count(text, ".") == 2
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
