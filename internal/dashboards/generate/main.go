// Command generate writes the Grafana dashboards: go run ./internal/dashboards/generate, from the root of the module.
package main

import (
	"log"
	"os"
	"path/filepath"

	"countersign/internal/dashboards"
)

func main() {
	for _, dashboard := range dashboards.Dashboards() {
		text, err := dashboard.JSON()
		if err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("deploy", "grafana", dashboard.UID+".json"), text, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
