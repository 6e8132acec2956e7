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
	"slices"

	"github.com/jhump/protoreflect/v2/protoprint"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/reflect/protoreflect"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-openapiv3/options"

	"conferenced/proto"
)

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

// run writes the files that the API imports and their own imports, except
// google/protobuf, which every compiler includes.
func run(dir string) error {
	files := proto.WithImports(
		validate.File_buf_validate_validate_proto,
		annotations.File_google_api_annotations_proto,
		options.File_protoc_gen_openapiv3_options_annotations_proto,
	)
	files = slices.DeleteFunc(files, func(file protoreflect.FileDescriptor) bool {
		return file.Package() == "google.protobuf"
	})
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return new(protoprint.Printer).PrintProtosToFileSystem(files, dir)
}
