package checklist

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Test is a Go test that covers one item or several.
type Test struct {
	// Folder is the package's, from the root of the module, with slashes.
	Folder string
	// File is the name of the file in Folder.
	File string
	// Function is the test's name.
	Function string
	// Items are the IDs of the items, in the order of the checklist.
	Items []string
}

var (
	// numberedName matches the name of a test with the ID of its item.
	numberedName = regexp.MustCompile(`^Test(SP|MS|AM|F1|FC|CI|JA|PA|JR|MT|DP|IS|R[A-Z]|AT|IN|MD|OC|DR|GM|BC|PR|HS|TL|FD|FJ|K[A-Z]|L[A-Z]|NM|Rule|Attack)(\d{2,3})`)
	// coversLine matches the first line of the comment of a test that covers several, or of a paragraph of it.
	coversLine = regexp.MustCompile(`^Covers: ([A-Z0-9]+-\d{2,3}(?:, [A-Z0-9]+-\d{2,3})*)\.`)
)

// Find parses the test files below root and returns the tests that cover items, sorted by folder, file and position.
// A test with an unknown item is an error, and so is a malformed line that begins with "Covers:".
func Find(root string) ([]Test, error) {
	var tests []Test
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && path != root &&
			(strings.HasPrefix(name, ".") || slices.Contains([]string{"local", "testdata", "bin", "reports"}, name)) {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("checklist: %w", err)
		}
		found, err := inFile(file)
		for _, test := range found {
			test.Folder, test.File = filepath.ToSlash(folder), name
			tests = append(tests, test)
		}
		if err != nil {
			return fmt.Errorf("checklist: %s: %w", path, err)
		}
		return nil
	})
	return tests, err
}

// inFile finds the numbered tests of one file.
func inFile(file *ast.File) ([]Test, error) {
	order := map[string]int{}
	for i, item := range Items() {
		order[item.ID] = i
	}
	var tests []Test
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || function.Recv != nil || !strings.HasPrefix(function.Name.Name, "Test") {
			continue
		}
		ids, err := itemsOf(function.Name.Name, function.Doc.Text())
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			if _, known := order[id]; !known {
				return nil, fmt.Errorf("%s names %s, which is not on the checklist", function.Name.Name, id)
			}
		}
		if len(ids) == 0 {
			continue
		}
		slices.SortFunc(ids, func(a, b string) int { return order[a] - order[b] })
		tests = append(tests, Test{Function: function.Name.Name, Items: slices.Compact(ids)})
	}
	return tests, nil
}

// itemsOf reads the IDs from a test's name and comment.
func itemsOf(name, comment string) ([]string, error) {
	var ids []string
	if match := numberedName.FindStringSubmatch(name); match != nil {
		ids = append(ids, strings.ToUpper(match[1])+"-"+match[2])
	}
	// The line may be a paragraph of its own after what the test is about.
	_, comment, found := strings.Cut("\n\n"+comment, "\n\nCovers:")
	if !found {
		return ids, nil
	}
	comment = "Covers:" + comment
	match := coversLine.FindStringSubmatch(strings.ReplaceAll(comment, "\n", " "))
	if match == nil {
		return nil, fmt.Errorf(
			"the comment of %s has a paragraph that begins with Covers: and does not go on like this: Covers: SP-29, BC-03, ATTACK-47", name)
	}
	return append(ids, strings.Split(match[1], ", ")...), nil
}
