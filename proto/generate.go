// Package proto holds the API and makes everything in gen from it.
//
// `go generate ./...` does these steps in order: write the imported .proto
// files, run buf, complete the OpenAPI document.
package proto

//go:generate go run ./deps deps/imports
//go:generate go run -C .. github.com/bufbuild/buf/cmd/buf@v1.73.0 generate
//go:generate go run ./openapi ../gen/conference/v1/conference_service.openapi.json ../gen/openapi
