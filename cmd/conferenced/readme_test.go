package main

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"conferenced/service/outcome"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestReadmeNamesEveryFlagThatServes(t *testing.T) {
	text := readme(t)
	known := commandsWithFlags(t)
	for _, command := range []string{"serve", "sandbox"} {
		if len(known[command]) == 0 {
			t.Fatalf("no flags of %s", command)
		}
		for _, flag := range known[command] {
			if !strings.Contains(text, "`--"+flag.Name+"`") && !strings.Contains(text, "`--no-"+flag.Name+"`") {
				t.Errorf("%s --%s is not in the README", command, flag.Name)
			}
		}
	}
}

func TestReadmeHasTheTableOfOutcomes(t *testing.T) {
	text := readme(t)
	for _, kind := range outcome.Table {
		row := "| `" + kind.Reason + "` | " + strings.ToUpper(codeName(kind.Code)) + " | " + strconv.Itoa(kind.HTTP) + " |"
		if !strings.Contains(text, row) {
			t.Errorf("no row %s", row)
		}
	}
}

// codeName is the code as the README writes it: NOT_FOUND for NotFound.
func codeName(code codes.Code) string {
	if code == codes.Canceled {
		return "CANCELLED"
	}
	var name strings.Builder
	for i, r := range code.String() {
		if i > 0 && r >= 'A' && r <= 'Z' {
			name.WriteByte('_')
		}
		name.WriteRune(r)
	}
	return name.String()
}
