package gateway_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"conferenced/gen/client"
	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/gen/openapi"
	"conferenced/service/gateway"
	"conferenced/service/outcome"
	"conferenced/service/outcome/outcometest"
)

func TestOpenAPIDocument(t *testing.T) {
	server := serve(t, newService(), gateway.Config{Docs: true, BearerTokens: true})
	got := send(t, server, http.MethodGet, "/openapi.json", "")
	if got.code != http.StatusOK || got.header.Get("Content-Type") != "application/json" || !bytes.Equal(got.body, openapi.Document) {
		t.Errorf("HTTP status %d, headers %v, %d bytes", got.code, got.header, len(got.body))
	}
	etag := got.header.Get("Etag")
	if !regexp.MustCompile(`^"[0-9a-f]{32}"$`).MatchString(etag) {
		t.Errorf("Etag: %s", etag)
	}
	head := send(t, server, http.MethodHead, "/openapi.json", "")
	if head.code != http.StatusOK || len(head.body) > 0 || head.header.Get("Content-Length") != got.header.Get("Content-Length") {
		t.Errorf("HEAD: HTTP status %d, headers %v", head.code, head.header)
	}
	for _, known := range []string{etag, "W/" + etag, `"x", ` + etag, "*"} {
		again := send(t, server, http.MethodGet, "/openapi.json", "", "If-None-Match", known)
		if again.code != http.StatusNotModified || len(again.body) > 0 {
			t.Errorf("If-None-Match %s: HTTP status %d", known, again.code)
		}
	}
	if other := send(t, server, http.MethodGet, "/openapi.json", "", "If-None-Match", `"x"`); other.code != http.StatusOK {
		t.Errorf("If-None-Match of another tag: HTTP status %d", other.code)
	}
}

func TestProtoFile(t *testing.T) {
	want, err := client.Files.ReadFile(client.Proto)
	if err != nil {
		t.Fatal(err)
	}
	server := serve(t, newService(), gateway.Config{Docs: true})
	got := send(t, server, http.MethodGet, "/conference_service.proto", "")
	if got.code != http.StatusOK || got.header.Get("Content-Type") != "text/plain; charset=utf-8" || !bytes.Equal(got.body, want) {
		t.Errorf("HTTP status %d, headers %v, %d bytes", got.code, got.header, len(got.body))
	}
}

func TestOpenAPIDocumentForAnonymousCallers(t *testing.T) {
	server := serve(t, newService(), gateway.Config{Docs: true})
	got := send(t, server, http.MethodGet, "/openapi.json", "")
	var want, document map[string]any
	if err := errors.Join(json.Unmarshal(openapi.Document, &want), json.Unmarshal(got.body, &document)); err != nil {
		t.Fatal(err)
	}
	want["security"] = []any{}
	delete(want["components"].(map[string]any), "securitySchemes")
	if diff := cmp.Diff(want, document); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRootRedirectsToTheDocumentation(t *testing.T) {
	handler := newHandler(t, newService(), pass, gateway.Config{Docs: true})
	for method, want := range map[string]int{
		http.MethodGet: http.StatusFound, http.MethodHead: http.StatusFound, http.MethodPost: http.StatusNotFound,
	} {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest(method, "/", nil))
		if answer.Code != want || want == http.StatusFound && answer.Header().Get("Location") != "/docs" {
			t.Errorf("%s: HTTP status %d, headers %v", method, answer.Code, answer.Header())
		}
	}
	without := serve(t, newService(), gateway.Config{})
	wantStatus(t, send(t, without, http.MethodGet, "/", ""), outcometest.Status(outcome.RouteNotFound, outcome.Facts{}))
}

func TestSwaggerUILoadsOnlyFromThisOrigin(t *testing.T) {
	server := serve(t, newService(), gateway.Config{Docs: true})
	for _, path := range []string{"/docs", "/docs/"} {
		got := send(t, server, http.MethodGet, path, "")
		if got.code != http.StatusOK || got.header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Fatalf("%s: HTTP status %d, headers %v", path, got.code, got.header)
		}
		if policy := got.header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'; script-src 'self'") {
			t.Errorf("Content-Security-Policy: %q", policy)
		}
		links := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllSubmatch(got.body, -1)
		if len(links) != 6 {
			t.Errorf("%d links", len(links))
		}
		for _, link := range links {
			asset := send(t, server, http.MethodGet, string(link[1]), "")
			if asset.code != http.StatusOK || len(asset.body) == 0 {
				t.Errorf("%s: HTTP status %d, %d bytes", link[1], asset.code, len(asset.body))
			}
		}
		if bytes.Contains(got.body, []byte("<script>")) {
			t.Error("the page has a script that its policy forbids")
		}
	}
	start := send(t, server, http.MethodGet, "/docs/start.js", "")
	if !bytes.Contains(start.body, []byte(`"/openapi.json"`)) {
		t.Errorf("the UI is started with %s", start.body)
	}
}

