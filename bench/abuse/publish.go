package main

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"countersign/bench/measure"
)

// publish writes the table into its place in docs/reliability.md.
func publish(folder, section string, all []result) error {
	return measure.WritePart(filepath.Join(folder, "reliability.md"), section, table(all))
}

// table is the table of the page.
func table(all []result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, on %d processors, flood, honest users and database included:\n\n", time.Now().UTC().Format("2006-01-02"), runtime.NumCPU())
	b.WriteString("| flood | store | a second, and how it is answered | honest users | alone: p50 | p99 | succeeded | beside it: p50 | p99 | succeeded |\n")
	b.WriteString("|---|---|---|---|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range all {
		fmt.Fprintf(&b, "| %s |\n", r)
	}
	return b.String()
}
