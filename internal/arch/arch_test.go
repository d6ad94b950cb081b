package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// onlyImporter names, for a module, the only packages that may import it.
var onlyImporter = map[string][]string{
	"github.com/go-jose/go-jose":      {"internal/jose", "internal/strictjson"},
	"github.com/miekg/pkcs11":         {"signer/pkcs11/internal/token"},
	"github.com/ThalesGroup/crypto11": {"signer/crypto11", "bench/signer"},
	"github.com/jackc/pgx": {
		"store/postgres", "store/postgres/internal/account", "store/postgres/internal/allowance", "store/postgres/internal/approvals", "store/postgres/internal/auditlog", "store/postgres/internal/consents",
		"store/postgres/internal/directories", "store/postgres/internal/figures", "store/postgres/internal/fill", "store/postgres/internal/handoffs", "store/postgres/internal/keys", "store/postgres/internal/listener", "store/postgres/internal/lists",
		"store/postgres/internal/managed", "store/postgres/internal/named", "store/postgres/internal/outbox", "store/postgres/internal/partition", "store/postgres/internal/pipeline",
		"store/postgres/internal/pool",
		"store/postgres/internal/purge", "store/postgres/internal/signout", "internal/postgrestest",
	},
	"github.com/mattn/go-sqlite3":     {"store/sqlite/internal/connection"},
	"github.com/go-webauthn/webauthn": {"internal/passkey"},
	"go.opentelemetry.io/otel/sdk":    {"internal/telemetry", "internal/metrics", "fapi/fapitest"},
	"github.com/prometheus":           {"internal/metrics"},
	"C":                               {"signer/pkcs11/internal/token"},
	"unsafe":                          {"signer/pkcs11/internal/token"},
}

// TestImports holds every package to its line of the table, in both directions.
func TestImports(t *testing.T) {
	tree := readTree(t)
	for folder, source := range tree.Sources {
		if !source.HasCode {
			continue
		}
		ours := tree.Ours(source.Imports)
		line, known := Lookup(folder)
		if !known {
			t.Errorf("%s is not in the import table; as it is, its line would be\n\t{%q, []string{%s}},", folder, folder, quoted(ours))
			continue
		}
		for _, imported := range ours {
			if !slices.Contains(line.Imports, imported) && !slices.Contains(line.Imports, Everything) {
				t.Errorf("%s imports %s, which the table does not allow", folder, imported)
			}
			if top, _, _ := strings.Cut(imported, "/"); isProduct(folder) && slices.Contains(tools, top) {
				t.Errorf("%s imports %s, which is no product: what both need is a package below internal", folder, imported)
			}
		}
		for i, allowed := range line.Imports {
			if allowed != Everything && !slices.Contains(ours, allowed) {
				t.Errorf("the table lets %s import %s, which it does not: remove that", folder, allowed)
			}
			if slices.Contains(line.Imports[:i], allowed) {
				t.Errorf("the table lets %s import %s twice", folder, allowed)
			}
		}
	}
	seen := map[string]bool{}
	for _, group := range Table() {
		for _, line := range group.Packages {
			if source := tree.Sources[line.Path]; source == nil || !source.HasCode {
				t.Errorf("the import table names %s, which holds no code", line.Path)
			}
			if seen[line.Path] {
				t.Errorf("the import table names %s twice", line.Path)
			}
			seen[line.Path] = true
			if slices.Contains(line.Imports, Everything) && line.Path != Binary {
				t.Errorf("%s may import everything: only the wiring of the binary may", line.Path)
			}
		}
	}
}

// TestMakefileSources: make builds the binary anew when a file changes that it is made of.
func TestMakefileSources(t *testing.T) {
	makefile := read(t, "../../Makefile")
	_, after, _ := strings.Cut(makefile, "$(shell find ")
	folders, _, found := strings.Cut(after, " -type f")
	if !found {
		t.Fatal("the Makefile has no list of folders that the binary is made of")
	}
	watched := strings.Fields(folders)
	for folder := range readTree(t).Reachable(Binary) {
		if top, _, _ := strings.Cut(folder, "/"); !slices.Contains(watched, top) {
			t.Errorf("the binary is made of %s too: name %s in SOURCES of the Makefile", folder, top)
		}
	}
}

func quoted(all []string) string {
	var words []string
	for _, each := range all {
		words = append(words, strconv.Quote(each))
	}
	return strings.Join(words, ", ")
}

// TestOnlyImporter: some modules have one owner.
func TestOnlyImporter(t *testing.T) {
	for folder, source := range readTree(t).Sources {
		for module, importers := range onlyImporter {
			for _, name := range source.Imports {
				if (name == module || strings.HasPrefix(name, module+"/")) && !slices.Contains(importers, folder) {
					t.Errorf("%s imports %s, which only %s may", folder, name, strings.Join(importers, ", "))
				}
			}
		}
	}
}

// TestOwns: every package says in the first sentence of its comment what it is for.
func TestOwns(t *testing.T) {
	for folder, source := range readTree(t).Sources {
		if source.HasCode && source.Owns == "" {
			t.Errorf("%s has no package comment", folder)
		}
	}
}

