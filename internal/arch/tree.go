package arch

import (
	"errors"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Tree is what the sources of the module say about themselves, whatever their build tags. It is read in this process: the
// go command would answer from its cache, and go test would not know that the answer is stale.
type Tree struct {
	// Module is the module's path; Requires are its direct requirements.
	Module   string
	Requires []string
	// Sources are the packages by their folder, from the root of the module, with slashes.
	Sources map[string]*Source
}

// Source is one package.
type Source struct {
	// Owns is the first sentence of the package comment, without the package's name.
	Owns string
	// Imports and TestImports are what files and test files import, sorted.
	Imports, TestImports []string
	// HasCode is false where there are only tests.
	HasCode bool
}

// Read reads the module at root.
func Read(root string) (*Tree, error) {
	tree := &Tree{Sources: map[string]*Source{}}
	if err := tree.readModule(filepath.Join(root, "go.mod")); err != nil {
		return nil, err
	}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != root && isForeign(entry.Name()) {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		return tree.add(filepath.ToSlash(folder), path)
	})
	return tree, err
}

// isForeign reports whether a folder holds none of our packages.
func isForeign(folder string) bool {
	return strings.HasPrefix(folder, ".") || slices.Contains([]string{"local", "testdata", "bin", "reports", "node_modules"}, folder)
}

func (t *Tree) readModule(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		switch {
		case len(words) == 2 && words[0] == "module":
			t.Module = words[1]
		case strings.HasPrefix(line, "\t") && len(words) == 2:
			t.Requires = append(t.Requires, words[0])
		}
	}
	if t.Module == "" {
		return errors.New("arch: go.mod names no module")
	}
	return nil
}

func (t *Tree) add(folder, path string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return err
	}
	source := t.Sources[folder]
	if source == nil {
		source = &Source{}
		t.Sources[folder] = source
	}
	imports := &source.Imports
	if strings.HasSuffix(path, "_test.go") {
		imports = &source.TestImports
	} else {
		source.HasCode = true
		if file.Doc != nil {
			source.Owns = owns(file)
		}
	}
	for _, spec := range file.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return fmt.Errorf("arch: %s: %w", path, err)
		}
		*imports = append(*imports, name)
	}
	slices.Sort(*imports)
	*imports = slices.Compact(*imports)
	return nil
}

// owns is the first sentence of a package comment, without its subject.
func owns(file *ast.File) string {
	sentence := new(doc.Package).Synopsis(file.Doc.Text())
	sentence = strings.TrimSuffix(sentence, ".")
	for _, subject := range []string{"Package ", "Command "} {
		if rest, ok := strings.CutPrefix(sentence, subject); ok {
			_, sentence, _ = strings.Cut(rest, " ")
		}
	}
	return strings.NewReplacer("[", "", "]", "").Replace(sentence)
}

// Ours are the packages of the module among imports, by their folders.
func (t *Tree) Ours(imports []string) []string {
	var folders []string
	for _, name := range imports {
		if folder, ours := strings.CutPrefix(name, t.Module+"/"); ours {
			folders = append(folders, folder)
		}
	}
	return folders
}

// Modules are the direct requirements among imports.
func (t *Tree) Modules(imports []string) []string {
	found := map[string]bool{}
	for _, name := range imports {
		module := ""
		for _, required := range t.Requires {
			// The longest: the exporter of OpenTelemetry is a module below that of its interfaces.
			if (name == required || strings.HasPrefix(name, required+"/")) && len(required) > len(module) {
				module = required
			}
		}
		if module != "" {
			found[module] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// Reachable are a package and all of ours that it imports, directly or not, tests aside.
func (t *Tree) Reachable(folder string) map[string]bool {
	reached := map[string]bool{}
	for next := []string{folder}; len(next) > 0; next = next[1:] {
		if source := t.Sources[next[0]]; source != nil && !reached[next[0]] {
			reached[next[0]] = true
			next = append(next, t.Ours(source.Imports)...)
		}
	}
	return reached
}

// Root is the folder of the nearest go.mod, from the working directory up.
func Root() (string, error) {
	at, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return at, nil
		}
		above := filepath.Dir(at)
		if above == at {
			return "", errors.New("arch: there is no go.mod above the working directory")
		}
		at = above
	}
}
