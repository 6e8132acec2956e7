package callers

import (
	"errors"
	"strings"
)

const (
	spiffeScheme = "spiffe://"
	// maxSPIFFE is the maximum length of a SPIFFE ID in bytes, as SPIFFE sets it.
	maxSPIFFE = 2048
	// maxDNSName and maxDNSLabel are the maximum lengths of a DNS name and of one
	// of its labels in bytes.
	maxDNSName, maxDNSLabel = 253, 63
)

// AddSAN adds a name of a certificate to the caller: a URI if it begins with
// spiffe://, otherwise a DNS name. An invalid DNS name is ignored, as in a
// certificate.
func (c *Caller) AddSAN(name string) {
	if strings.HasPrefix(name, spiffeScheme) {
		c.URIs = append(c.URIs, name)
	} else if isDNSName(name) {
		c.DNSNames = append(c.DNSNames, strings.ToLower(name))
	}
}

// sanPattern matches names of a certificate of one kind.
type sanPattern struct {
	*pattern
	uri bool // Otherwise DNS names.
}

func (p *sanPattern) match(c Caller) bool {
	if p.uri {
		return p.any(c.URIs)
	}
	return p.any(c.DNSNames)
}

// parseSANPattern parses a pattern, and refuses one that can match no name.
func parseSANPattern(text string) (*sanPattern, error) {
	text, err := parseLine(text)
	if err != nil {
		return nil, err
	}
	if id, ok := strings.CutPrefix(text, spiffeScheme); ok {
		if !consistsOf(id, ".-_/*") {
			return nil, errors.New("matches nothing: a SPIFFE ID has only letters, digits and ./-_ after spiffe://")
		}
		return &sanPattern{newPattern(text), true}, nil
	}
	if !consistsOf(text, ".-_*") {
		return nil, errors.New("matches nothing: a pattern that does not begin with spiffe:// is for DNS names, " +
			"which have only letters, digits and .-_")
	}
	return &sanPattern{newPattern(strings.ToLower(text)), false}, nil
}

// isSPIFFE reports whether a URI is a SPIFFE ID: spiffe://, a trust domain of
// lower-case letters, digits and .-_, and path segments of letters, digits and
// .-_, none of which is empty, . or ..
func isSPIFFE(uri string) bool {
	rest, ok := strings.CutPrefix(uri, spiffeScheme)
	if !ok || len(uri) > maxSPIFFE {
		return false
	}
	domain, path, hasPath := strings.Cut(rest, "/")
	if domain == "" || domain != strings.ToLower(domain) || !consistsOf(domain, ".-_") {
		return false
	}
	if !hasPath {
		return true
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." || !consistsOf(segment, ".-_") {
			return false
		}
	}
	return true
}

// isDNSName reports whether a name is labels of letters, digits, - and _ with
// dots between them. The first label may be *, as in certificates of servers.
func isDNSName(name string) bool {
	if len(name) > maxDNSName {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimPrefix(name, "*."), ".") {
		if label == "" || len(label) > maxDNSLabel || !consistsOf(label, "-_") {
			return false
		}
	}
	return true
}

// consistsOf reports whether a text has only letters, digits and the others.
func consistsOf(text, others string) bool {
	for _, c := range []byte(text) {
		if !isAlphanumeric(c) && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return true
}
