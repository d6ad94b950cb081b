// Command generate writes what is generated from the import table and the sources: the table in docs/architecture.md, the
// importers in docs/dependencies.md, and docs/packages.svg.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"countersign/internal/arch"
)

func main() {
	root := flag.String("root", "", "the folder of go.mod; by default the nearest one above")
	flag.Parse()
	if err := run(*root); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(root string) error {
	if root == "" {
		var err error
		if root, err = arch.Root(); err != nil {
			return err
		}
	}
	made, err := arch.Generated(root)
	if err != nil {
		return err
	}
	for path, text := range made {
		if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(path)), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
