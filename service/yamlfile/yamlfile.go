// Package yamlfile reads configuration files in YAML strictly, and reports every
// problem with its file, line and key.
//
// A file is one document in UTF-8 whose root is a mapping. Aliases, anchors, tags,
// merge keys, duplicate keys and keys that the program does not read are refused. An
// error never contains a value of the file, because it may be a misplaced secret.
package yamlfile

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Document is a file that is being read. Problems are collected until Err.
type Document struct {
	name     string
	root     *yaml.Node // nil if the text is not one YAML document.
	mappings []*Mapping
	problems []problem
}

type problem struct {
	line int
	text string
}

// Parse returns the document with that text. Errors contain the file's name.
func Parse(name string, text []byte) *Document {
	d := &Document{name: name}
	if d.checkText(text) {
		d.root = d.load(text)
	}
	return d
}

// Mapping returns the root, or nil if it is not a mapping.
func (d *Document) Mapping() *Mapping {
	if d.root == nil {
		return nil
	}
	return d.value(d.root, "").Mapping()
}

// Err returns all problems joined, in the order of their lines, or nil. It must be
// called after everything has been read, because it reports keys that have not been
// read as unknown.
func (d *Document) Err() error {
	for _, m := range d.mappings {
		m.reportUnknown()
	}
	d.mappings = nil
	slices.SortFunc(d.problems, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.text, b.text))
	})
	var errs []error
	for _, p := range slices.Compact(d.problems) {
		text := fmt.Sprintf("line %d: %s", p.line, p.text)
		if d.name != "" {
			text = d.name + ": " + text
		}
		errs = append(errs, errors.New(text))
	}
	return errors.Join(errs...)
}

func (d *Document) report(line int, path, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if path != "" {
		text = path + ": " + text
	}
	d.problems = append(d.problems, problem{line, text})
}

// value reports the features that are refused for every value.
func (d *Document) value(node *yaml.Node, path string) Value {
	v := Value{doc: d, line: node.Line, path: path, node: node}
	switch {
	case node.Kind == yaml.AliasNode:
		v.Errorf("aliases (*) are not supported: write the value out, or put it in quotes if it begins with *")
	case node.Anchor != "":
		v.Errorf("anchors (&) are not supported: put a value that begins with & in quotes")
	case node.Style&yaml.TaggedStyle != 0:
		v.Errorf("tags (!) are not supported: put a value that begins with ! in quotes")
	default:
		return v
	}
	v.node = nil
	return v
}

// Value is a value of a document, which may be absent. Methods that decode a value
// return the zero value if it is absent or refused.
type Value struct {
	doc  *Document
	line int
	path string
	node *yaml.Node // nil if absent or refused.
}

// Exists reports whether there is a value.
func (v Value) Exists() bool { return v.node != nil }

func (v Value) isNull() bool { return v.isKind(yaml.ScalarNode) && v.node.ShortTag() == "!!null" }

// IsMapping reports whether the value is a mapping.
func (v Value) IsMapping() bool { return v.isKind(yaml.MappingNode) }

func (v Value) isKind(kind yaml.Kind) bool { return v.node != nil && v.node.Kind == kind }

// Line returns the value's line, or for an absent value that of its mapping.
func (v Value) Line() int { return v.line }

// Errorf reports a problem with the value. The text must not contain the value.
func (v Value) Errorf(format string, args ...any) { v.doc.report(v.line, v.path, format, args...) }

// Text returns a scalar as written, whatever its type, so digits need no quotes.
func (v Value) Text() string {
	text, _ := v.text()
	return text
}

func (v Value) text() (string, bool) {
	switch {
	case v.node == nil:
		return "", false
	case v.isNull():
		v.Errorf("has no value")
		return "", false
	case v.node.Kind != yaml.ScalarNode:
		v.Errorf("must be text")
		return "", false
	default:
		return v.node.Value, true
	}
}

// Scan returns the result of parse for the value's text. An error of parse is
// reported, and must not contain the text.
func Scan[T any](v Value, parse func(string) (T, error)) T {
	var zero T
	text, ok := v.text()
	if !ok {
		return zero
	}
	parsed, err := parse(text)
	if err != nil {
		v.Errorf("%v", err)
		return zero
	}
	return parsed
}

