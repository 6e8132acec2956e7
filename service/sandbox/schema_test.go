package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(stateSchema))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("state.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("state.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// everyKey returns a document with every key, without types of YAML.
func everyKey(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile("testdata/state.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		t.Fatal(err)
	}
	stringDates(&node)
	var document map[string]any
	if err := node.Decode(&document); err != nil {
		t.Fatal(err)
	}
	return document
}

// stringDates makes dates strings, as they are in JSON.
func stringDates(node *yaml.Node) {
	if node.ShortTag() == "!!timestamp" {
		node.Tag = "!!str"
	}
	for _, child := range node.Content {
		stringDates(child)
	}
}

// keysOf adds the keys of all mappings to keys.
func keysOf(value any, keys map[string]bool) {
	switch value := value.(type) {
	case map[string]any:
		for key, child := range value {
			keys[key] = true
			keysOf(child, keys)
		}
	case []any:
		for _, child := range value {
			keysOf(child, keys)
		}
	}
}

// keysOfSchema adds the names of the properties that a schema describes to keys.
func keysOfSchema(value any, keys map[string]bool) {
	switch value := value.(type) {
	case map[string]any:
		if properties, ok := value["properties"].(map[string]any); ok {
			for key := range properties {
				keys[key] = true
			}
		}
		for _, child := range value {
			keysOfSchema(child, keys)
		}
	case []any:
		for _, child := range value {
			keysOfSchema(child, keys)
		}
	}
}

// TestKeysOfState compares the keys that are read, described and documented.
func TestKeysOfState(t *testing.T) {
	var document any
	if err := json.Unmarshal(stateSchema, &document); err != nil {
		t.Fatal(err)
	}
	described, used, read, documented := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	keysOfSchema(document, described)
	keysOf(everyKey(t), used)
	source, err := os.ReadFile("parse.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`\.(?:Optional|Required|Get)\("(\w+)"\)`).FindAllSubmatch(source, -1) {
		read[string(match[1])] = true
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n## The state file\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\|").FindAllStringSubmatch(section, -1) {
		for _, key := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[1], -1) {
			documented[key[1]] = true
		}
	}
	want := slices.Sorted(maps.Keys(described))
	for name, keys := range map[string]map[string]bool{"parse.go": read, "testdata/state.yaml": used, "README.md": documented} {
		t.Run(name, func(t *testing.T) { diff(t, want, slices.Sorted(maps.Keys(keys))) })
	}
}

// A variant is a document that differs from another in one place.
type variant struct {
	name    string
	invalid bool // It must be refused. Otherwise the schema and the loader must agree.
	text    []byte
}

// variants returns documents with a wrong value, an unknown key and a missing key in
// the place of each key and mapping of the document.
func variants(t *testing.T, document map[string]any) (all []variant) {
	t.Helper()
	add := func(name string, invalid bool) {
		text, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, variant{name, invalid, text})
	}
	required := []string{"accounts", "auth_token", "secret", "url", "when", "code"}
	references := []string{"call_sid", "call_sid_to_coach", "sid", "status"} // Other values depend on them.
	var walk func(path string, value any)
	walk = func(path string, value any) {
		switch value := value.(type) {
		case []any:
			for i, child := range value {
				walk(fmt.Sprintf("%s[%d]", path, i), child)
			}
		case map[string]any:
			value["wrong"] = 1
			add(path+": an unknown key", true)
			delete(value, "wrong")
			for _, key := range slices.Sorted(maps.Keys(value)) {
				kept, at := value[key], path+"."+key
				value[key] = map[string]any{"wrong": 1}
				add(at+": another type", true)
				if _, isBool := kept.(bool); isBool || key == "status" || strings.HasSuffix(key, "_method") {
					value[key] = "yes"
					add(at+": another value", true)
				}
				delete(value, key)
				if !slices.Contains(references, key) {
					add(at+": missing", slices.Contains(required, key))
				}
				value[key] = kept
				walk(at, kept)
			}
		}
	}
	walk("", document)
	return all
}

func TestSchemaAndLoaderAgree(t *testing.T) {
	schema := compileSchema(t)
	document := everyKey(t)
	if err := schema.Validate(document); err != nil {
		t.Fatal(err)
	}
	all := variants(t, document)
	for _, v := range all {
		_, loaded := ParseState("state", v.text)
		parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(v.text))
		if err != nil {
			t.Fatal(err)
		}
		valid := schema.Validate(parsed)
		if (loaded == nil) != (valid == nil) || v.invalid && loaded == nil {
			t.Errorf("%s: the loader says %v, the schema %v", v.name, loaded, valid)
		}
	}
	if len(all) < 150 {
		t.Errorf("there are only %d variants", len(all))
	}
}
