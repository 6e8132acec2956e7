package callers

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"strings"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// Why a client certificate is not accepted.
var (
	errCertificateUntrusted = errors.New("callers: no client CA stands behind the client certificate")
	errCertificateTime      = errors.New("callers: the client certificate or one of its authorities has expired or is not valid yet")
	errCertificateUsage     = errors.New("callers: the client certificate is not for client authentication")
	errCertificateInvalid   = errors.New("callers: the client certificate is not valid")
	errCertificateNoName    = errors.New("callers: the client certificate has neither a SPIFFE ID nor a DNS name")
	errCertificateSPIFFE    = errors.New("callers: the client certificate's SPIFFE ID is not its only URI, or is malformed")
)

// certified is what a verified certificate says.
type certified struct {
	caller Caller
	until  time.Time // When the first certificate of its chain expires.
}

// peerCertificates are those that the call's peer has proved to hold the key
// of, the leaf first. They are not verified: the authorities may have changed
// since the handshake.
func peerCertificates(ctx context.Context) []*x509.Certificate {
	from, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, _ := from.AuthInfo.(credentials.TLSInfo)
	return info.State.PeerCertificates
}

// byCertificate knows the caller by a certificate that is valid now and leads
// to one of the Set's authorities.
func (s *Set) byCertificate(presented []*x509.Certificate) (Caller, error) {
	now := s.now()
	digest := sha256.Sum256(presented[0].Raw)
	known, ok := s.certificates.get(digest)
	if ok && now.Before(known.until) {
		return known.caller, nil
	}
	until, err := verifyChain(presented, s.ClientCAs, now)
	if err != nil {
		return Caller{}, err
	}
	caller, err := callerOf(presented[0])
	if err != nil {
		return Caller{}, err
	}
	s.certificates.put(digest, certified{caller, until})
	return caller, nil
}

// verifyChain returns until when the leaf is good for client authentication.
func verifyChain(presented []*x509.Certificate, roots *x509.CertPool, now time.Time) (time.Time, error) {
	intermediates := x509.NewCertPool()
	for _, certificate := range presented[1:] {
		intermediates.AddCert(certificate)
	}
	chains, err := presented[0].Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: intermediates,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return time.Time{}, certificateCause(err)
	}
	var until time.Time
	for _, chain := range chains {
		if end := chainEnd(chain); end.After(until) {
			until = end
		}
	}
	return until, nil
}

func chainEnd(chain []*x509.Certificate) time.Time {
	end := chain[0].NotAfter
	for _, certificate := range chain {
		if certificate.NotAfter.Before(end) {
			end = certificate.NotAfter
		}
	}
	return end
}

// certificateCause says which check failed, without the certificate's contents,
// which x509's texts have.
func certificateCause(err error) error {
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
		return errCertificateUntrusted
	}
	invalid, _ := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case invalid.Cert == nil:
		return errCertificateInvalid
	case invalid.Reason == x509.Expired:
		return errCertificateTime
	case invalid.Reason == x509.IncompatibleUsage:
		return errCertificateUsage
	default:
		return errCertificateInvalid
	}
}

// callerOf is the caller that a certificate names: by its SPIFFE ID, which must
// be the only URI, or else by its first DNS name.
func callerOf(leaf *x509.Certificate) (Caller, error) {
	caller := Caller{Kind: KindCertificate}
	for _, uri := range leaf.URIs {
		caller.SANs = append(caller.SANs, uri.String())
		if strings.EqualFold(uri.Scheme, "spiffe") {
			caller.Name = uri.String()
		}
	}
	if caller.Name != "" && (len(leaf.URIs) > 1 || !isSPIFFE(caller.Name)) {
		return Caller{}, errCertificateSPIFFE
	}
	for _, name := range leaf.DNSNames {
		name = strings.ToLower(name)
		caller.SANs = append(caller.SANs, name)
		if caller.Name == "" {
			caller.Name = name
		}
	}
	if caller.Name == "" {
		return Caller{}, errCertificateNoName
	}
	return caller, nil
}

// isSPIFFE reports whether id is a SPIFFE ID: spiffe://, a trust domain of
// lower-case letters, digits and .-_, and path segments of letters, digits and
// .-_, none of which is empty, . or ..
func isSPIFFE(id string) bool {
	rest, ok := strings.CutPrefix(id, "spiffe://")
	if !ok || len(id) > maxPattern {
		return false
	}
	domain, path, hasPath := strings.Cut(rest, "/")
	if domain == "" || domain != strings.ToLower(domain) || !isSPIFFEText(domain) {
		return false
	}
	if !hasPath {
		return true
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." || !isSPIFFEText(segment) {
			return false
		}
	}
	return true
}

func isSPIFFEText(text string) bool {
	for _, c := range []byte(text) {
		if !isAlphanumeric(c) && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
