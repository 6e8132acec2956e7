package gateway

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/swaggest/swgui/v5/static"

	"conferenced/gen/client"
	"conferenced/gen/openapi"
	"conferenced/service/browser"
	"conferenced/service/outcome"
)

// The paths of the documentation.
const (
	openAPIPath = "/openapi.json"
	protoPath   = "/conference_service.proto"
	docsPath    = "/docs"
)

// contentTypes is fixed because package mime's types depend on the machine.
var contentTypes = map[string]string{
	".css":   "text/css; charset=utf-8",
	".html":  "text/html; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".json":  "application/json",
	".png":   "image/png",
	".proto": "text/plain; charset=utf-8",
}

//go:embed ui
var ui embed.FS

// document is a file of the documentation.
type document struct {
	contentType string
	plain       func() *content
	gzipped     func() *content // nil if the file is not compressed.
}

// content is one encoding of a file. All requests share it.
type content struct {
	bytes []byte
	etag  string
}

func newContent(read func() []byte) func() *content {
	return sync.OnceValue(func() *content {
		text := read()
		return &content{bytes: text, etag: fmt.Sprintf(`"%.16x"`, sha256.Sum256(text))}
	})
}

// withDocs serves the documentation, redirects / to it, and passes requests for other
// paths to next.
func withDocs(next http.Handler, bearer bool) http.Handler {
	documents := docs(bearer)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		document := documents[r.URL.Path]
		isRead := r.Method == http.MethodGet || r.Method == http.MethodHead
		switch {
		case r.URL.Path == "/" && isRead:
			http.Redirect(w, r, docsPath, http.StatusFound)
		case document == nil && strings.HasPrefix(r.URL.Path, docsPath+"/"):
			refuse(w, r, outcome.RouteNotFound.Err(outcome.Facts{}))
		case document == nil:
			next.ServeHTTP(w, r)
		case !isRead:
			refuseMethod(w, r, http.MethodGet, http.MethodHead)
		default:
			document.serve(w, r)
		}
	})
}

// docs returns the files of the documentation by their paths. Swagger UI is embedded,
// so it works without a network.
func docs(bearer bool) map[string]*document {
	index := embedded(ui, "ui/index.html")
	return map[string]*document{
		openAPIPath: {
			contentType: contentTypes[".json"],
			plain:       newContent(func() []byte { return openAPIDocument(bearer) }),
		},
		protoPath:                          embedded(client.Files, client.Proto),
		docsPath:                           index,
		docsPath + "/":                     index,
		docsPath + "/start.js":             embedded(ui, "ui/start.js"),
		docsPath + "/page.css":             embedded(ui, "ui/page.css"),
		docsPath + "/swagger-ui.css":       embedded(static.FS, "swagger-ui.css.gz"),
		docsPath + "/swagger-ui-bundle.js": embedded(static.FS, "swagger-ui-bundle.js.gz"),
		docsPath + "/favicon-16x16.png":    embedded(static.FS, "favicon-16x16.png"),
		docsPath + "/favicon-32x32.png":    embedded(static.FS, "favicon-32x32.png"),
	}
}

// openAPIDocument returns the OpenAPI document, without its security scheme unless
// callers send bearer tokens.
func openAPIDocument(bearer bool) []byte {
	if bearer {
		return openapi.Document
	}
	var document map[string]any
	if err := json.Unmarshal(openapi.Document, &document); err != nil {
		panic(err) // The document is embedded.
	}
	document["security"] = []any{}
	delete(document["components"].(map[string]any), "securitySchemes")
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		panic(err)
	}
	return text
}

func embedded(files embed.FS, name string) *document {
	stored := newContent(func() []byte {
		text, err := files.ReadFile(name)
		if err != nil {
			panic(err) // The files are embedded, and a test serves each of them.
		}
		return text
	})
	plainName, isGzipped := strings.CutSuffix(name, ".gz")
	d := &document{contentType: contentTypes[path.Ext(plainName)], plain: stored}
	if isGzipped {
		d.gzipped = stored
		d.plain = newContent(func() []byte { return unzipped(stored().bytes) })
	}
	return d
}

func (d *document) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-cache")
	header.Set("Content-Security-Policy", browser.PagePolicy)
	served := d.plain
	if d.gzipped != nil {
		header.Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			header.Set("Content-Encoding", "gzip")
			served = d.gzipped
		}
	}
	header.Set("Etag", served().etag)
	if known := r.Header.Get("If-None-Match"); known == "*" || strings.Contains(known, served().etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", d.contentType)
	header.Set("Content-Length", strconv.Itoa(len(served().bytes)))
	_, _ = w.Write(served().bytes) // The client may have disconnected.
}

// unzipped decompresses an embedded file.
func unzipped(text []byte) []byte {
	reader, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		panic(err)
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		panic(err)
	}
	return plain
}
