package arch

import (
	"errors"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// public are the packages that others may import: whatever their exported names mention, an importer can name too.
func public() []string {
	return []string{
		"ciba", "dpop", "jar", "mtls", "mtls/dn", "rp/client", "rs", "rs/grpcauth", "rs/sqlreplay", "signer",
		"signer/crypto11", "signer/pkcs11", "signer/pkcs11/attest", "signer/pkcs11/rfc7512", "signer/signertest",
		"signer/soft", "softhsm",
		"store", "store/postgres", "store/sqlite", "store/storetest",
	}
}

// TestExportedNames type-checks the exported names of the public packages and refuses types of internal packages in them.
func TestExportedNames(t *testing.T) {
	sources := newSources("../..")
	for _, name := range public() {
		t.Run(name, func(t *testing.T) {
			checked, err := sources.Import("countersign/" + name)
			if err != nil {
				t.Fatal(err)
			}
			for _, each := range internalMentions(checked) {
				t.Error(each)
			}
		})
	}
}

// TestExportedNamesFinds: the test above finds what it is for, wherever it is.
func TestExportedNamesFinds(t *testing.T) {
	for name, source := range map[string]string{
		"a parameter":                `func F(k jose.Key) {}`,
		"a result":                   `func F() (*jose.Token, error) { return nil, nil }`,
		"a variable":                 `var V = jose.NewKeySet()`,
		"a field":                    `type T struct{ Keys []jose.Key }`,
		"a field of a callback":      `type T struct{ Verify func(*jose.Token) error }`,
		"an embedded type":           `type T struct{ jose.Key }`,
		"an alias":                   `type T = jose.Key`,
		"a type made of it":          `type T map[string]jose.Key`,
		"a method":                   `type T struct{}; func (*T) Key() jose.Key { return jose.Key{} }`,
		"a method of an interface":   `type T interface{ Key() jose.Key }`,
		"a hidden type that is seen": `type hidden struct{ Key jose.Key }; func F() hidden { return hidden{} }`,
		"a constraint":               `func F[K interface{ ~[]jose.Key }](K) {}`,
		"an argument of a type":      `type G[K any] struct{ hidden K }; type T struct{ Keys G[jose.Key] }`,
	} {
		t.Run(name, func(t *testing.T) {
			if found := internalMentions(checkSource(t, source)); len(found) != 1 {
				t.Errorf("found %q", found)
			}
		})
	}
	t.Run("what is hidden is hidden", func(t *testing.T) {
		hidden := `type T struct{ key jose.Key }; func (t T) own() jose.Key { return t.key }; func f(jose.Key) {}; type u struct{ Key jose.Key }`
		if found := internalMentions(checkSource(t, hidden)); len(found) != 0 {
			t.Errorf("found %q", found)
		}
	})
}

func checkSource(t *testing.T, source string) *types.Package {
	t.Helper()
	sources := newSources("../..")
	file, err := parser.ParseFile(sources.files, "p.go", "package p\nimport \"countersign/internal/jose\"\n"+source, 0)
	if err != nil {
		t.Fatal(err)
	}
	return sources.check("countersign/p", []*ast.File{file})
}

// internalMentions lists the exported names of a package whose types mention an internal one.
func internalMentions(checked *types.Package) []string {
	var found []string
	scope := checked.Scope()
	for _, name := range scope.Names() {
		if object := scope.Lookup(name); object.Exported() {
			v := visitor{own: checked, seen: map[types.Type]bool{}}
			v.visit(object.Type())
			if v.found != "" {
				found = append(found, checked.Path()+"."+name+" mentions "+v.found)
			}
		}
	}
	return found
}

// visitor walks over what an importer sees of a type.
type visitor struct {
	own   *types.Package
	seen  map[types.Type]bool
	found string
}

func (v *visitor) visit(t types.Type) {
	if t == nil || v.seen[t] {
		return
	}
	v.seen[t] = true
	switch t := t.(type) {
	case *types.Alias:
		v.visit(types.Unalias(t))
	case *types.Named:
		v.named(t)
	case *types.Struct:
		for field := range t.Fields() {
			if field.Exported() {
				v.visit(field.Type())
			}
		}
	case *types.Interface:
		for method := range t.ExplicitMethods() {
			v.method(method)
		}
		for embedded := range t.EmbeddedTypes() {
			v.visit(embedded)
		}
	case *types.Signature:
		for parameter := range t.TypeParams().TypeParams() {
			v.visit(parameter.Constraint())
		}
		v.visit(t.Params())
		v.visit(t.Results())
	case *types.Tuple:
		for each := range t.Variables() {
			v.visit(each.Type())
		}
	case *types.Union:
		for term := range t.Terms() {
			v.visit(term.Type())
		}
	case *types.Map:
		v.visit(t.Key())
		v.visit(t.Elem())
	case interface{ Elem() types.Type }: // pointers, slices, arrays, channels
		v.visit(t.Elem())
	}
}

// named looks into the package's own types; those of others are theirs to answer for.
func (v *visitor) named(t *types.Named) {
	for argument := range t.TypeArgs().Types() {
		v.visit(argument)
	}
	from := t.Obj().Pkg()
	if from == nil {
		return
	}
	if strings.Contains(from.Path()+"/", "/internal/") {
		v.found = from.Path() + "." + t.Obj().Name()
	}
	if from != v.own {
		return
	}
	for parameter := range t.TypeParams().TypeParams() {
		v.visit(parameter.Constraint())
	}
	v.visit(t.Underlying())
	for method := range t.Methods() {
		v.method(method)
	}
}

func (v *visitor) method(method *types.Func) {
	if method.Exported() {
		v.visit(method.Type())
	}
}

// sources type-checks this module's packages. It does not ask the go command, whose answer
// go test would not know to be stale; packages of others stay unknown, and their types invalid.
type sources struct {
	root    string
	files   *token.FileSet
	checked map[string]*types.Package
	parsed  map[string][]*ast.File
	// info, if set, has the bodies of functions checked too, and what they use noted.
	info *types.Info
}

func newSources(root string) *sources {
	return &sources{root: root, files: token.NewFileSet(), checked: map[string]*types.Package{}, parsed: map[string][]*ast.File{}}
}

var errNotOurs = errors.New("not a package of this module")

// Import implements types.Importer.
func (s *sources) Import(path string) (*types.Package, error) {
	folder, ours := strings.CutPrefix(path, "countersign/")
	if !ours {
		return nil, errNotOurs
	}
	if checked, ok := s.checked[path]; ok {
		return checked, nil
	}
	folder = filepath.Join(s.root, filepath.FromSlash(folder))
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		if fits, err := build.Default.MatchFile(folder, name); err != nil || !fits {
			continue
		}
		file, err := parser.ParseFile(s.files, filepath.Join(folder, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	s.parsed[path] = files
	s.checked[path] = s.check(path, files)
	return s.checked[path], nil
}

func (s *sources) check(path string, files []*ast.File) *types.Package {
	config := types.Config{
		Importer: s, FakeImportC: true, IgnoreFuncBodies: s.info == nil,
		Error: func(error) {}, // packages of others are unknown: what is known of the types is enough
	}
	checked, _ := config.Check(path, s.files, files, s.info)
	return checked
}
