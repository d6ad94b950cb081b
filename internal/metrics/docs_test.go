package metrics

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/metrics.md")

// page is the table of docs/metrics.md.
func page() string {
	var out strings.Builder
	out.WriteString("| metric | type, unit | labels | meaning |\n|---|---|---|---|\n")
	for _, m := range Catalogue() {
		unit := m.Unit
		if unit == "" {
			unit = "–"
		}
		labels := make([]string, len(m.Labels))
		for i, label := range m.Labels {
			labels[i] = "`" + strings.ReplaceAll(label, ".", "_") + "`"
		}
		if len(labels) == 0 {
			labels = []string{"–"}
		}
		meaning := m.Meaning
		if m.Source != "" {
			meaning += " (" + m.Source + ")"
		}
		fmt.Fprintf(&out, "| `%s`, in OpenTelemetry `%s` | %s, %s | %s | %s |\n", m.Prometheus(), m.Name, m.Kind, unit, strings.Join(labels, ", "), meaning)
	}
	return out.String()
}

// Covers: NM-09. The page lists every metric with type, unit and labels.
func TestPage(t *testing.T) {
	const begin, end = "<!-- metrics: begin -->\n", "<!-- metrics: end -->\n"
	file := filepath.Join("..", "..", "docs", "metrics.md")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has lost the marks of its table", file)
	}
	want := head + begin + page() + end + tail
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const hint = "go test ./internal/metrics -run TestPage -update"
	t.Run("accepts the table", func(t *testing.T) {
		if string(text) != want && !*update {
			t.Errorf("%s is not what the catalogue says; %s", file, hint)
		}
	})
	t.Run("refuses a row of what is no metric", func(t *testing.T) {
		table, _, _ := strings.Cut(rest, end)
		for row := range strings.Lines(table) {
			if !strings.Contains(page(), row) && !*update {
				t.Errorf("%s has a row that the catalogue has not; %s\n%s", file, hint, row)
			}
		}
	})
}
