package server

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
)

// read returns the text of a file of the repository.
func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile("../../" + path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// labelsIn returns the labels that a template shows, in the syntax of Grafana
// (`{{code}}`) or Prometheus (`{{ $labels.code }}`).
func labelsIn(template string) (labels []string) {
	for _, match := range regexp.MustCompile(`\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}`).FindAllStringSubmatch(template, -1) {
		labels = append(labels, match[1])
	}
	return labels
}

func TestDashboardQueriesExistingMetrics(t *testing.T) {
	var board any
	if err := json.Unmarshal(read(t, "deploy/grafana/conferenced.json"), &board); err != nil {
		t.Fatal(err)
	}
	words := vocabularyOf(t)
	queries := 0
	everyObject(board, func(object map[string]any) {
		query, labels, ok := queryIn(object)
		if !ok {
			return
		}
		queries++
		for _, problem := range words.check(query, labels...) {
			t.Errorf("%s:\n%s", query, problem)
		}
	})
	if queries < 50 {
		t.Errorf("only %d queries were found", queries)
	}
}

// everyObject calls f with each object in the JSON value.
func everyObject(value any, f func(map[string]any)) {
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			everyObject(element, f)
		}
	case map[string]any:
		f(value)
		for _, member := range value {
			everyObject(member, f)
		}
	}
}

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// queryIn returns the query of a panel, an annotation or a variable, and the labels of
// its result that are shown.
func queryIn(object map[string]any) (query string, labels []string, ok bool) {
	text := func(key string) string {
		value, _ := object[key].(string)
		return value
	}
	if match := labelValues.FindStringSubmatch(text("definition")); match != nil {
		return match[1], match[2:], true
	}
	query = text("expr")
	return query, labelsIn(text("legendFormat") + text("textFormat")), query != ""
}

func TestPanelsDoNotOverlap(t *testing.T) {
	var board struct {
		Panels []struct {
			ID          int
			Type, Title string
			Datasource  struct{ UID string }
			Targets     []any
			GridPos     struct{ X, Y, W, H int }
		}
	}
	if err := json.Unmarshal(read(t, "deploy/grafana/conferenced.json"), &board); err != nil {
		t.Fatal(err)
	}
	ids, taken := map[int]string{}, map[[2]int]string{}
	for _, panel := range board.Panels {
		if other := ids[panel.ID]; other != "" {
			t.Errorf("%q and %q have the same ID", other, panel.Title)
		}
		ids[panel.ID] = panel.Title
		if panel.Type != "row" && (panel.Datasource.UID != "${datasource}" || len(panel.Targets) == 0) {
			t.Errorf("%q has no query of the chosen data source", panel.Title)
		}
		at := panel.GridPos
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%q overlaps %q or is outside", panel.Title, other)
				}
				taken[[2]int{x, y}] = panel.Title
			}
		}
	}
}

// alert is a rule of Prometheus.
type alert struct {
	Name        string `yaml:"alert"`
	Expr        string
	Labels      map[string]string
	Annotations map[string]string
}

func alerts(t *testing.T) map[string]alert {
	t.Helper()
	var file struct{ Groups []struct{ Rules []alert } }
	if err := yaml.Unmarshal(read(t, "deploy/prometheus/alerts.yaml"), &file); err != nil {
		t.Fatal(err)
	}
	found := map[string]alert{}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if _, twice := found[rule.Name]; twice || rule.Name == "" {
				t.Errorf("the name %q is empty or used twice", rule.Name)
			}
			found[rule.Name] = rule
		}
	}
	if len(found) == 0 {
		t.Fatal("there are no alerts")
	}
	return found
}

func TestAlertsQueryExistingMetrics(t *testing.T) {
	words := vocabularyOf(t)
	for name, alert := range alerts(t) {
		shown := labelsIn(alert.Annotations["summary"] + alert.Annotations["description"])
		for _, problem := range words.check(alert.Expr, shown...) {
			t.Errorf("%s: %s\n%s", name, problem, alert.Expr)
		}
		if severity := alert.Labels["severity"]; severity != "critical" && severity != "warning" {
			t.Errorf("%s: the severity is %q", name, severity)
		}
		if alert.Annotations["summary"] == "" || alert.Annotations["description"] == "" {
			t.Errorf("%s: the summary or the description is missing", name)
		}
		if got, want := alert.Annotations["runbook_url"], "docs/runbook.md#"+strings.ToLower(name); got != want {
			t.Errorf("%s: runbook_url is %q, want %q", name, got, want)
		}
	}
}

// TestEveryAlertIsTestedBothWays checks only that the tests exist: .ci/deploy runs them
// with promtool.
func TestEveryAlertIsTestedBothWays(t *testing.T) {
	var file struct{ Tests []struct{ Name string } }
	if err := yaml.Unmarshal(read(t, "deploy/prometheus/alerts_test.yaml"), &file); err != nil {
		t.Fatal(err)
	}
	for name := range alerts(t) {
		for _, way := range []string{" fires ", " stays silent "} {
			if !slices.ContainsFunc(file.Tests, func(test struct{ Name string }) bool {
				return strings.HasPrefix(test.Name, name+way)
			}) {
				t.Errorf("no test says that %s%s", name, way)
			}
		}
	}
}

// TestRunbookHasEveryAlert compares the headings of the runbook with the alerts.
func TestRunbookHasEveryAlert(t *testing.T) {
	var got []string
	heading := regexp.MustCompile(`(?m)^### (.+)$`)
	for _, match := range heading.FindAllStringSubmatch(string(read(t, "docs/runbook.md")), -1) {
		got = append(got, match[1])
	}
	slices.Sort(got)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(alerts(t))), got); diff != "" {
		t.Errorf("(-alerts +headings):\n%s", diff)
	}
}
