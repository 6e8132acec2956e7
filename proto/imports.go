package proto

import "google.golang.org/protobuf/reflect/protoreflect"

// WithImports returns the files and all that they import, each once, and after its own
// imports.
func WithImports(files ...protoreflect.FileDescriptor) []protoreflect.FileDescriptor {
	var all []protoreflect.FileDescriptor
	seen := map[string]bool{}
	var visit func(protoreflect.FileDescriptor)
	visit = func(file protoreflect.FileDescriptor) {
		if seen[file.Path()] {
			return
		}
		seen[file.Path()] = true
		imports := file.Imports()
		for i := range imports.Len() {
			visit(imports.Get(i).FileDescriptor)
		}
		all = append(all, file)
	}
	for _, file := range files {
		visit(file)
	}
	return all
}
