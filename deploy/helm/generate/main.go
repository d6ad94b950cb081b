// Command generate puts the keys of the configuration into the schema of the chart's values, without those that the chart sets
// itself, so that helm refuses what the server would refuse, and copies the alerts into the chart.
//
//	go run ./deploy/helm/generate
package main

import (
	"errors"
	"fmt"
	"os"
)

// The alerts, and their copy in the chart, which cannot hold what is outside of it.
const alerts, chartAlerts = "deploy/prometheus/countersign.rules.yml", "deploy/helm/countersign/files/countersign.rules.yml"

func main() {
	if err := errors.Join(write(chartSchema), copied(alerts, chartAlerts)); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// write brings a schema up to date.
func write(file string) error {
	before, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	after, err := merged(before)
	if err != nil {
		return err
	}
	return os.WriteFile(file, after, 0o644)
}

// copied copies a file.
func copied(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o644)
}
