package main

import (
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// elsewhere is a path as a repository on a forge would have it.
const elsewhere = "elsewhere.example/org/countersign"

// public are the packages that other programs import.
var public = []string{"ciba", "dpop", "jar", "mtls", "signer", "softhsm"}

// TestRename renames a copy of this tree. All of the copy builds, another module that is pointed to it builds with the public
// packages, and renamed back it is what it was.
func TestRename(t *testing.T) {
	folder := copied(t, "../..")
	before, changed, err := Rename(folder, elsewhere)
	if err != nil || before == elsewhere || changed < 100 {
		t.Fatalf("renamed %s in %d files: %v", before, changed, err)
	}
	for _, file := range goFiles(t, folder) {
		if strings.Contains(filepath.ToSlash(file), "/testdata/") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range parsed.Imports {
			if path := strings.Trim(spec.Path.Value, `"`); path == before || strings.HasPrefix(path, before+"/") {
				t.Errorf("%s imports %s", file, path)
			}
		}
	}
	run(t, folder, "go", "list", "-export", "-deps", "-f", "", "./...") // compiles everything and links nothing
	run(t, folder, append([]string{"go", "vet", "./internal/arch"}, prefixed("./", public)...)...)
	if again, changed, err := Rename(folder, elsewhere); err != nil || again != elsewhere || changed != 0 {
		t.Errorf("renaming %s to the same changed %d files: %v", again, changed, err)
	}

	other := t.TempDir()
	module := strings.Replace(string(read(t, filepath.Join(folder, "go.mod"))), "module "+elsewhere, "module other.example", 1)
	write(t, filepath.Join(other, "go.mod"), module+"\nrequire "+elsewhere+" v0.0.0\n\nreplace "+elsewhere+" => "+folder+"\n")
	write(t, filepath.Join(other, "go.sum"), string(read(t, filepath.Join(folder, "go.sum"))))
	program := "package main\n\nimport (\n"
	for _, path := range prefixed(elsewhere+"/", public) {
		program += "\t_ \"" + path + "\"\n"
	}
	write(t, filepath.Join(other, "main.go"), program+")\n\nfunc main() {}\n")
	run(t, other, "go", "build", "-o", os.DevNull, ".")

	if back, _, err := Rename(folder, before); err != nil || back != elsewhere {
		t.Fatalf("renamed %s back: %v", back, err)
	}
	files, err := Files(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if diff := cmp.Diff(string(read(t, filepath.Join("../..", file))), string(read(t, filepath.Join(folder, file)))); diff != "" {
			t.Errorf("%s is not what it was (-before +after):\n%s", file, diff)
		}
	}
}

// TestTexts: where the name is the module's path it changes, and where it is the product's or the binary's it stays.
func TestTexts(t *testing.T) {
	r := newRenaming("product", elsewhere, []string{"fapi/server.go", "cmd/product/main.go", "docs/hsm.md"})
	for _, test := range []struct{ file, text, want string }{
		{"a.go", "import \"product/fapi\"", "import \"" + elsewhere + "/fapi\""},
		{"a.go", "`{\"Package\":\"product/fapi\"}`", "`{\"Package\":\"" + elsewhere + "/fapi\"}`"},
		{"a.go", `strings.CutPrefix(name, "product/")`, `strings.CutPrefix(name, "` + elsewhere + `/")`},
		{"a.go", `filepath.Join(cache, "product", "kryoptic")`, ""},
		{"a.go", `exec.Command("bin/product", "serve")`, ""},
		{"Makefile", "go build -ldflags '-X product/fapi.version=1' ./cmd/product", "go build -ldflags '-X " + elsewhere + "/fapi.version=1' ./cmd/product"},
		{"Makefile", "go list product/... && cat ~/product/fapi /etc/product/fapi", "go list " + elsewhere + "/... && cat ~/product/fapi /etc/product/fapi"},
		{"a.md", "run product/docs; product serves; see cmd/product/main.go", ""},
		{"a.md", "`product/fapi`, (product/cmd/product)", "`" + elsewhere + "/fapi`, (" + elsewhere + "/cmd/product)"},
		{"a.md", "go get product@latest\nrequire product v1.0.0\nreplace product => ../product\n", "go get " + elsewhere + "@latest\nrequire " + elsewhere + " v1.0.0\nreplace " + elsewhere + " => ../product\n"},
		{"a.md", "They require product to run the module product.", ""},
		{"go.mod", "module product\n\nrequire (\n\tproduct v1.0.0\n\thost.example/product v1.0.0\n)", "module " + elsewhere + "\n\nrequire (\n\t" + elsewhere + " v1.0.0\n\thost.example/product v1.0.0\n)"},
		{"a.bin", "\x00\"product/fapi\"", ""},
	} {
		if test.want == "" {
			test.want = test.text
		}
		if got := string(r.apply(test.file, []byte(test.text))); got != test.want {
			t.Errorf("%s: got\n%s\nwant\n%s", test.file, got, test.want)
		}
	}
}

func TestPaths(t *testing.T) {
	for _, path := range []string{"", "/a", "a/", "a//b", "a b", "a/../b", "https://host.example/a", "./a", "a\"b"} {
		if _, _, err := Rename("../..", path); err == nil || !strings.Contains(err.Error(), "no module path") {
			t.Fatalf("%q: %v", path, err)
		}
	}
}

func prefixed(prefix string, names []string) []string {
	var all []string
	for _, name := range names {
		all = append(all, prefix+name)
	}
	return all
}

// copied is a copy of the tree, without what is made.
func copied(t *testing.T, from string) string {
	t.Helper()
	folder := t.TempDir()
	files, err := Files(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		write(t, filepath.Join(folder, file), string(read(t, filepath.Join(from, file))))
	}
	return folder
}

func goFiles(t *testing.T, folder string) []string {
	t.Helper()
	files, err := Files(folder)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		if strings.HasSuffix(file, ".go") {
			found = append(found, filepath.Join(folder, file))
		}
	}
	return found
}

// run runs the go command with what is there: the modules were fetched for this tree.
func run(t *testing.T, folder string, command ...string) {
	t.Helper()
	c := exec.Command(command[0], command[1:]...)
	c.Dir = folder
	c.Env = append(os.Environ(), "GOFLAGS=-mod=mod -buildvcs=false", "GOWORK=off")
	if output, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, output)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
