package gateway

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/rs/cors"

	"conferenced/service/browser"
	"conferenced/service/outcome"
)

// anyOrigin allows every origin.
const anyOrigin = "*"

// preflightSeconds is how long a browser may cache the answer to a preflight request.
const preflightSeconds = 600

// withBrowserRules allows web pages of the origins to call the API, and refuses pages
// of other origins. Requests that no browser sent are not affected.
func withBrowserRules(next http.Handler, origins []string) (http.Handler, error) {
	if len(origins) == 0 {
		return withoutForeignPages(next, nil)
	}
	trusted, err := canonicalOrigins(origins)
	if err != nil {
		return nil, err
	}
	if trusted[0] == anyOrigin {
		return withCORS(next, trusted), nil
	}
	next, err = withoutForeignPages(next, trusted)
	if err != nil {
		return nil, err
	}
	return withCORS(next, trusted), nil
}

// CheckOrigins returns an error if [Config.CORSOrigins] cannot have these origins.
func CheckOrigins(origins []string) error {
	_, err := canonicalOrigins(origins)
	return err
}

func canonicalOrigins(origins []string) ([]string, error) {
	if slices.Contains(origins, anyOrigin) {
		if len(origins) > 1 {
			return nil, fmt.Errorf("CORS origin %q allows every origin, so no other can be given", anyOrigin)
		}
		return origins, nil
	}
	canonical := make([]string, len(origins))
	for i, origin := range origins {
		var err error
		if canonical[i], err = canonicalOrigin(origin); err != nil {
			return nil, err
		}
	}
	return canonical, nil
}

// withoutForeignPages refuses requests that browsers send for pages of other origins.
func withoutForeignPages(next http.Handler, trusted []string) (http.Handler, error) {
	protection := http.NewCrossOriginProtection()
	for _, origin := range trusted {
		if err := protection.AddTrustedOrigin(origin); err != nil {
			return nil, err
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if browser.FromForeignPage(r, protection) {
			refuse(w, r, outcome.NotAllowed.Err(outcome.Facts{Detail: "the request comes from a web page of another origin"}))
			return
		}
		next.ServeHTTP(w, r)
	}), nil
}

func withCORS(next http.Handler, origins []string) http.Handler {
	return cors.New(cors.Options{
		AllowedOrigins:   origins,
		AllowedMethods:   []string{http.MethodGet, http.MethodHead, http.MethodPatch, http.MethodPost, http.MethodDelete},
		AllowedHeaders:   append([]string{"Content-Type", idempotencyKeyHeader, grpcTimeoutHeader}, metadataHeaders...),
		ExposedHeaders:   []string{"Retry-After", twilioRequestID},
		AllowCredentials: origins[0] != anyOrigin,
		MaxAge:           preflightSeconds,
	}).Handler(next)
}

// withLoopbackHost refuses requests whose Host is not a loopback host.
func withLoopbackHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !browser.IsLoopbackHost(r.Host) {
			refuse(w, r, outcome.NotAllowed.Err(outcome.Facts{
				Detail: "callers are not authenticated, so the Host must be localhost or a loopback address",
			}))
			return
		}
		next.ServeHTTP(w, r)
	})
}
