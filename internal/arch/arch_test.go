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

// allowed is the import table: which packages of ours a package may import, tests aside. A package that is missing
// here fails the test: a new package needs a line, and with it a thought.
var allowed = map[string][]string{
	"cmd/countersign":              {"*"},
	"fapi":                         {"ciba", "dpop", "jar", "mtls", "signer", "store", "internal/audit", "internal/httpsig", "internal/jose", "internal/limit", "internal/oauth", "internal/outbound", "internal/passkey"},
	"bench":                        {"bench/chart", "bench/servers", "internal/flowclient", "internal/pgproxy"},
	"bench/chart":                  {},
	"bench/servers":                {"internal/flowclient", "internal/jose"},
	"bench/torture":                {"bench/chart", "bench/servers", "bench/torture/history", "internal/flowclient", "internal/jose", "store", "store/postgres", "store/sqlite"},
	"bench/torture/history":        {},
	"bench/signer":                 {"signer", "signer/pkcs11", "softhsm"},
	"ciba":                         {"jar", "internal/jose", "internal/requestobject"},
	"jar":                          {"internal/jose", "internal/requestobject"},
	"dpop":                         {"internal/jose"},
	"mtls":                         {},
	"signer":                       {"internal/jose"},
	"signer/crypto11":              {"signer", "signer/pkcs11"},
	"signer/soft":                  {"signer", "signer/pkcs11"},
	"signer/signertest":            {"signer", "signer/pkcs11"},
	"store":                        {},
	"store/internal/backend":       {"store"},
	"store/storetest":              {"store"},
	"softhsm":                      {},
	"conformance":                  {"internal/flowclient", "internal/jose"},
	"conformance/ingress":          {"internal/proxies"},
	"examples/bankapp":             {},
	"internal/admin":               {"fapi", "store", "internal/audit", "internal/directory", "internal/jose"},
	"internal/arch":                {},
	"internal/audit":               {"internal/jose"},
	"internal/auditlog":            {"signer", "store", "internal/audit", "internal/jose"},
	"internal/browsertest":         {},
	"internal/buildinfo":           {},
	"internal/ceremony":            {"signer", "signer/pkcs11", "store", "internal/config", "internal/console", "internal/hsm", "internal/jose"},
	"internal/checklist":           {},
	"internal/checklist/generate":  {"internal/checklist"},
	"internal/config":              {},
	"internal/console":             {},
	"internal/database":            {"store", "store/postgres", "store/sqlite", "internal/config"},
	"internal/demo":                {"internal/jose"},
	"internal/devsetup":            {"ciba", "signer", "signer/pkcs11", "softhsm", "store", "internal/admin", "internal/ceremony", "internal/config", "internal/database", "internal/hsm", "internal/jose"},
	"internal/devsetup/setuptest":  {"internal/config", "internal/devsetup"},
	"internal/directory":           {"store"},
	"internal/doctor":              {"mtls", "signer", "store", "internal/admin", "internal/buildinfo", "internal/ceremony", "internal/config", "internal/console", "internal/database", "internal/hsm", "internal/serve"},
	"internal/hsm":                 {"signer", "signer/crypto11", "signer/pkcs11", "signer/soft", "store", "internal/config"},
	"internal/flowclient":          {"internal/jose"},
	"internal/httpsig":             {},
	"internal/jose":                {},
	"internal/limit":               {},
	"internal/oauth":               {},
	"internal/outbound":            {},
	"internal/pages":               {"fapi", "internal/oauth"},
	"internal/passkey":             {"internal/jose"},
	"internal/passkey/passkeytest": {},
	"internal/peers":               {},
	"internal/pgproxy":             {},
	"internal/postgrestest":        {},
	"internal/proxies":             {},
	"internal/requestobject":       {"internal/jose"},
	"internal/serve":               {"ciba", "fapi", "mtls", "store", "internal/admin", "internal/audit", "internal/auditlog", "internal/ceremony", "internal/config", "internal/database", "internal/directory", "internal/hsm", "internal/jose", "internal/limit", "internal/oauth", "internal/outbound", "internal/pages", "internal/telemetry"},
	"internal/telemetry":           {},

	"signer/pkcs11": {
		"signer", "signer/pkcs11/attest", "signer/pkcs11/rfc7512", "signer/pkcs11/internal/pin", "signer/pkcs11/internal/token",
		"signer/pkcs11/internal/wire", "signer/pkcs11/internal/worker",
	},
	"signer/pkcs11/attest":       {"signer"},
	"signer/pkcs11/rfc7512":      {},
	"signer/pkcs11/internal/pin": {"signer/pkcs11/internal/wire"},
	"signer/pkcs11/internal/token": {
		"signer", "signer/pkcs11/attest", "signer/pkcs11/rfc7512", "signer/pkcs11/internal/pin", "signer/pkcs11/internal/wire",
	},
	"signer/pkcs11/internal/wire":   {"signer"},
	"signer/pkcs11/internal/worker": {"signer/pkcs11/attest", "signer/pkcs11/internal/token", "signer/pkcs11/internal/wire"},

	"store/postgres": {
		"store", "store/internal/backend", "store/postgres/internal/fill", "store/postgres/internal/partition", "store/postgres/internal/pool",
	},
	"store/postgres/internal/fill":      {"store", "store/internal/backend"},
	"store/postgres/internal/partition": {},
	"store/postgres/internal/pool":      {"store", "store/internal/backend"},
	"store/sqlite":                      {"store", "store/internal/backend", "store/sqlite/internal/connection", "store/sqlite/internal/dbfile"},
	"store/sqlite/internal/connection":  {"store", "store/internal/backend"},
	"store/sqlite/internal/dbfile":      {"store", "store/internal/backend", "store/sqlite/internal/connection"},
}

