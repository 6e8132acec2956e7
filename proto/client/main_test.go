package main

import (
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/google/go-cmp/cmp"
	pb "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/descriptorpb"

	"conferenced/gen/client"
	conferencev1 "conferenced/gen/conference/v1"
)

// wire returns a file's names, numbers, types, presence, JSON names, enum values and
// methods: all but options, imports and comments.
func wire(file protoreflect.FileDescriptor) *descriptorpb.FileDescriptorProto {
	described := protodesc.ToFileDescriptorProto(file)
	described.Dependency, described.SourceCodeInfo = nil, nil
	removeOptions(described.ProtoReflect())
	return described
}

func removeOptions(message protoreflect.Message) {
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Name() == "options":
			message.Clear(field)
		case field.Message() != nil && field.IsList():
			for i := range value.List().Len() {
				removeOptions(value.List().Get(i).Message())
			}
		}
		return true
	})
}

// compiled returns the .proto file for clients, compiled with google/protobuf alone.
func compiled(t *testing.T) protoreflect.FileDescriptor {
	t.Helper()
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
			ImportPaths: []string{"../../gen/client"},
		}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(t.Context(), client.Proto)
	if err != nil {
		t.Fatal(err)
	}
	return files[0]
}

// descriptors returns the files of the descriptor set. It fails if an import is missing.
func descriptors(t *testing.T) *protoregistry.Files {
	t.Helper()
	text, err := client.Files.ReadFile(client.DescriptorSet)
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := pb.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestAllVersionsAreTheSameOnTheWire(t *testing.T) {
	inSet, err := descriptors(t).FindFileByPath(client.Proto)
	if err != nil {
		t.Fatal(err)
	}
	want := wire(conferencev1.File_conference_v1_conference_service_proto)
	for name, file := range map[string]protoreflect.FileDescriptor{
		client.Proto: compiled(t), client.DescriptorSet: inSet,
	} {
		if diff := cmp.Diff(want, wire(file), protocmp.Transform()); diff != "" {
			t.Errorf("%s (-service +client):\n%s", name, diff)
		}
	}
}

func TestDescriptorSetHasTheTypesOfErrors(t *testing.T) {
	files := descriptors(t)
	for _, name := range []protoreflect.FullName{
		"google.rpc.Status", "google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.ResourceInfo", "google.rpc.RetryInfo",
	} {
		if _, err := files.FindDescriptorByName(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCommentsAreKept relies on buf lint, by which every element of the source has one.
func TestCommentsAreKept(t *testing.T) {
	file := compiled(t)
	for i := range file.Messages().Len() {
		message := file.Messages().Get(i)
		for j := range message.Fields().Len() {
			field := message.Fields().Get(j)
			if file.SourceLocations().ByDescriptor(field).LeadingComments == "" {
				t.Errorf("%s has no comment", field.FullName())
			}
		}
	}
}
