package callers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/coreos/go-oidc/v3/oidc"
)

// maxAnswer is the most that is read of an issuer's answer.
const maxAnswer = 1 << 20

// issuer is where keys come from. One fetch at a time uses it.
type issuer struct {
	url    string
	jwks   string // Configured; empty: see found.
	found  string // What discovery said; empty: it is to be asked.
	client *http.Client
}

// fetch returns the issuer's keys of now. After a failure, discovery is asked
// again.
func (i *issuer) fetch(ctx context.Context) (*keyRing, error) {
	where, err := i.locate(ctx)
	if err != nil {
		return nil, err
	}
	ring, err := i.download(ctx, where)
	if err != nil {
		i.found = ""
	}
	return ring, err
}

func (i *issuer) locate(ctx context.Context) (string, error) {
	if i.jwks != "" {
		return i.jwks, nil
	}
	if i.found == "" {
		found, err := i.discover(ctx)
		if err != nil {
			return "", err
		}
		i.found = found
	}
	return i.found, nil
}

func (i *issuer) discover(ctx context.Context) (string, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, i.client), i.url)
	if _, mismatch := errors.AsType[*oidc.IssuerMismatchError](err); mismatch {
		return "", errors.New("its discovery document is of another issuer")
	}
	if err != nil {
		return "", err
	}
	var document struct {
		JWKSURI string `json:"jwks_uri"`
	}
	if err := provider.Claims(&document); err != nil {
		return "", errors.New("its discovery document cannot be read")
	}
	if err := checkURL(document.JWKSURI); err != nil {
		return "", fmt.Errorf("the jwks_uri of its discovery document %w", err)
	}
	return document.JWKSURI, nil
}

func (i *issuer) download(ctx context.Context, where string) (*keyRing, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := i.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	return readKeys(body)
}

// fetchClient is a client that takes nothing but a 200 of a bounded size for an
// answer.
func fetchClient(base *http.Client) *http.Client {
	client := &http.Client{Timeout: fetchTimeout}
	if base != nil {
		*client = *base
	}
	if client.Transport == nil {
		client.Transport = http.DefaultTransport
	}
	client.Transport = plainAnswers{client.Transport}
	return client
}

// plainAnswers fails for every status but 200, redirects too, so that no text of
// an answer gets into an error.
type plainAnswers struct{ base http.RoundTripper }

func (t plainAnswers) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.base.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, fmt.Errorf("it answered with status %d", response.StatusCode)
	}
	response.Body = limitedBody{io.LimitReader(response.Body, maxAnswer), response.Body}
	return response, nil
}

type limitedBody struct {
	io.Reader
	io.Closer
}
