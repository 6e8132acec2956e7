package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"conferenced/service/outcome"
)

const root = "../.."

// document returns the text of a file of the repository.
func document(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// documents returns the texts of all documents by their paths.
func documents(t *testing.T) map[string]string {
	t.Helper()
	paths := []string{"README.md", "service/sandbox/README.md"}
	entries, err := os.ReadDir(filepath.Join(root, "docs"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		paths = append(paths, "docs/"+entry.Name())
	}
	texts := map[string]string{}
	for _, path := range paths {
		texts[path] = document(t, path)
	}
	return texts
}

// cells returns the cells of a row of a table, without backquotes, or nil if the line
// is no row.
func cells(line string) []string {
	parts := strings.Split(line, "|")
	if len(parts) < 3 || parts[0] != "" {
		return nil
	}
	for i, part := range parts {
		parts[i] = strings.Trim(part, " `")
	}
	return parts[1:]
}

// documentedFlags returns the rows of docs/configuration.md by command: flag, variable
// and default.
func documentedFlags(t *testing.T) map[string][]string {
	t.Helper()
	rows := map[string][]string{}
	var commands [][]string
	for line := range strings.Lines(document(t, "docs/configuration.md")) {
		switch row := cells(line); {
		case strings.HasPrefix(line, "## "):
			commands = nil
			if strings.HasPrefix(line, "## Flags of ") {
				commands = regexp.MustCompile("`([a-z]+)`").FindAllStringSubmatch(line, -1)
			}
		case len(row) > 3 && flagName.MatchString(row[0]):
			for _, command := range commands {
				rows[command[1]] = append(rows[command[1]], strings.Join(row[:3], " "))
			}
		}
	}
	return rows
}

var flagName = regexp.MustCompile(`^--(\[no-\])?[a-z]`)

func TestFlagTables(t *testing.T) {
	documented := documentedFlags(t)
	for command, flags := range commandsWithFlags(t) {
		var want []string
		for _, flag := range flags {
			name := "--" + flag.Name
			if flag.Tag.Has("negatable") {
				name = "--[no-]" + flag.Name
			}
			want = append(want, strings.Join([]string{name, strings.Join(flag.Envs, " "), flag.Default}, " "))
		}
		got := documented[command]
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("flags of %s: flag, variable, default (-program +document):\n%s", command, diff)
		}
	}
}

func TestTwilioVariablesAreDocumented(t *testing.T) {
	text := document(t, "docs/configuration.md")
	for _, name := range regexp.MustCompile("TWILIO_[A-Z_]+").FindAllString(serveCommand{}.Help(), -1) {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("%s is not documented", name)
		}
	}
}

