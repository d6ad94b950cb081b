// Command generate puts the keys of the configuration into the schema of the chart's values, without those that the chart sets
// itself, so that helm refuses what the server would refuse.
//
//	go run ./deploy/helm/generate
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := write(chartSchema); err != nil {
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
