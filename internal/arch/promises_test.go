package arch

import (
	"go/ast"
	"go/types"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// typed is the whole module, type-checked once with the bodies of functions: what docs/architecture.md promises is asked of
// the code by its types, and not of its words.
var typed = sync.OnceValues(func() (*sources, error) {
	tree, err := Read("../..")
	if err != nil {
		return nil, err
	}
	s := newSources("../..")
	s.info = &types.Info{
		Uses: map[*ast.Ident]types.Object{}, Types: map[ast.Expr]types.TypeAndValue{},
		Selections: map[*ast.SelectorExpr]*types.Selection{},
	}
	for folder, source := range tree.Sources {
		if !source.HasCode {
			continue
		}
		if _, err := s.Import("countersign/" + folder); err != nil {
			return nil, err
		}
	}
	return s, nil
})

func typedModule(t *testing.T) *sources {
	t.Helper()
	s, err := typed()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// visit calls back for every node of the module, with the function that it is in: "fapi/endpoint.Refuse".
func (s *sources) visit(each func(in string, node ast.Node)) {
	for name, files := range s.parsed {
		folder := strings.TrimPrefix(name, "countersign/")
		for _, file := range files {
			for _, declaration := range file.Decls {
				in := folder
				if function, ok := declaration.(*ast.FuncDecl); ok {
					in += "." + functionName(function)
				}
				ast.Inspect(declaration, func(node ast.Node) bool {
					if node != nil {
						each(in, node)
					}
					return true
				})
			}
		}
	}
}

// functionName is a function's name, behind that of its receiver's type.
func functionName(function *ast.FuncDecl) string {
	if function.Recv == nil {
		return function.Name.Name
	}
	receiver := function.Recv.List[0].Type
	if pointer, ok := receiver.(*ast.StarExpr); ok {
		receiver = pointer.X
	}
	if named, ok := receiver.(*ast.Ident); ok {
		return named.Name + "." + function.Name.Name
	}
	return function.Name.Name
}

// usersOf are the functions that use an object of a package, such as "Write" or, for a method, "Event.Write".
func (s *sources) usersOf(t *testing.T, folder, name string) []string {
	t.Helper()
	checked := s.checked["countersign/"+folder]
	if checked == nil {
		t.Fatalf("there is no package %s", folder)
	}
	owner, method, isMethod := strings.Cut(name, ".")
	object := checked.Scope().Lookup(owner)
	if isMethod && object != nil {
		object, _, _ = types.LookupFieldOrMethod(object.Type(), true, checked, method)
	}
	if object == nil {
		t.Fatalf("package %s has no %s", folder, name)
	}
	found := map[string]bool{}
	s.visit(func(in string, node ast.Node) {
		if identifier, ok := node.(*ast.Ident); ok && s.info.Uses[identifier] == object {
			found[in] = true
		}
	})
	return slices.Sorted(maps.Keys(found))
}

// TestErrorRendering: an error that a handler returns is rendered in one of three ways, and each has one way in. What
// stands in front of the endpoints, or behind a page that cannot be made, writes an error as the endpoints do.
func TestErrorRendering(t *testing.T) {
	s := typedModule(t)
	for _, want := range []struct {
		folder, name string
		users        []string
	}{
		// To a client: JSON. Event.Write chooses the form of the route; what has no route writes the usual one.
		{"internal/oauth", "Write", []string{"fapi/event.Event.Write", "internal/issuing.unavailable", "internal/pages.Layout.Render", "internal/pages.Pages.renderFrame", "internal/serve.guardCertificates"}},
		{"internal/oauth", "WriteBare", []string{"fapi/event.Event.Write"}},
		{"fapi/event", "Event.Write", []string{"fapi/endpoint.Refuse", "fapi/event.Guard.Wrap"}},
		// To a user: the error page.
		{"fapi/browser", "ErrorPage.Fail", []string{"fapi/authorize.Forms.Fail", "fapi/browser.ShowError"}},
		{"fapi/browser", "ShowError", []string{
			"fapi/account.Handler.page", "fapi/authorize.Forms.failInternally", "fapi/authorize.Forms.press", "fapi/authorize.Handler.showError",
			"fapi/browser.Timely", "fapi/device.Handler.page", "fapi/logout.Handler.showError", "fapi/upstream.Handler.showError",
		}},
	} {
		users := slices.DeleteFunc(s.usersOf(t, want.folder, want.name), isTestSupport)
		if !slices.Equal(users, want.users) {
			t.Errorf("%s.%s is used by\n%q, and should be by\n%q", want.folder, want.name, users, want.users)
		}
	}
	// To a client behind a browser: the parameter error of a redirect.
	s.visit(func(in string, node ast.Node) {
		if !strings.HasPrefix(in, "fapi/") || isTestSupport(in) || !isURLValues(node) {
			return
		}
		for _, element := range node.(*ast.CompositeLit).Elts {
			pair, ok := element.(*ast.KeyValueExpr)
			if !ok {
				continue
			}
			if key, ok := pair.Key.(*ast.BasicLit); ok && key.Value == `"error"` && in != "fapi/authorize.Handler.redirectError" {
				t.Errorf("%s puts an error into an address: Handler.redirectError of fapi/authorize does", in)
			}
		}
	})
}

func isTestSupport(in string) bool { return strings.HasPrefix(in, "fapi/fapitest.") }

// isURLValues reports whether a node is written url.Values{...}; net/url itself is not type-checked.
func isURLValues(node ast.Node) bool {
	literal, ok := node.(*ast.CompositeLit)
	if !ok {
		return false
	}
	selector, ok := literal.Type.(*ast.SelectorExpr)
	if !ok || selector.Sel.Name != "Values" {
		return false
	}
	of, ok := selector.X.(*ast.Ident)
	return ok && of.Name == "url"
}

// TestStatusWriters: nothing else in the server can answer with an error, because nothing else writes a status.
func TestStatusWriters(t *testing.T) {
	want := map[string]string{
		"internal/oauth.write":                "errors, as JSON",
		"fapi/browser.SeeOther":               "redirects",
		"fapi/endpoint.Answer.Write":          "answers to clients",
		"fapi/endpoint.WriteJSON":             "answers to clients",
		"fapi/event.statusWriter.WriteHeader": "passes on",
		"fapi/health.write":                   "health",
		"fapi/registration.Handler.delete":    "204 without a body",
		"fapi/resource.Handler.serveSigned":   "a signed answer, which waited for its signature",
		"internal/pages.Layout.Render":        "pages of operators",
		"internal/pages.Pages.renderFrame":    "pages, that of errors too",
	}
	used := map[string]bool{}
	typedModule(t).visit(func(in string, node ast.Node) {
		call, ok := node.(*ast.CallExpr)
		if !ok || isTestSupport(in) || !strings.HasPrefix(in, "fapi") && !strings.HasPrefix(in, "internal/oauth.") && !strings.HasPrefix(in, "internal/pages.") {
			return
		}
		if selector, ok := call.Fun.(*ast.SelectorExpr); ok && selector.Sel.Name == "WriteHeader" {
			used[in] = true
			if want[in] == "" {
				t.Errorf("%s writes a status: answer with endpoint.Refuse, endpoint.Answer or endpoint.WriteJSON", in)
			}
		}
	})
	for in := range want {
		if !used[in] {
			t.Errorf("%s does not write a status any more: remove it here", in)
		}
	}
}

// TestNarrowStores: only fapi, which wires them, has the whole store. An endpoint holds the verbs that it uses, so that a
// reader of its struct knows what it can change.
func TestNarrowStores(t *testing.T) {
	for _, user := range typedModule(t).usersOf(t, "store", "Store") {
		if strings.HasPrefix(user, "fapi/") && !strings.HasPrefix(user, "fapi/fapitest") {
			t.Errorf("%s uses store.Store: take the group of verbs, or an interface of those that it uses", user)
		}
	}
}

// TestProofTypes: what shows that checking came first is made in one place.
func TestProofTypes(t *testing.T) {
	s := typedModule(t)
	for name, maker := range map[string]string{
		"fapi/tokens.Validated":   "fapi/tokens.Issuer.Validate",
		"fapi/authorize.approved": "fapi/authorize.Handler.satisfied",
		"fapi/endpoint.Call":      "fapi/endpoint.BackChannel.newCall",
	} {
		makers := map[string]bool{}
		s.visit(func(in string, node ast.Node) {
			literal, ok := node.(*ast.CompositeLit)
			if !ok || len(literal.Elts) == 0 { // an empty one proves nothing, and is refused
				return
			}
			if named, ok := s.info.Types[literal].Type.(*types.Named); ok && named.Obj().Pkg() != nil {
				if strings.TrimPrefix(named.Obj().Pkg().Path(), "countersign/")+"."+named.Obj().Name() == name {
					makers[in] = true
				}
			}
		})
		if got := slices.Sorted(maps.Keys(makers)); !slices.Equal(got, []string{maker}) {
			t.Errorf("%s is made by %q, and should be by %s only", name, got, maker)
		}
	}
}

// TestSigningDemandsProof: who signs or grants takes the proof as an argument.
func TestSigningDemandsProof(t *testing.T) {
	s := typedModule(t)
	for _, want := range []struct{ folder, name, proof string }{
		{"fapi/tokens", "Issuer.AccessToken", "Validated"},
		{"fapi/tokens", "Issuer.IDToken", "Validated"},
		{"fapi/authorize", "Handler.grant", "approved"},
	} {
		owner, method, _ := strings.Cut(want.name, ".")
		checked := s.checked["countersign/"+want.folder]
		object, _, _ := types.LookupFieldOrMethod(checked.Scope().Lookup(owner).Type(), true, checked, method)
		demands := false
		if function, ok := object.(*types.Func); ok {
			for parameter := range function.Signature().Params().Variables() {
				named, ok := parameter.Type().(*types.Named)
				demands = demands || ok && named.Obj().Name() == want.proof
			}
		}
		if !demands {
			t.Errorf("%s.%s does not demand a value of type %s", want.folder, want.name, want.proof)
		}
	}
}
