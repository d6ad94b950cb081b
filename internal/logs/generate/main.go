// Command generate writes docs/logs.md from the catalogue of log messages.
package main

import (
	"flag"
	"fmt"
	"os"

	"countersign/internal/logs"
)

func main() {
	file := flag.String("write", "docs/logs.md", "the page to write")
	flag.Parse()
	if err := os.WriteFile(*file, []byte(logs.Page()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}
