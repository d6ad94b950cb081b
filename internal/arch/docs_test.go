package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pages are the documents that people write and read, from the root of the module.
func pages(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(found) < 10 {
		t.Fatalf("%d documents were found: %v", len(found), err)
	}
	// conformance.md is made and held by internal/checklist.
	found = slices.DeleteFunc(found, func(page string) bool { return filepath.Base(page) == "conformance.md" })
	return append(found, "../../README.md", "../../CONTRIBUTING.md", "../../SECURITY.md")
}

var (
	// link is [text](target); code, a name in backticks; block, a listing.
	link  = regexp.MustCompile(`\[([^\]]*)\]\(([^)\s]+)\)`)
	code  = regexp.MustCompile("`([^`\n]+)`")
	block = regexp.MustCompile("(?s)```.*?```")
)

// TestLinks: a relative link leads to a file, and to a heading that is there. Where its text is a name in backticks and its
// target a Go file, the file declares that name.
func TestLinks(t *testing.T) {
	for _, page := range pages(t) {
		text := read(t, page)
		for _, match := range link.FindAllStringSubmatch(block.ReplaceAllString(text, ""), -1) {
			target, anchor, _ := strings.Cut(match[2], "#")
			if strings.Contains(match[2], "://") || strings.HasPrefix(match[2], "mailto:") {
				continue
			}
			path := page
			if target != "" {
				path = filepath.Join(filepath.Dir(page), target)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s links to %s, which is not there", page, match[2])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(read(t, path)), anchor) {
				t.Errorf("%s links to %s, and there is no such heading", page, match[2])
			}
			name, quoted := strings.CutPrefix(match[1], "`")
			if quoted && strings.HasSuffix(path, ".go") && !slices.Contains(declared(t, path), strings.TrimSuffix(name, "`")) {
				t.Errorf("%s says that %s declares %s", page, match[2], match[1])
			}
		}
	}
}

// anchors are what the headings of a page are linked by.
func anchors(page string) []string {
	var all []string
	for line := range strings.Lines(block.ReplaceAllString(page, "")) {
		heading, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
		if !ok || !strings.HasPrefix(line, "#") {
			continue
		}
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', r >= 'a' && r <= 'z', r >= '0' && r <= '9', r > 127 && r != '–' && r != '’':
				return r
			}
			return -1
		}, strings.ToLower(strings.TrimSpace(link.ReplaceAllString(heading, "$1"))))
		all = append(all, anchor)
	}
	return all
}

// declared lists the names that a file declares: methods behind their types.
func declared(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, declaration := range file.Decls {
		switch declaration := declaration.(type) {
		case *ast.FuncDecl:
			names = append(names, functionName(declaration))
		case *ast.GenDecl:
			for _, spec := range declaration.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					names = append(names, spec.Name.Name)
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return names
}

// TestPaths: what a document names in backticks like a file or folder of ours is there.
func TestPaths(t *testing.T) {
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	var tops []string
	for _, entry := range entries {
		if entry.IsDir() && !isForeign(entry.Name()) {
			tops = append(tops, entry.Name()+"/")
		}
	}
	for _, page := range pages(t) {
		for _, match := range code.FindAllStringSubmatch(block.ReplaceAllString(read(t, page), ""), -1) {
			name := strings.TrimPrefix(match[1], "./")
			ours := slices.ContainsFunc(tops, func(top string) bool { return strings.HasPrefix(name, top) })
			if !ours || strings.ContainsAny(name, " *{…<=$") {
				continue
			}
			if _, err := os.Stat(filepath.Join("../..", name)); err != nil {
				t.Errorf("%s names %s, which is not there", page, name)
			}
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
