package yamlfile

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// settings is the configuration that the tests read.
type settings struct {
	Name  string
	On    bool
	Count string
	At    time.Time
	Tags  []string
	Inner map[string]string
}

func read(text string) (settings, error) {
	d := Parse("f.yaml", []byte(text))
	var s settings
	if root := d.Mapping(); root != nil {
		s.Name = Scan(root.Required("name"), func(text string) (string, error) {
			if text == "refused" {
				return "", errors.New("must be another name")
			}
			return text, nil
		})
		s.On, s.Count, s.At = root.Get("on").Bool(), root.Optional("count").Text(), root.Get("at").Time()
		for _, v := range root.Get("tags").List(1) {
			s.Tags = append(s.Tags, v.Text())
		}
		if inner := root.Get("inner").Mapping(); inner != nil {
			s.Inner = map[string]string{}
			for key, v := range inner.All() {
				s.Inner[key] = v.Text()
			}
		}
	}
	return s, d.Err()
}

func TestValidFiles(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       settings
	}{
		{"only the required key", "name: a", settings{Name: "a"}},
		{"everything", "name: a\non: true\ncount: 12\nat: 2027-01-31T09:00:00+01:00\ntags: [a, 'b: c']\ninner: {x: y, https://z/: 1}\n", settings{
			Name: "a", On: true, Count: "12", At: time.Date(2027, 1, 31, 8, 0, 0, 0, time.UTC),
			Tags: []string{"a", "b: c"}, Inner: map[string]string{"x": "y", "https://z/": "1"},
		}},
		{"text that looks like another type", "name: 0x10\ntags: [true, 1e3, 2027-01-31, 'null']", settings{
			Name: "0x10", Tags: []string{"true", "1e3", "2027-01-31", "null"},
		}},
		{"JSON", `{"name": "a", "tags": ["*", "&b"]}`, settings{Name: "a", Tags: []string{"*", "&b"}}},
		{"null for an optional key", "name: a\ncount:\n", settings{Name: "a"}},
		{"comments, a document mark and line ends of Windows", "# *\r\n---\r\nname: a # b\r\n", settings{Name: "a"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := read(test.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestProblemsNameFileLineAndKey(t *testing.T) {
	const keys = "unknown key: the keys here are name, on, count, at, tags, inner"
	for _, test := range []struct{ name, text, want string }{
		{"an empty file", "", "line 1: is empty"},
		{"only a comment", "# name: a\n", "line 1: is empty"},
		{"a byte order mark", "\ufeffname: a", "line 1: begins with a byte order mark (BOM): save it as UTF-8 without one"},
		{"UTF-16", "\xff\xfen\x00", "line 1: begins with a byte order mark (BOM): save it as UTF-8 without one"},
		{"not UTF-8", "on: true\nname: caf\xe9\n", "line 2: name: is not UTF-8"},
		{"a control character", "on: true\nname: \x01\n", "line 2: name: has a control character"},
		{"two documents", "name: a\n---\nname: b", "line 2: a second document begins: a file is one document"},
		{"a second document that is broken", "name: a\n---\nname: [", "line 3: name: is not YAML: did not find expected node content"},
		{"a list for the root", "- a", "line 1: must be a mapping (key: value)"},
		{"null for the root", "~", "line 1: must be a mapping (key: value)"},
		{"a star without quotes", "on: true\nname: *\n", "line 2: name: a value that begins with * must be in quotes"},
		{"a star without quotes in a list", "name: a\ntags: [*]\n", "line 2: tags: a value that begins with * must be in quotes"},
		{"an alias without its anchor", "name: a\ntags: [*nothing]", "line 2: tags: a value that begins with * must be in quotes"},
		{"an ampersand without quotes", "name: & b", "line 1: name: a value that begins with & must be in quotes"},
		{"an at sign without quotes", "name: @b", "line 1: name: a value that begins with @ must be in quotes"},
		{"a tab for indentation", "name: a\ninner:\n\tx: y", "line 3: inner: has a tab where YAML needs spaces"},
		{"a list that does not end", "name: 'a: b'\ntags: [", "line 2: tags: is not YAML: did not find expected node content"},
		{"a quote that does not end", "on: true\nname: \"tags: x\n\n\n", "line 2: name: is not YAML: found unexpected end of stream"},
		{"a colon in a value", "name: b: c", "line 1: name: is not YAML: mapping values are not allowed in this context"},
		{"an anchor and its alias", "name: &n a\ntags:\n- *n", "line 1: name: anchors (&) are not supported: put a value that begins with & in quotes\n" +
			"line 3: tags[0]: aliases (*) are not supported: write the value out, or put it in quotes if it begins with *"},
		{"a tag", "name: !x a", "line 1: name: tags (!) are not supported: put a value that begins with ! in quotes"},
		{"a merge key", "name: a\n<<: {on: true}", "line 2: merge keys (<<) are not supported: write the keys out"},
		{"a key twice", "name: a\non: true\nname: b", "line 3: name: is given twice, first in line 1"},
		{"a key twice in a mapping of any keys", "name: a\ninner: {x: a, x: b}", "line 2: inner.x: is given twice, first in line 2"},
		{"an unknown key", "name: a\nnames: b", "line 2: names: " + keys},
		{"a key that may be a secret", "name: a\n0123456789abcdef0123456789abcdef: b", "line 2: " + keys},
		{"a list for a key", "name: a\n[a, b]: c", "line 2: has a key that is not text"},
		{"a key that is missing", "on: true", "line 1: name: is missing"},
		{"text that is missing", "name:", "line 1: name: has no value"},
		{"null for text", "name: null", "line 1: name: has no value"},
		{"a list for text", "name: [a]", "line 1: name: must be text"},
		{"text that is refused", "name: refused", "line 1: name: must be another name"},
		{"text for a boolean", "name: a\non: loudly", "line 2: on: must be true or false"},
		{"a boolean in quotes", "name: a\non: 'true'", "line 2: on: must be true or false"},
		{"a boolean of YAML 1.1", "name: a\non: yes", "line 2: on: must be true or false"},
		{"text for a time", "name: a\nat: noon", "line 2: at: must be a date and time, such as 2027-01-31T00:00:00Z"},
		{"text for a list", "name: a\ntags: b", "line 2: tags: must be a list"},
		{"a list without elements", "name: a\ntags: []", "line 2: tags: must not be empty"},
		{"an element of another type", "name: a\ntags:\n- b\n- {c: d}", "line 4: tags[1]: must be text"},
		{"text for a mapping", "name: a\ninner: b", "line 2: inner: must be a mapping (key: value)"},
		{"everything", "on: x\ncount: []\nother: z", "line 1: name: is missing\nline 1: on: must be true or false\n" +
			"line 2: count: must be text\nline 3: other: " + keys},
	} {
		t.Run(test.name, func(t *testing.T) {
			var want []string
			for line := range strings.Lines(test.want) {
				want = append(want, "f.yaml: "+strings.TrimSuffix(line, "\n"))
			}
			_, err := read(test.text)
			if err == nil {
				t.Fatal("got no error")
			}
			if diff := cmp.Diff(strings.Join(want, "\n"), err.Error()); diff != "" {
				t.Error("(-want +got):\n", diff)
			}
		})
	}
}

// TestProblemsDoNotRepeatSecrets has a secret in every part of a file.
func TestProblemsDoNotRepeatSecrets(t *testing.T) {
	for _, secret := range []string{"0123456789abcdef0123456789abcdef", "m1splaced-secret-0123456789abcdef", "hunter-2.hunter-2"} {
		for _, text := range []string{
			"$S", "$S: x", "$S: [", "*$S", "&$S", "%$S\n---\na", "!$S a: b: c", "'$S", "\"$S", "[$S", "{$S", "{$S: [", "name: $S: [",
			"a: *$S", "a: '\\$S", "a: \"$S: x", "a: !!int $S", "a: '$S: x' y", "\t$S", "name: $S\n\tx", "name: &$S *$S", "name: !$S x",
			"? $S\n: y", "on: $S", "count: $S", "at: $S", "tags: $S", "tags: [{$S: x}]", "inner: $S", "inner: {a: {$S: x}}",
			"$S:\n $S: x\n  $S", "# $S: x\n[", "name: |\n  $S: x\n y", "$S: \x01", "$S: \xff", "$S: 1\n$S: 2", "<<: {$S: x}",
		} {
			_, err := read(strings.ReplaceAll(text, "$S", secret))
			if err == nil {
				t.Errorf("%s: is accepted", text)
				continue
			}
			if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), secret[len(secret)/2:]) {
				t.Errorf("%s: the error repeats the secret: %v", text, err)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("name: a\non: true\ncount: 1\nat: 2027-01-31T00:00:00Z\ntags: [b]\ninner: {c: d}\n")
	f.Add("tags: [&a {name: x}, *a, ? {}]\n--- !!binary x")
	f.Add("inner: &a [*a, !!binary x, {<<: *a, ? [] : |\n  x\n}]\n--- \n%YAML 1.1")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := read(text)
		if err == nil && !strings.Contains(text, "name") && !strings.Contains(text, `\`) {
			t.Errorf("%+v is accepted without its name", s)
		}
	})
}
