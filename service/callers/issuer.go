package callers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxAnswer is the maximum size of an issuer's answer in bytes.
const maxAnswer = 1 << 20

// issuer fetches an issuer's keys. It does one fetch at a time.
type issuer struct {
	url        string
	jwksURL    string // Empty: the discovery document has it.
	discovered string // Its jwks_uri, empty until it is read and after a failed fetch.
	client     *http.Client
}

// fetch returns the issuer's current keys. Its errors contain no URL, whose query may
// be secret, and no part of an answer.
func (i *issuer) fetch(ctx context.Context) (*issuerKeys, error) {
	keys, err := i.fetchKeys(ctx)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err
	}
	if err != nil {
		i.discovered = ""
		return nil, fmt.Errorf("callers: the issuer's keys cannot be fetched: %w", err)
	}
	return keys, nil
}

func (i *issuer) fetchKeys(ctx context.Context) (*issuerKeys, error) {
	jwksURL := i.jwksURL
	if jwksURL == "" {
		if err := i.discover(ctx); err != nil {
			return nil, err
		}
		jwksURL = i.discovered
	}
	published, err := i.get(ctx, jwksURL)
	if err != nil {
		return nil, err
	}
	return readKeys(published)
}

// discover reads the issuer's OpenID discovery document, unless it has been read.
func (i *issuer) discover(ctx context.Context) error {
	if i.discovered != "" {
		return nil
	}
	text, err := i.get(ctx, strings.TrimSuffix(i.url, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return err
	}
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURL string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return errors.New("its discovery document is not JSON")
	}
	if document.Issuer != i.url {
		return errors.New("its discovery document is of another issuer")
	}
	if err := checkURL(document.JWKSURL); err != nil {
		return fmt.Errorf("the jwks_uri of its discovery document %w", err)
	}
	i.discovered = document.JWKSURL
	return nil
}

// get returns the body of an answer with status 200. Redirects are not followed.
func (i *issuer) get(ctx context.Context, from string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json, application/jwk-set+json")
	response, err := i.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered with status %d", response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("its answer is larger than %d bytes", maxAnswer)
	}
	return body, nil
}
