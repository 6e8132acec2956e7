package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"conferenced/gen/client"
)

func TestProtoPrintsTheAPI(t *testing.T) {
	got := runCommand(t.Context(), "proto")
	got.check(t, 0)
	want, err := client.Files.ReadFile(client.Proto)
	if err != nil {
		t.Fatal(err)
	}
	if got.stdout != string(want) || got.stderr != "" {
		t.Errorf("stdout: %s\nstderr: %s", got.stdout, got.stderr)
	}
}

// TestProtoWritesFiles writes the files twice, as with a newer version of the API.
func TestProtoWritesFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "api")
	for range 2 {
		runCommand(t.Context(), "proto", "--out", dir).check(t, 0)
	}
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(
		&protocompile.SourceResolver{ImportPaths: []string{dir}})}
	_, err := compiler.Compile(t.Context(), client.Proto, "google/rpc/status.proto", "google/rpc/error_details.proto")
	if err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, client.DescriptorSet)); err != nil {
		t.Error(err)
	}
	config, err := os.ReadFile(filepath.Join(dir, client.ServiceConfig))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("passthrough:///x", grpc.WithDefaultServiceConfig(string(config)),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestProtoIntoAFolderThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	runCommand(t.Context(), "proto", "--out", file).check(t, 1, file)
}
