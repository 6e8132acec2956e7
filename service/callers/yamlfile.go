package callers

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile is the most bytes that a file may have.
const maxFile = 1 << 20

// yamlFile is a YAML file that is read strictly: its readers report everything
// that is wrong, with line and path, and go on.
type yamlFile struct {
	root     *yaml.Node // nil if the file cannot be read.
	problems []problem
}

type problem struct {
	line int // 0: not known.
	text string
}

// parseYAML reads a file of one document.
func parseYAML(data []byte) *yamlFile {
	file := new(yamlFile)
	if len(data) > maxFile {
		file.report(0, "the file is larger than %d bytes", maxFile)
		return file
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		file.report(1, "the file is empty")
	case err != nil:
		file.syntax(err)
	default:
		file.root = document.Content[0]
		file.noMore(decoder)
	}
	return file
}

func (f *yamlFile) noMore(decoder *yaml.Decoder) {
	var second yaml.Node
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		f.syntax(err)
	default:
		f.report(second.Line, "the file holds a second document")
	}
}

// syntax reports an error of the YAML library, which begins with its line.
func (f *yamlFile) syntax(err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if number, message, found := strings.Cut(rest, ": "); found {
			line, _ = strconv.Atoi(number)
			text = message
		}
	}
	f.report(line, "%s", text)
}

// wrong reports what is wrong with the value at path.
func (f *yamlFile) wrong(node *yaml.Node, path, format string, args ...any) {
	if path == "" {
		path = "the file"
	}
	f.report(node.Line, "%s: %s", path, fmt.Sprintf(format, args...))
}

func (f *yamlFile) report(line int, format string, args ...any) {
	f.problems = append(f.problems, problem{line, fmt.Sprintf(format, args...)})
}

// err joins what was reported, in the order of the lines; nil if nothing was.
func (f *yamlFile) err() error {
	slices.SortStableFunc(f.problems, func(a, b problem) int { return cmp.Compare(a.line, b.line) })
	errs := make([]error, len(f.problems))
	for i, p := range f.problems {
		if p.line > 0 {
			p.text = "line " + strconv.Itoa(p.line) + ": " + p.text
		}
		errs[i] = errors.New(p.text)
	}
	return errors.Join(errs...)
}

type yamlField struct {
	name       string
	key, value *yaml.Node
}

// fields returns the entries of a mapping. Keys are texts, each there once.
func (f *yamlFile) fields(node *yaml.Node, path string) []yamlField {
	if node == nil {
		return nil
	}
	if node.Kind != yaml.MappingNode {
		f.wrong(node, path, "must be a mapping (key: value)")
		return nil
	}
	seen := make(map[string]bool)
	var fields []yamlField
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		name, ok := f.text(key, path)
		switch {
		case !ok:
		case seen[name]:
			f.wrong(key, path, "has the key %s twice", shown(name))
		default:
			seen[name] = true
			fields = append(fields, yamlField{name, key, node.Content[i+1]})
		}
	}
	return fields
}

// mapping returns the values of a mapping by key, and reports keys other than
// the given. It returns nil if node is not a mapping.
func (f *yamlFile) mapping(node *yaml.Node, path string, keys ...string) map[string]*yaml.Node {
	if node == nil || node.Kind != yaml.MappingNode {
		f.fields(node, path) // Reports it.
		return nil
	}
	values := make(map[string]*yaml.Node)
	for _, field := range f.fields(node, path) {
		if !slices.Contains(keys, field.name) {
			f.wrong(field.key, path, "has the unknown key %s; its keys are %s", shown(field.name), strings.Join(keys, ", "))
			continue
		}
		values[field.name] = field.value
	}
	return values
}

// shown is a key as an error shows it. A long one is left out: it may be a
// token that somebody put in the wrong place.
func shown(key string) string {
	if len(key) > 24 {
		return "(a long one)"
	}
	return strconv.Quote(key)
}

// required returns the value of a key, and reports if there is none.
func (f *yamlFile) required(node *yaml.Node, path string, values map[string]*yaml.Node, key string) *yaml.Node {
	if values == nil {
		return nil
	}
	if values[key] == nil {
		f.wrong(node, join(path, key), "is missing")
	}
	return values[key]
}

// list returns the elements of a list.
func (f *yamlFile) list(node *yaml.Node, path string) []*yaml.Node {
	if node == nil {
		return nil
	}
	if node.Kind != yaml.SequenceNode {
		f.wrong(node, path, "must be a list")
		return nil
	}
	return node.Content
}

// filled is a list that must have elements.
func (f *yamlFile) filled(node *yaml.Node, path string) []*yaml.Node {
	elements := f.list(node, path)
	if node != nil && node.Kind == yaml.SequenceNode && len(elements) == 0 {
		f.wrong(node, path, "must not be empty")
	}
	return elements
}

// text returns a scalar as it is written. Digits need no quotes: a digest can
// look like a number.
func (f *yamlFile) text(node *yaml.Node, path string) (string, bool) {
	switch {
	case node.Kind == yaml.AliasNode:
		f.wrong(node, path, "is an alias, which this file does not support")
	case node.Kind != yaml.ScalarNode || node.ShortTag() == "!!null":
		f.wrong(node, path, "must be a text")
	case node.ShortTag() == "!!merge":
		f.wrong(node, path, "has a merge key, which this file does not support")
	default:
		return node.Value, true
	}
	return "", false
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func indexed(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
