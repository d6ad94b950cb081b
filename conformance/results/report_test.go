package results_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"countersign/conformance/results"
)

var update = flag.Bool("update", false, "write the golden files again")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs; if that is right, run with -update; now:\n%s", name, got)
	}
}

func TestReport(t *testing.T) {
	r := results.Report{
		Suite: "https://suite.example", Issuer: "https://localhost:8443", Began: time.Unix(1_800_000_000, 0).UTC(), Seconds: 61.4,
		Outcomes: []results.Outcome{
			{Plan: "fapi2-sp/a", Module: "happy-flow", ID: "x1", Result: results.Passed, Seconds: 1.2},
			{Plan: "fapi2-sp/a", Module: "old", ID: "x2", Result: results.Warning, Conditions: []results.Condition{{"WARNING", "CheckIt", "un|usual <b>"}}, Expected: "known", Seconds: 0.5},
			{Plan: "fapi2-sp/b", Module: "broken", ID: "x3", Result: results.Failed, Conditions: []results.Condition{{"FAILURE", "CheckThat", "wrong"}}, Seconds: 2},
			{Plan: "fapi2-sp/b", Module: "late", Result: results.NotRun},
		},
		Problems: []string{"FAILED: fapi2-sp/b broken"},
	}
	folder := t.TempDir()
	if err := r.Write(folder); err != nil {
		t.Fatal(err)
	}
	golden(t, "tell.txt", r.Tell())
	for _, name := range []string{"report.md", "report.json", "junit.xml"} {
		content, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, string(content))
	}
}
