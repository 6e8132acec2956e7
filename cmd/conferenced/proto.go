package main

import (
	"io/fs"
	"os"
	"path/filepath"

	"github.com/jhump/protoreflect/v2/protoprint"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	"conferenced/gen/client"
	"conferenced/service/invalid"
)

type protoCommand struct {
	Out string `placeholder:"DIR" help:"Write the files to this folder instead."`
}

// Help is shown by `conferenced proto --help`.
func (protoCommand) Help() string {
	return `The .proto file imports google/protobuf alone. The files in DIR are:

  conference/v1/conference_service.proto   the API
  google/rpc/status.proto                  the status of an error, and
  google/rpc/error_details.proto           its details
  descriptors.binpb                        all of these and their imports, as a descriptor set
  service_config.json                      a gRPC service config: timeouts, health checking, retries of reads`
}

// Run prints the API for clients, or writes all files for clients.
func (c *protoCommand) Run(out output) error {
	if c.Out == "" {
		text, err := client.Files.ReadFile(client.Proto)
		if err != nil {
			return err
		}
		_, err = out.stdout.Write(text)
		return err
	}
	errors := []protoreflect.FileDescriptor{
		status.File_google_rpc_status_proto, errdetails.File_google_rpc_error_details_proto,
	}
	if err := new(protoprint.Printer).PrintProtosToFileSystem(errors, c.Out); err != nil {
		return invalid.Field("--out", err)
	}
	return invalid.Field("--out", fs.WalkDir(client.Files, ".", func(name string, entry fs.DirEntry, err error) error {
		path := filepath.Join(c.Out, name)
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return os.MkdirAll(path, 0o755)
		}
		text, err := client.Files.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(path, text, 0o644)
	}))
}
