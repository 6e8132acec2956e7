// Deps writes the .proto files that the API imports, so that they are neither fetched
// from a registry nor kept in this repository.
//
// Their descriptors are linked into Go packages that go.mod pins, so the files always
// match the code of the service.
//
// Usage:
//
//	deps DIR
//
// DIR is emptied first.
package main

import (
	"fmt"
	"os"

	"github.com/jhump/protoreflect/v2/protoprint"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	_ "github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-openapiv3/options"
	_ "google.golang.org/genproto/googleapis/api/annotations"
)

// roots is the files that the API imports. Their own imports are written too, except
// google/protobuf, which every compiler includes.
var roots = []string{
	"buf/validate/validate.proto",
	"google/api/annotations.proto",
	"protoc-gen-openapiv3/options/annotations.proto",
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: deps DIR")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "deps:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	files, err := closure(roots)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return new(protoprint.Printer).PrintProtosToFileSystem(files, dir)
}

// closure returns the named files and all their imports, each once.
func closure(names []string) ([]protoreflect.FileDescriptor, error) {
	var files []protoreflect.FileDescriptor
	seen := map[string]bool{}
	var visit func(protoreflect.FileDescriptor)
	visit = func(file protoreflect.FileDescriptor) {
		if seen[file.Path()] || file.Package() == "google.protobuf" {
			return
		}
		seen[file.Path()] = true
		files = append(files, file)
		imports := file.Imports()
		for i := range imports.Len() {
			visit(imports.Get(i).FileDescriptor)
		}
	}
	for _, name := range names {
		file, err := protoregistry.GlobalFiles.FindFileByPath(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		visit(file)
	}
	return files, nil
}
