package arch

import (
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
	"bench":                        {"internal/jose", "internal/pgproxy"},
	"bench/torture":                {"bench/torture/history", "store", "store/postgres", "store/sqlite"},
	"bench/torture/history":        {},
	"bench/signer":                 {"signer", "signer/pkcs11", "softhsm"},
	"ciba":                         {"store", "internal/jose"},
	"jar":                          {"signer", "internal/jose"},
	"dpop":                         {"internal/jose"},
	"mtls":                         {},
	"signer":                       {},
	"signer/pkcs11":                {"signer"},
	"signer/crypto11":              {"signer", "signer/pkcs11"},
	"signer/soft":                  {"signer", "signer/pkcs11"},
	"signer/signertest":            {"signer", "signer/pkcs11"},
	"store":                        {},
	"store/internal/backend":       {"store"},
	"store/sqlite":                 {"store", "store/internal/backend"},
	"store/postgres":               {"store", "store/internal/backend"},
	"store/storetest":              {"store"},
	"softhsm":                      {},
	"conformance":                  {},
	"conformance/ingress":          {"internal/proxies"},
	"examples/bankapp":             {},
	"internal/arch":                {},
	"internal/audit":               {"internal/jose"},
	"internal/auditlog":            {"signer", "store", "internal/audit", "internal/jose"},
	"internal/browsertest":         {},
	"internal/checklist":           {},
	"internal/checklist/generate":  {"internal/checklist"},
	"internal/config":              {},
	"internal/demo":                {"internal/jose"},
	"internal/directory":           {"store"},
	"internal/httpsig":             {},
	"internal/jose":                {},
	"internal/limit":               {},
	"internal/module":              {},
	"internal/oauth":               {},
	"internal/outbound":            {},
	"internal/pages":               {"fapi", "internal/oauth"},
	"internal/passkey":             {"internal/jose"},
	"internal/passkey/passkeytest": {},
	"internal/peers":               {},
	"internal/pgproxy":             {},
	"internal/postgrestest":        {},
	"internal/proxies":             {},
	"internal/telemetry":           {},
}

// onlyImporter names, for a module, the only packages that may import it.
var onlyImporter = map[string][]string{
	"github.com/go-jose/go-jose":      {"internal/jose"},
	"github.com/miekg/pkcs11":         {"signer/pkcs11"},
	"github.com/ThalesGroup/crypto11": {"signer/crypto11", "bench/signer"},
	"github.com/jackc/pgx":            {"store/postgres", "internal/postgrestest"},
	"github.com/mattn/go-sqlite3":     {"store/sqlite"},
	"github.com/go-webauthn/webauthn": {"internal/passkey"},
	"go.opentelemetry.io/otel/sdk":    {"internal/telemetry"},
	"C":                               {"signer/pkcs11"},
	"unsafe":                          {"signer/pkcs11"},
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
	{"InsecureSkipVerify", []string{"conformance", "store/postgres"}, "certificates are always verified; conformance pins the suite's own on loopback, store/postgres refuses a URL that asks for it"},
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