// Bool returns a value that is true or false. The library would accept yes and on too.
func (v Value) Bool() bool {
	if v.isKind(yaml.ScalarNode) && v.node.ShortTag() == "!!str" {
		v.Errorf("must be true or false")
		return false
	}
	return decode[bool](v, "true or false")
}

// Time returns a value that is a date and time.
func (v Value) Time() time.Time {
	return decode[time.Time](v, "a date and time, such as 2027-01-31T00:00:00Z")
}

func decode[T any](v Value, what string) T {
	var decoded T
	if _, ok := v.text(); !ok {
		return decoded
	}
	if v.node.Decode(&decoded) != nil {
		v.Errorf("must be %s", what)
	}
	return decoded
}

// List returns the elements of a list, which must be at least that many.
func (v Value) List(least int) []Value {
	if v.node == nil {
		return nil
	}
	if v.node.Kind != yaml.SequenceNode {
		v.Errorf("must be a list")
		return nil
	}
	if len(v.node.Content) < least {
		v.Errorf("must not be empty")
	}
	elements := make([]Value, len(v.node.Content))
	for i, node := range v.node.Content {
		elements[i] = v.doc.value(node, v.path+"["+strconv.Itoa(i)+"]")
	}
	return elements
}

// Mapping returns a value that is a mapping, otherwise nil.
func (v Value) Mapping() *Mapping {
	if v.node == nil {
		return nil
	}
	if v.node.Kind != yaml.MappingNode {
		v.Errorf("must be a mapping (key: value)")
		return nil
	}
	m := &Mapping{Value: v, fields: make(map[string]*field)}
	for pair := range slices.Chunk(v.node.Content, 2) {
		m.add(pair[0], pair[1])
	}
	v.doc.mappings = append(v.doc.mappings, m)
	return m
}

// Mapping is a value that is a mapping.
type Mapping struct {
	Value
	fields map[string]*field
	keys   []string // In their order in the file.
	asked  []string
}

type field struct {
	line  int // Of the key.
	value *yaml.Node
}

func (m *Mapping) add(key, value *yaml.Node) {
	where := Value{doc: m.doc, line: key.Line, path: m.join(key.Value)}
	switch first := m.fields[key.Value]; {
	case key.Kind != yaml.ScalarNode:
		where.path = m.path
		where.Errorf("has a key that is not text")
	case key.ShortTag() == "!!merge":
		where.Errorf("merge keys (<<) are not supported: write the keys out")
	case first != nil:
		where.Errorf("is given twice, first in line %d", first.line)
	default:
		m.fields[key.Value] = &field{key.Line, value}
		m.keys = append(m.keys, key.Value)
	}
}

// Get returns the value of a key, which may be absent.
func (m *Mapping) Get(key string) Value {
	if !slices.Contains(m.asked, key) {
		m.asked = append(m.asked, key)
	}
	found, ok := m.fields[key]
	if !ok {
		return Value{doc: m.doc, line: m.line, path: m.join(key)}
	}
	return m.doc.value(found.value, m.join(key))
}

// Optional is Get for a key that may be null, which counts as absent.
func (m *Mapping) Optional(key string) Value {
	v := m.Get(key)
	if v.isNull() {
		v.node = nil
	}
	return v
}

// Required returns the value of a key, and reports a problem if it is absent.
func (m *Mapping) Required(key string) Value {
	v := m.Get(key)
	if _, ok := m.fields[key]; !ok {
		v.Errorf("is missing")
	}
	return v
}

// All returns all keys with their values, in their order in the file.
func (m *Mapping) All() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for _, key := range m.keys {
			if !yield(key, m.Get(key)) {
				return
			}
		}
	}
}

// Len returns the number of keys.
func (m *Mapping) Len() int { return len(m.keys) }

func (m *Mapping) reportUnknown() {
	known := strings.Join(m.asked, ", ")
	for _, key := range m.keys {
		if !slices.Contains(m.asked, key) {
			m.doc.report(m.fields[key].line, m.join(key), "unknown key: the keys here are %s", known)
		}
	}
}

// join returns the path of a key. A key that may be a secret is omitted.
func (m *Mapping) join(key string) string {
	switch {
	case !isKeyName(key):
		return m.path
	case m.path == "":
		return key
	default:
		return m.path + "." + key
	}
}