// TestGenerated: what is generated is what the tree gives.
func TestGenerated(t *testing.T) {
	made, err := Generated("../..")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range made {
		got, err := os.ReadFile(filepath.Join("../..", path))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is out of date: go run ./internal/arch/generate", path)
		}
	}
}

func readTree(t *testing.T) *Tree {
	t.Helper()
	tree, err := Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// forbidden are calls that have one right place, which is not where they are found.
var forbidden = []struct {
	call  string
	where []string // the folders in which it is right
	why   string
}{
	{"http.Error(", nil, "errors leave by internal/oauth or by a page"},
	{"http.DefaultClient", nil, "it has no time-out"},
	{"http.Get(", nil, "it has no time-out"},
	{`"math/rand`, []string{"bench/load"}, "randomness is crypto/rand's; bench/load repeats its arrivals by a seed"},
	{"profile.Name ==", nil, "ask what a profile requires, not which one it is"},
	{"Profile.Name ==", nil, "ask what a profile requires, not which one it is"},
	{"InsecureSkipVerify", []string{"conformance/suite", "rp/internal/exchange", "store/postgres/internal/pool"}, "certificates are always verified; conformance pins the suite's own on loopback, store/postgres/internal/pool and rp/internal/exchange refuse who asks for it"},
	{"StatusTemporaryRedirect", nil, "307 repeats a form with a password; 303 does not"},
}

func TestForbiddenCalls(t *testing.T) {
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		folder := filepath.ToSlash(strings.TrimPrefix(filepath.Dir(path), "../../"))
		for _, rule := range forbidden {
			if strings.Contains(string(source), rule.call) && !slices.Contains(rule.where, folder) {
				t.Errorf("%s holds %s: %s", path, rule.call, rule.why)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// systemClock are the functions of package time that read the clock of the system, or wait by it in a way that nothing can
// stop. Timers and tickers are no clock: they say when to look, not what time it is.
var systemClock = []string{"Now", "Since", "Until", "After", "Tick"}

// ownClock names the folders and files that may use them, with the reason. Everything else gets its clock from its caller,
// or defaults a nil one in its constructor: if config.Now == nil { config.Now = time.Now }.
var ownClock = map[string]string{
	"bench":                                  "measures the time that things take",
	"cmd/countersign/main.go":                "the wiring: the clock of everything else comes from here",
	"conformance":                            "runs beside the suite, by the system's clock",
	"examples":                               "a client of its own",
	"fapi/fapitest":                          "for tests: a world with real servers",
	"internal/demo":                          "a client of its own, run by a user",
	"internal/postgrestest":                  "for tests: waits for a real server",
	"internal/proxies":                       "for tests: waits for a real server",
	"internal/devsetup/setuptest":            "for tests: an installation beside real processes",
	"internal/vulncheck/main.go":             "the wiring of the check of vulnerabilities",
	"rp/client/providertest":                 "for tests: a provider with real TLS",
	"store/storetest":                        "for tests: processes share the system's clock",
	"signer/pkcs11/internal/worker/serve.go": "the wiring of the worker process",
}

// TestOneClock: time is injected, so that tests can move it and all parts of one decision see one time.
func TestOneClock(t *testing.T) {
	used := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(path, "../../"))
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, call := range clockReads(file) {
			if except := exception(name); except != "" {
				used[except] = true
				continue
			}
			t.Errorf("%s:%d uses time.%s: take the clock from the caller", name, files.Position(call.Pos()).Line, call.Sel.Name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range ownClock {
		if _, err := os.Stat("../../" + name); err == nil && !used[name] {
			t.Errorf("%s does not use the system's clock any more: remove the exception", name)
		}
	}
}

// exception finds the most special exception for a file.
func exception(name string) string {
	for at := name; at != "."; at = filepath.ToSlash(filepath.Dir(at)) {
		if _, ok := ownClock[at]; ok {
			return at
		}
	}
	return ""
}

// clockReads lists the uses of systemClock in a file, but for defaults of a nil clock.
func clockReads(file *ast.File) []*ast.SelectorExpr {
	var reads []*ast.SelectorExpr
	defaults := map[ast.Expr]bool{}
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.IfStmt:
			if value := defaultOfNil(node); value != nil {
				defaults[value] = true
			}
		case *ast.SelectorExpr:
			if of, ok := node.X.(*ast.Ident); ok && of.Name == "time" && slices.Contains(systemClock, node.Sel.Name) && !defaults[node] {
				reads = append(reads, node)
			}
		}
		return true
	})
	return reads
}

// defaultOfNil is the value in: if x == nil { x = value }.
func defaultOfNil(statement *ast.IfStmt) ast.Expr {
	condition, ok := statement.Cond.(*ast.BinaryExpr)
	if !ok || condition.Op != token.EQL || len(statement.Body.List) != 1 {
		return nil
	}
	none, ok := condition.Y.(*ast.Ident)
	if !ok || none.Name != "nil" {
		return nil
	}
	assignment, ok := statement.Body.List[0].(*ast.AssignStmt)
	if !ok || len(assignment.Rhs) != 1 {
		return nil
	}
	return assignment.Rhs[0]
}