// onlyImporter names, for a module, the only packages that may import it.
var onlyImporter = map[string][]string{
	"github.com/go-jose/go-jose":      {"internal/jose"},
	"github.com/miekg/pkcs11":         {"signer/pkcs11/internal/token"},
	"github.com/ThalesGroup/crypto11": {"signer/crypto11", "bench/signer"},
	"github.com/jackc/pgx":            {"store/postgres", "store/postgres/internal/fill", "store/postgres/internal/partition", "store/postgres/internal/pool", "internal/postgrestest"},
	"github.com/mattn/go-sqlite3":     {"store/sqlite/internal/connection"},
	"github.com/go-webauthn/webauthn": {"internal/passkey"},
	"go.opentelemetry.io/otel/sdk":    {"internal/telemetry"},
	"C":                               {"signer/pkcs11/internal/token"},
	"unsafe":                          {"signer/pkcs11/internal/token"},
}

// TestImports parses every file in this process. It does not ask the go command, whose answer go test would not
// know to be stale.
func TestImports(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "local" || entry.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		folder = filepath.ToSlash(folder)
		seen[folder] = true
		checkFile(t, folder, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for folder := range allowed {
		if !seen[folder] {
			t.Errorf("the import table names %s, which holds no code", folder)
		}
	}
}

func checkFile(t *testing.T, folder, path string) {
	t.Helper()
	table, known := allowed[folder]
	if !known {
		t.Errorf("%s is not in the import table", folder)
		return
	}
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range file.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if ours, ok := strings.CutPrefix(name, "countersign/"); ok && !slices.Contains(table, "*") && !slices.Contains(table, ours) {
			t.Errorf("%s imports %s, which the table does not allow", folder, ours)
		}
		for module, importers := range onlyImporter {
			if (name == module || strings.HasPrefix(name, module+"/")) && !slices.Contains(importers, folder) {
				t.Errorf("%s imports %s, which only %s may", folder, name, strings.Join(importers, ", "))
			}
		}
	}
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
	{`"math/rand`, nil, "randomness is crypto/rand's"},
	{"profile.Name ==", nil, "ask what a profile requires, not which one it is"},
	{"Profile.Name ==", nil, "ask what a profile requires, not which one it is"},
	{"InsecureSkipVerify", []string{"conformance", "store/postgres/internal/pool"}, "certificates are always verified; conformance pins the suite's own on loopback, store/postgres/internal/pool refuses a URL that asks for it"},
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
	"bench":                   "measures the time that things take",
	"cmd/countersign/main.go": "the wiring: the clock of everything else comes from here",
	"conformance":             "runs beside the suite, by the system's clock",
	"examples":                "a client of its own",
	"fapi/fapitest":           "for tests: a world with real servers",
	"internal/demo":           "a client of its own, run by a user",
	"internal/postgrestest":   "for tests: waits for a real server",
	"internal/proxies":        "for tests: waits for a real server",
	"store/storetest":         "for tests: processes share the system's clock",

	"signer/pkcs11/internal/worker/serve.go": "the wiring of the worker process",

	// TEMPORARY, until the work that injects a clock there is merged: remove these lines then.
	"cmd/countersign": "TEMPORARY: keys_rotate, audit, audit_export, listen, doctor_ingress",
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
	for name, reason := range ownClock {
		if _, err := os.Stat("../../" + name); err == nil && !used[name] && !strings.HasPrefix(reason, "TEMPORARY") {
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

// TestDependencies: each direct dependency is defended in docs/dependencies.md.
func TestDependencies(t *testing.T) {
	module, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	reasons, err := os.ReadFile("../../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	direct, _, _ := strings.Cut(string(module), ")")
	count := 0
	for line := range strings.Lines(direct) {
		if !strings.HasPrefix(line, "\t") || strings.Contains(line, "// indirect") {
			continue
		}
		count++
		name := strings.Fields(line)[0]
		// One reason serves a family: the modules of OpenTelemetry, chromedp and its protocol.
		for _, family := range []string{"go.opentelemetry.io/otel", "github.com/chromedp"} {
			if strings.HasPrefix(name, family) {
				name = family
			}
		}
		if !strings.Contains(string(reasons), name) {
			t.Errorf("docs/dependencies.md does not say why %s is there", name)
		}
	}
	if count < 10 {
		t.Errorf("only %d direct dependencies were found: the test does not read go.mod as it is", count)
	}
}
