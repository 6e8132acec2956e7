package settings

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document returns the content of a YAML file that is one document. Its errors
// do not repeat what stands in the file.
func document(text []byte) (content *yaml.Node, err error) {
	defer func() {
		if recover() != nil { // A file must not be able to end the service.
			err = errors.New("is not YAML")
		}
	}()
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var doc, more yaml.Node
	if err := decoder.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, syntaxError(err)
	}
	if len(doc.Content) == 0 {
		return nil, errors.New("is empty")
	}
	switch err := decoder.Decode(&more); {
	case errors.Is(err, io.EOF):
		return doc.Content[0], nil
	case err != nil:
		return nil, syntaxError(err)
	default:
		return nil, fmt.Errorf("line %d: a second document begins: only one is read", more.Line)
	}
}

var lineOfSyntaxError = regexp.MustCompile(`line \d+: `)

// syntaxError is err without the name of the library, and without what it quotes
// from the file.
func syntaxError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := lineOfSyntaxError.FindString(text)
	if rest := text[len(line):]; strings.HasPrefix(rest, "unknown anchor") {
		return fmt.Errorf("%sis not YAML: an alias (*name) without its anchor", line)
	}
	return fmt.Errorf("%sis not YAML: %s", line, text[len(line):])
}

// problems collects what is wrong in a YAML file.
type problems struct{ found []problem }

type problem struct {
	line int
	text string
}

// at notes what is wrong with the field at a node.
func (p *problems) at(n *yaml.Node, field, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if field != "" {
		text = field + ": " + text
	}
	p.found = append(p.found, problem{n.Line, text})
}

// err joins the problems in the order of their lines. Nil: there are none.
func (p *problems) err() error {
	slices.SortStableFunc(p.found, func(a, b problem) int { return cmp.Compare(a.line, b.line) })
	var errs []error
	for _, f := range p.found {
		errs = append(errs, fmt.Errorf("line %d: %s", f.line, f.text))
	}
	return errors.Join(errs...)
}

// object is a YAML mapping with known fields.
type object struct {
	node   *yaml.Node
	path   string
	fields map[string]*yaml.Node
}

// name returns what messages call a field.
func (o object) name(field string) string {
	if o.path == "" {
		return field
	}
	return o.path + "." + field
}

// object returns the mapping at n. Fields that are not known or given twice are
// problems.
func (p *problems) object(n *yaml.Node, path string, known ...string) (object, bool) {
	o := object{node: n, path: path, fields: map[string]*yaml.Node{}}
	if !p.kind(n, path, yaml.MappingNode, "a mapping with the fields "+strings.Join(known, ", ")) {
		return o, false
	}
	lines := map[string]int{}
	for pair := range slices.Chunk(n.Content, 2) {
		key := pair[0]
		switch line, twice := lines[key.Value]; {
		case key.Kind != yaml.ScalarNode || !slices.Contains(known, key.Value):
			p.at(key, path, "unknown field%s: the fields are %s", quoteField(key), strings.Join(known, ", "))
		case twice:
			p.at(key, o.name(key.Value), "given twice, first in line %d", line)
		default:
			lines[key.Value], o.fields[key.Value] = key.Line, pair[1]
		}
	}
	return o, true
}

var fieldName = regexp.MustCompile(`^[a-z_]{1,20}$`)

// quoteField returns the key if it looks like the name of a field, and not like a
// value that a colon was put behind.
func quoteField(key *yaml.Node) string {
	if key.Kind != yaml.ScalarNode || !fieldName.MatchString(key.Value) {
		return ""
	}
	return " " + key.Value
}

// items returns those of the list at n.
func (p *problems) items(n *yaml.Node, path string) []*yaml.Node {
	if !p.kind(n, path, yaml.SequenceNode, "a list") {
		return nil
	}
	return n.Content
}

// text returns the string at n, which is not empty.
func (p *problems) text(n *yaml.Node, path string) (string, bool) {
	if !p.kind(n, path, yaml.ScalarNode, "text") {
		return "", false
	}
	switch {
	case n.Value == "" || n.ShortTag() == "!!null":
		p.at(n, path, "is empty")
		return "", false
	case n.ShortTag() != "!!str":
		p.at(n, path, "must be text: put it in quotes")
		return "", false
	}
	return n.Value, true
}

func (p *problems) kind(n *yaml.Node, path string, kind yaml.Kind, name string) bool {
	switch {
	case n.Kind == kind:
		return true
	case n.Kind == yaml.AliasNode:
		p.at(n, path, "is an alias, which is not supported here: write it out")
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		p.at(n, path, "is empty: must be %s", name)
	default:
		p.at(n, path, "must be %s", name)
	}
	return false
}