func TestTableOfOutcomes(t *testing.T) {
	var want, got []string
	for _, kind := range outcome.Table {
		want = append(want, strings.Join([]string{
			kind.Reason, codeName(kind.Code), strconv.Itoa(kind.HTTP), strconv.Itoa(kind.TwilioCode),
		}, " "))
	}
	reason := regexp.MustCompile("^[A-Z_]+$")
	for line := range strings.Lines(document(t, "docs/api.md")) {
		if row := cells(line); len(row) > 4 && reason.MatchString(row[0]) {
			got = append(got, strings.Join(row[:4], " "))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reason, gRPC, HTTP, Twilio code (-program +document):\n%s", diff)
	}
}

// codeName returns the name of the code in the specification: NOT_FOUND for NotFound.
func codeName(code codes.Code) string {
	if code == codes.Canceled {
		return "CANCELLED"
	}
	return strings.ToUpper(regexp.MustCompile("([a-z])([A-Z])").ReplaceAllString(code.String(), "${1}_$2"))
}

// TestRedisUser compares the document with the package, whose tests use the user.
func TestRedisUser(t *testing.T) {
	line := regexp.MustCompile(`(?m)user conferenced on .*$`)
	want := line.FindString(document(t, "service/delivery/redisstore/redisstore.go"))
	if got := line.FindString(document(t, "docs/replicas.md")); got != want || got == "" {
		t.Errorf("the document has %q, the package %q", got, want)
	}
}

var commandLine = regexp.MustCompile(`(?m)^ +(?:go run \./cmd/)?conferenced ([a-z].*?)(?: &)?$`)

func TestDocumentedCommandsCanBeParsed(t *testing.T) {
	count := 0
	for path, text := range documents(t) {
		for _, match := range commandLine.FindAllStringSubmatch(text, -1) {
			parser, err := kong.New(new(commands), kong.Name("conferenced"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parser.Parse(strings.Fields(match[1])); err != nil {
				t.Errorf("%s: %s: %v", path, match[0], err)
			}
			count++
		}
	}
	if count < 8 {
		t.Errorf("only %d commands were found", count)
	}
}

// blocks returns the code blocks of a language.
func blocks(text, language string) (found []string) {
	fence := regexp.MustCompile("(?ms)^```" + language + "\n(.*?)^```$")
	for _, match := range fence.FindAllStringSubmatch(text, -1) {
		found = append(found, match[1])
	}
	return found
}

// yamlFile returns the block of a document that begins with the name of the file.
func yamlFile(t *testing.T, path, name string) string {
	t.Helper()
	for _, block := range blocks(document(t, path), "yaml") {
		if strings.HasPrefix(block, "# "+name+"\n") {
			return block
		}
	}
	t.Fatalf("%s has no %s", path, name)
	return ""
}

func TestDocumentedSettingsFiles(t *testing.T) {
	write := writerIn(t, t.TempDir())
	t.Setenv("TWILIO_AUTH_TOKEN", "00112233445566778899aabbccddeeff")
	secret := write("twilio", "0123456789abcdef")
	args := []string{"check"}
	for _, name := range []string{"tokens", "policy", "accounts"} {
		text := yamlFile(t, "docs/security.md", name+".yaml")
		args = append(args, "--"+name, write(name+".yaml", strings.ReplaceAll(text, "/run/secrets/twilio", secret)))
	}
	runCommand(t.Context(), args...).check(t, 0)
	stage := write("stage.yaml", yamlFile(t, "service/sandbox/README.md", "stage.yaml"))
	runStopped(t, "sandbox", "--twilio-only", "--state", stage).check(t, 0)
}

// TestDocumentedCodeIsTested compares code of the documents with files of service/e2e,
// whose tests run it. Indentation does not count. Whole programs are run by .ci/clients.
func TestDocumentedCodeIsTested(t *testing.T) {
	var tested strings.Builder
	err := filepath.WalkDir(filepath.Join(root, "service/e2e"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(path, ".test.js") {
			return err
		}
		text, err := os.ReadFile(path)
		tested.WriteString(unindented(string(text)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for path, text := range documents(t) {
		for _, language := range []string{"go", "js"} {
			for _, block := range blocks(text, language) {
				if strings.HasPrefix(block, "package main\n") {
					continue
				}
				count++
				if !strings.Contains(tested.String(), unindented(block)) {
					t.Errorf("%s: no test in service/e2e has this code:\n%s", path, block)
				}
			}
		}
	}
	if count < 5 {
		t.Errorf("only %d blocks of code were found", count)
	}
}

// unindented removes indentation.
func unindented(text string) string {
	var lines strings.Builder
	for line := range strings.Lines(text) {
		lines.WriteString(strings.TrimSpace(line) + "\n")
	}
	return lines.String()
}

var (
	link    = regexp.MustCompile(`\]\(([^)#]*)(?:#([^)]*))?\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	symbols = regexp.MustCompile(`[^a-z0-9 _-]`)
)

func TestLinks(t *testing.T) {
	for path, text := range documents(t) {
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			target, anchor := match[1], match[2]
			switch {
			case strings.Contains(target, "://"):
				continue
			case target == "":
				target = path
			default:
				target = filepath.Join(filepath.Dir(path), target)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s: %s: %v", path, match[0], err)
			} else if anchor != "" && !slices.Contains(anchors(document(t, target)), anchor) {
				t.Errorf("%s: %s: there is no such heading", path, match[0])
			}
		}
	}
}

// anchors returns the anchors of a document's headings.
func anchors(text string) (found []string) {
	for _, match := range heading.FindAllStringSubmatch(text, -1) {
		found = append(found, strings.ReplaceAll(symbols.ReplaceAllString(strings.ToLower(match[1]), ""), " ", "-"))
	}
	return found
}

// TestSystemdUnit checks that systemd does not restart after an error that a restart
// does not fix.
func TestSystemdUnit(t *testing.T) {
	want := fmt.Sprintf("\nRestartPreventExitStatus=%d\n", exitUsage)
	if unit := document(t, "deploy/conferenced.service"); !strings.Contains(unit, want) {
		t.Errorf("the unit has no %s", want)
	}
}
