// Package proto defines the API and generates gen from it.
//
// `go generate ./...` writes the imported .proto files, runs buf, completes the OpenAPI
// document, and writes what clients need, in this order.
package proto

//go:generate go run ./deps deps/imports
//go:generate go run -C .. github.com/bufbuild/buf/cmd/buf@v1.73.0 generate
//go:generate go run ./openapi ../gen/conference/v1/conference_service.openapi.json ../gen/openapi
//go:generate go run ./client ../gen/client
//go:generate go run -C .. github.com/bufbuild/buf/cmd/buf@v1.73.0 format -w gen/client
