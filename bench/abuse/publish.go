package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// publish writes the table into its place in docs/reliability.md.
func publish(folder, section string, all []result) error {
	file := filepath.Join(folder, "reliability.md")
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	begin, end := "<!-- begin "+section+" -->", "<!-- end "+section+" -->"
	before, rest, begins := strings.Cut(string(raw), begin)
	_, after, ends := strings.Cut(rest, end)
	if !begins || !ends {
		return fmt.Errorf("%s has lost the marks of its part %s", file, section)
	}
	return os.WriteFile(file, []byte(before+begin+"\n"+table(all)+"\n"+end+after), 0o644)
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
