// Command generate writes docs/specifications.md.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"countersign/internal/arch"
	"countersign/internal/specifications"
)

func main() {
	page := flag.String("write", "docs/specifications.md", "the page to write, from the root of the module")
	flag.Parse()
	if err := run(*page); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(page string) error {
	root, err := arch.Root()
	if err != nil {
		return err
	}
	references, unclear, err := specifications.Find(root)
	if err != nil {
		return err
	}
	for _, each := range unclear {
		fmt.Println(each, "belongs to no document")
	}
	text, err := specifications.Page(references)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, page), []byte(text), 0o644)
}
