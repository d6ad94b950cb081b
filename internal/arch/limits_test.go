package arch

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// What a reader can keep in mind. Who meets a limit parts the type, the package or the file; a limit is not raised.
const (
	maxMethods      = 40
	maxPackageLines = 2600
	maxServerLines  = 900 // of package fapi, which only wires
	maxRoomLines    = 400 // of a file in the rooms of fapi, tests too
)

// tools are the folders that hold no product: they test, measure or show it.
var tools = []string{"bench", "conformance", "examples"}

// isProduct reports whether a folder holds code of the product.
func isProduct(folder string) bool {
	return !slices.Contains(tools, strings.Split(folder, "/")[0]) && !strings.HasSuffix(path.Base(folder), "test")
}

// sourceFile is one parsed file.
type sourceFile struct {
	folder, name string
	test         bool
	lines        int
	syntax       *ast.File
}

func sourceFiles(t *testing.T) []sourceFile {
	t.Helper()
	files, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// parsed is every Go file of the project.
var parsed = sync.OnceValues(func() (files []sourceFile, err error) {
	err = filepath.WalkDir("../..", func(at string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(at, filepath.Clean("../../")+string(filepath.Separator)))
		if entry.IsDir() && at != "../.." && (strings.HasPrefix(entry.Name(), ".") || name == "local" || entry.Name() == "testdata") {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		source, err := os.ReadFile(at)
		if err != nil {
			return err
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), at, source, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, sourceFile{
			folder: path.Dir(name), name: name, test: strings.HasSuffix(name, "_test.go"), lines: bytes.Count(source, []byte("\n")), syntax: syntax,
		})
		return nil
	})
	return files, err
})

// TestMethods: no type of the product has more than 40 methods, besides those that the interfaces of package store demand of a
// database.
func TestMethods(t *testing.T) {
	t.Parallel()
	files := sourceFiles(t)
	demanded := map[string]bool{}
	for _, file := range files {
		if file.folder == "store" && !file.test {
			demandedBy(file.syntax, demanded)
		}
	}
	methods := map[string]int{}
	for _, file := range files {
		if file.test || !isProduct(file.folder) {
			continue
		}
		ofStore := strings.HasPrefix(file.folder, "store/")
		for _, declaration := range file.syntax.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if ok && function.Recv != nil && !(ofStore && demanded[function.Name.Name]) {
				methods[file.folder+"."+receiver(function.Recv.List[0].Type)]++
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(methods)) {
		if methods[name] > maxMethods {
			t.Errorf("%s has %d methods, more than %d: part it by what its callers need", name, methods[name], maxMethods)
		}
	}
}

// demandedBy adds the methods of the interfaces in a file.
func demandedBy(file *ast.File, methods map[string]bool) {
	ast.Inspect(file, func(node ast.Node) bool {
		if declared, ok := node.(*ast.InterfaceType); ok {
			for _, method := range declared.Methods.List {
				for _, name := range method.Names {
					methods[name.Name] = true
				}
			}
		}
		return true
	})
}

// receiver is the name of the type of a receiver.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// TestPackageSizes: no package of the product has more than 2,600 lines without its tests, and package fapi, which only wires,
// not more than 900.
func TestPackageSizes(t *testing.T) {
	t.Parallel()
	lines := map[string]int{}
	for _, file := range sourceFiles(t) {
		if !file.test && isProduct(file.folder) {
			lines[file.folder] += file.lines
		}
	}
	if len(lines) < 20 {
		t.Fatalf("only %d packages were found", len(lines))
	}
	for _, folder := range slices.Sorted(maps.Keys(lines)) {
		limit := maxPackageLines
		if folder == "fapi" {
			limit = maxServerLines
		}
		if lines[folder] > limit {
			t.Errorf("%s has %d lines without tests, more than %d: part it", folder, lines[folder], limit)
		}
	}
}

// TestRoomSizes: no file in the rooms of fapi has more than 400 lines.
func TestRoomSizes(t *testing.T) {
	t.Parallel()
	for _, file := range sourceFiles(t) {
		if strings.HasPrefix(file.folder+"/", "fapi/") && file.lines > maxRoomLines {
			t.Errorf("%s has %d lines, more than %d: part it by subject", file.name, file.lines, maxRoomLines)
		}
	}
}
