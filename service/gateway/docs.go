package gateway

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/swaggest/swgui/v5/static"

	"conferenced/gen/openapi"
	"conferenced/service/outcome"
)

// The paths of the documentation.
const (
	openAPIPath = "/openapi.json"
	docsPath    = "/docs"
)

// docsPolicy lets Swagger UI load what this origin serves, call this origin,
// and nothing else. It has images of its own in data URLs.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; " +
	"img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// contentTypes are fixed here, since those of package mime depend on the
// machine.
var contentTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".json": "application/json",
	".png":  "image/png",
}

//go:embed ui
var ui embed.FS

// document is a file that is served as it is. Few ask for it, so it is read for
// each of them.
type document struct {
	contentType string
	read        func() []byte
	etag        func() string
	// gzipped says that what is read is compressed.
	gzipped bool
}

// withDocs serves the documentation, and the rest of the paths by next.
func withDocs(next http.Handler) http.Handler {
	documents := docs()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		document := documents[r.URL.Path]
		switch {
		case document == nil && strings.HasPrefix(r.URL.Path, docsPath+"/"):
			writeStatus(w, outcome.RouteNotFound.Status(outcome.Facts{}))
		case document == nil:
			next.ServeHTTP(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			refuseMethod(w, http.MethodGet, http.MethodHead)
		default:
			document.serve(w, r)
		}
	})
}

// docs are the files of the documentation by their paths. Those of Swagger UI
// are in the program, so it works without a network.
func docs() map[string]*document {
	index := embedded(ui, "ui/index.html")
	return map[string]*document{
		openAPIPath:                        newDocument(openAPIPath, func() []byte { return openapi.Document }, false),
		docsPath:                           index,
		docsPath + "/":                     index,
		docsPath + "/start.js":             embedded(ui, "ui/start.js"),
		docsPath + "/swagger-ui.css":       embedded(static.FS, "swagger-ui.css.gz"),
		docsPath + "/swagger-ui-bundle.js": embedded(static.FS, "swagger-ui-bundle.js.gz"),
		docsPath + "/favicon-16x16.png":    embedded(static.FS, "favicon-16x16.png"),
		docsPath + "/favicon-32x32.png":    embedded(static.FS, "favicon-32x32.png"),
	}
}

func embedded(files embed.FS, name string) *document {
	read := func() []byte {
		content, err := fs.ReadFile(files, name)
		if err != nil {
			panic(err) // The files are compiled in: a test serves each of them.
		}
		return content
	}
	plain, gzipped := strings.CutSuffix(name, ".gz")
	return newDocument(plain, read, gzipped)
}

func newDocument(name string, read func() []byte, gzipped bool) *document {
	return &document{
		contentType: contentTypes[path.Ext(name)],
		read:        read,
		etag:        sync.OnceValue(func() string { return fmt.Sprintf(`"%.16x"`, sha256.Sum256(read())) }),
		gzipped:     gzipped,
	}
}

func (d *document) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-cache")
	header.Set("Content-Security-Policy", docsPolicy)
	header.Set("Etag", d.etag())
	if d.gzipped {
		header.Set("Vary", "Accept-Encoding")
	}
	if matches(r.Header.Get("If-None-Match"), d.etag()) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", d.contentType)
	content := d.read()
	switch {
	case d.gzipped && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip"):
		header.Set("Content-Encoding", "gzip")
	case d.gzipped:
		content = unzipped(content)
	}
	header.Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = w.Write(content) // A client that is gone cannot be told.
}

// matches says whether an If-None-Match header names the tag.
func matches(header, etag string) bool {
	return header == "*" || strings.Contains(header, etag)
}

func unzipped(content []byte) []byte {
	reader, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		panic(err)
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		panic(err)
	}
	return plain
}
