package dashboards_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"countersign/internal/dashboards"
	"countersign/internal/metrics"
)

// Covers: NM-12. The files are what is described here: go run ./internal/dashboards/generate.
func TestFiles(t *testing.T) {
	folder := filepath.Join("..", "..", "deploy", "grafana")
	var files []string
	for _, dashboard := range dashboards.Dashboards() {
		t.Run("accepts "+dashboard.UID, func(t *testing.T) {
			want, err := dashboard.JSON()
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join(folder, dashboard.UID+".json"))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s.json is not what is described (%v); run: go run ./internal/dashboards/generate", dashboard.UID, err)
			}
		})
		files = append(files, dashboard.UID+".json")
	}
	found, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("refuses a file of no dashboard", func(t *testing.T) {
		for _, file := range found {
			if !slices.Contains(files, filepath.Base(file)) {
				t.Errorf("%s is of no dashboard", file)
			}
		}
	})
}

var selector = regexp.MustCompile(`([a-z][a-z0-9_]*)\{([^}]*)\}`)

// Covers: NM-12. Each query asks for metrics of the catalogue, or of the process, and for the nodes that were chosen.
func TestQueries(t *testing.T) {
	known := map[string]bool{}
	for _, metric := range metrics.Catalogue() {
		known[metric.Prometheus()] = true
	}
	suffixes := regexp.MustCompile(`_(bucket|count|sum)$`)
	shown := map[string]bool{}
	for _, dashboard := range dashboards.Dashboards() {
		for _, row := range dashboard.Rows {
			for _, panel := range row.Panels {
				for _, query := range panel.Queries {
					t.Run("accepts "+dashboard.UID+" "+panel.Title, func(t *testing.T) {
						selectors := selector.FindAllStringSubmatch(query.Expr, -1)
						if len(selectors) == 0 {
							t.Errorf("%s asks for nothing", query.Expr)
						}
						for _, found := range selectors {
							name := found[1]
							if !known[name] {
								name = suffixes.ReplaceAllString(name, "") // of a histogram
							}
							if !known[name] && !strings.HasPrefix(name, "process_") {
								t.Errorf("%s is no metric", found[1])
							}
							process := strings.HasPrefix(found[1], "process_")
							if !strings.HasPrefix(found[2], dashboards.On) || strings.HasPrefix(found[2], dashboards.Of) == process {
								t.Errorf("%s does not choose the nodes, and the issuers where it has one", found[0])
							}
							shown[name] = true
						}
					})
				}
			}
		}
	}
	t.Run("refuses a metric that no dashboard shows", func(t *testing.T) {
		for name := range known {
			if !shown[name] && name != "countersign_directory_document_age_seconds" { // there are few with a directory
				t.Errorf("no dashboard shows %s", name)
			}
		}
	})
}