func TestSwaggerUIIsServedCompressedAndUncompressed(t *testing.T) {
	server := serve(t, newService(), gateway.Config{Docs: true})
	const path = "/docs/swagger-ui.css"
	packed := send(t, server, http.MethodGet, path, "", "Accept-Encoding", "br, gzip")
	plain := send(t, server, http.MethodGet, path, "", "Accept-Encoding", "identity")
	if packed.header.Get("Content-Encoding") != "gzip" || plain.header.Get("Content-Encoding") != "" {
		t.Fatalf("headers %v and %v", packed.header, plain.header)
	}
	reader, err := gzip.NewReader(bytes.NewReader(packed.body))
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(unpacked, plain.body) {
		t.Error("the two differ")
	}
	for _, got := range []reply{packed, plain} {
		if got.header.Get("Vary") != "Accept-Encoding" || got.header.Get("Content-Type") != "text/css; charset=utf-8" {
			t.Errorf("headers %v", got.header)
		}
	}
}

func TestDocumentationRefuses(t *testing.T) {
	s := newService()
	server := serve(t, s, gateway.Config{Docs: true})
	for _, path := range []string{"/openapi.json", "/conference_service.proto", "/docs", "/docs/", "/docs/swagger-ui.css"} {
		for _, method := range []string{"POST", "PATCH", "DELETE", "OPTIONS"} {
			got := send(t, server, method, path, "")
			wantStatus(t, got, outcometest.Status(outcome.MethodNotAllowed, outcome.Facts{}))
			if allow := got.header.Get("Allow"); allow != "GET, HEAD" {
				t.Errorf("%s %s: Allow: %q", method, path, allow)
			}
		}
	}
	for _, path := range []string{"/docs/nothing", "/docs/swagger-ui.css.gz", "/docs/../openapi.json", "/docs/embed.go", "/openapi.json/", "/docsx"} {
		wantStatus(t, sendRaw(t, server, http.MethodGet, path, ""), outcometest.Status(outcome.RouteNotFound, outcome.Facts{}))
	}
	s.notCalled(t)
}

func TestDocumentsAreServedFromOneCopy(t *testing.T) {
	handler := newHandler(t, newService(), pass, gateway.Config{Docs: true})
	fetch := func(encoding string) {
		incoming := httptest.NewRequest(http.MethodGet, "/docs/swagger-ui-bundle.js", nil)
		incoming.Header.Set("Accept-Encoding", encoding)
		handler.ServeHTTP(discarded{}, incoming)
	}
	fetch("gzip")
	fetch("identity")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 20 {
		fetch("gzip")
		fetch("identity")
	}
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 1<<20 {
		t.Errorf("40 requests allocate %d bytes", allocated)
	}
}

// TestRequiredMembersOfAnswers: an answer without any value has exactly the members that
// the document requires.
func TestRequiredMembersOfAnswers(t *testing.T) {
	var document struct {
		Components struct {
			Schemas map[string]struct{ Required []string }
		}
	}
	if err := json.Unmarshal(openapi.Document, &document); err != nil {
		t.Fatal(err)
	}
	s := newService()
	s.answer = func(context.Context, *request) (*response, error) {
		return &response{Participant: &conferencev1.Participant{}, Warnings: []*conferencev1.Warning{{}}}, nil
	}
	var answer struct {
		Participant map[string]any
		Warnings    []map[string]any
	}
	got := send(t, serve(t, s, gateway.Config{}), http.MethodPatch, participants+callSID, `{"muted": true}`)
	if err := json.Unmarshal(got.body, &answer); err != nil || len(answer.Warnings) != 1 {
		t.Fatalf("%s: %v", got.body, err)
	}
	for schema, members := range map[string]map[string]any{
		"Participant": answer.Participant, "Warning": answer.Warnings[0],
		"UpdateParticipantResponse": {"participant": nil, "warnings": nil, "confirmation": nil, "differs": nil},
	} {
		required := document.Components.Schemas["conference.v1."+schema].Required
		slices.Sort(required)
		if diff := cmp.Diff(required, slices.Sorted(maps.Keys(members))); diff != "" {
			t.Errorf("%s (-required +present):\n%s", schema, diff)
		}
	}
}
