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

// The reasons why a client certificate is not accepted.
var (
	errCertificateUntrusted = errors.New("callers: the client certificate is not issued by a client CA")
	errCertificateTime      = errors.New("callers: the client certificate or one of its CAs has expired or is not valid yet")
	errCertificateUsage     = errors.New("callers: the client certificate is not for client authentication")
	errCertificateInvalid   = errors.New("callers: the client certificate is not valid")
	errCertificateNoName    = errors.New("callers: the client certificate has neither a SPIFFE ID nor a DNS name that is valid")
	errCertificateSPIFFE    = errors.New("callers: the client certificate's SPIFFE ID is not its only URI, or is malformed")
)

// verifiedCertificate is the result of a verification.
type verifiedCertificate struct {
	caller Caller
	until  time.Time // When the first certificate of its chain expires.
}

// peerCertificates returns the certificates that the call's peer presented, the leaf
// first; the peer has proved that it has the leaf's key. They still need to be
// verified, because the CAs may have changed since the handshake.
func peerCertificates(ctx context.Context) []*x509.Certificate {
	from, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, _ := from.AuthInfo.(credentials.TLSInfo)
	return info.State.PeerCertificates
}

// byCertificate returns the caller of a certificate that is valid now and issued by
// one of the Set's CAs.
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
	s.certificates.put(digest, verifiedCertificate{caller, until})
	return caller, nil
}

// verifyChain returns until when the leaf is valid for client authentication.
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

// certificateCause returns which check failed. It does not wrap errors of x509,
// because they contain names of the certificate.
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

// callerOf returns the caller of a certificate. Its name is the SPIFFE ID, which must
// be the only URI, or else the first valid DNS name.
func callerOf(leaf *x509.Certificate) (Caller, error) {
	caller := Caller{Kind: KindCertificate}
	for _, uri := range leaf.URIs {
		caller.URIs = append(caller.URIs, uri.String())
		if strings.EqualFold(uri.Scheme, "spiffe") {
			caller.Name = uri.String()
		}
	}
	if caller.Name != "" && (len(leaf.URIs) > 1 || !isSPIFFE(caller.Name)) {
		return Caller{}, errCertificateSPIFFE
	}
	for _, name := range leaf.DNSNames {
		if isDNSName(name) {
			caller.DNSNames = append(caller.DNSNames, strings.ToLower(name))
		}
	}
	if caller.Name == "" && len(caller.DNSNames) > 0 {
		caller.Name = caller.DNSNames[0]
	}
	if caller.Name == "" {
		return Caller{}, errCertificateNoName
	}
	return caller, nil
}
