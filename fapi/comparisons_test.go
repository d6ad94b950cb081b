package fapi_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// secretName is what a variable or member is called that holds a secret, or a code that authenticates something.
var secretName = regexp.MustCompile(`(?i)(secret|password|verifier|challenge|formtoken|form_token|handle|cookie|nonce|signature|mac|tag|jkt|thumbprint|hash|ath|pin|refreshtoken|accesstoken|initialtoken|registrationtoken|assertion)$`)

// comparison is one == or != of two values in the server's code.
type comparison struct{ file, text string }

// comparisons finds those in which a secret may be compared with another value in a time that tells where they differ.
func comparisons(t *testing.T, source string, text any) []comparison {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, source, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var found []comparison
	note := func(what string, sides ...ast.Expr) {
		for _, side := range sides {
			if harmless(side) {
				return // with "", nil, 0 or another constant nothing is to be found out
			}
		}
		for _, side := range sides {
			if secretName.MatchString(lastName(side)) {
				found = append(found, comparison{filepath.ToSlash(source), what + " of " + lastName(side)})
				return
			}
		}
	}
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.BinaryExpr:
			if node.Op == token.EQL || node.Op == token.NEQ {
				note(node.Op.String(), node.X, node.Y)
			}
		case *ast.CallExpr:
			called := lastName(node.Fun)
			if selector, ok := node.Fun.(*ast.SelectorExpr); ok && len(node.Args) == 2 {
				library := lastName(selector.X) + "." + called
				if slices.Contains([]string{"bytes.Equal", "bytes.Compare", "strings.EqualFold", "strings.Compare", "strings.HasPrefix", "slices.Contains", "reflect.DeepEqual"}, library) {
					note(library, node.Args...)
				}
			}
		case *ast.SwitchStmt:
			if node.Tag != nil {
				for _, clause := range node.Body.List {
					for _, value := range clause.(*ast.CaseClause).List {
						note("switch", node.Tag, value)
					}
				}
			}
		}
		return true
	})
	return found
}

// harmless reports whether an expression is a constant or a length.
func harmless(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.Ident:
		return e.Name == "nil" || e.Name == "true" || e.Name == "false"
	case *ast.CompositeLit:
		return len(e.Elts) == 0
	case *ast.CallExpr:
		name := lastName(e.Fun)
		return name == "len" || name == "ConstantTimeCompare"
	case *ast.ParenExpr:
		return harmless(e.X)
	}
	return false
}

// lastName is what an expression is called: the member, the variable, the parameter that is got by its name.
func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.ParenExpr:
		return lastName(e.X)
	case *ast.StarExpr:
		return lastName(e.X)
	case *ast.IndexExpr:
		return lastName(e.X)
	case *ast.SliceExpr:
		return lastName(e.X)
	case *ast.CallExpr:
		if len(e.Args) == 1 {
			if literal, ok := e.Args[0].(*ast.BasicLit); ok { // form.Get("code_verifier")
				return strings.Trim(literal.Value, `"`)
			}
			if inner := lastName(e.Args[0]); secretName.MatchString(inner) {
				return inner // a conversion, or a function of the secret
			}
		}
		return lastName(e.Fun)
	}
	return ""
}

// publicValues are comparisons of values that are no secrets, with the reason.
func publicValues() map[comparison]string {
	const grantType = "the name of the grant type refresh_token"
	const thumbprint = "a thumbprint of a public key, which is in every token that is bound to it"
	const code = "the name of a problem"
	const path = "the path of a request"
	return map[comparison]string{
		{"client/client.go", "slices.Contains of RefreshToken"}:         grantType,
		{"tokens/validate.go", "slices.Contains of RefreshToken"}:       grantType,
		{"token/code.go", "!= of JKT"}:                                  thumbprint,
		{"authorize/par.go", "!= of JKT"}:                               thumbprint,
		{"examine/signed.go", "!= of JKT"}:                              thumbprint,
		{"examine/explain.go", "switch of Assertion"}:                   "the kind of a message",
		{"../internal/presented/presented.go", "!= of jkt"}:             thumbprint,
		{"../internal/presented/presented.go", "!= of Thumbprint"}:      thumbprint,
		{"login/login.go", "slices.Contains of Thumbprint"}:             "the thumbprint of a certificate, which its holder shows to everybody",
		{"resource/resource.go", "== of Challenge"}:                     "the WWW-Authenticate header of an answer",
		{"endpoint/call.go", "!= of UseDPoPNonce"}:                      "the name of an error code",
		{"endpoint/errors.go", "switch of KindAssertion"}:               "the kind of a one-time value",
		{"endpoint/route.go", "switch of Path"}:                         path,
		{"endpoint/route.go", "== of Path"}:                             path,
		{"event/event.go", "slices.Contains of Path"}:                   path,
		{"resource/resource.go", "== of Path"}:                          path,
		{"consents/shape/request.go", "== of path"}:                     "the path of a member of a document",
		{"consents/shape/problem.go", "switch of Signature"}:            code,
		{"authorize/forms.go", "switch of WrongPassword"}:               code,
		{"../internal/pages/device.go", "switch of NoPassword"}:         code,
		{"../internal/pages/device.go", "switch of NotDecidedPassword"}: code,
		{"../internal/pages/language.go", "!= of Path"}:                 path,
		{"device/actions.go", "== of WrongPassword"}:                    code,
		{"../internal/pages/signin.go", "== of WrongPassword"}:          code,
		{"../internal/pages/signin.go", "== of NoPassword"}:             code,
		{"../internal/pages/signin.go", "switch of WrongPassword"}:      code,
	}
}

// Covers: ATTACK-46, RULE-32. Nowhere in the server is a secret compared by ==: secrets are looked up by their SHA-256, and
// what has to be compared is compared in constant time.
func TestAttack46Comparisons(t *testing.T) {
	t.Parallel()
	used, public := map[comparison]bool{}, publicValues()
	var files int
	for _, folder := range []string{".", "../dpop", "../internal/oauth", "../internal/presented", "../internal/pages", "../internal/directory", "../store"} {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() && entry.Name() == "fapitest" {
				return fs.SkipDir
			}
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files++
			for _, one := range comparisons(t, path, nil) {
				if used[one] = true; public[one] != "" {
					continue
				}
				t.Run("refuses "+one.file+": "+one.text, func(t *testing.T) {
					t.Error("a secret is compared in a time that depends on it; look it up by its digest, or use crypto/subtle")
				})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Run("accepts comparisons of what is public only", func(t *testing.T) {
		if files < 60 {
			t.Errorf("only %d files were read", files)
		}
		for one, why := range public {
			if !used[one] {
				t.Errorf("%s is not in the code any more: %s", one, why)
			}
		}
	})
	for name, code := range map[string]string{
		"of a verifier":  `form.Get("code_verifier") == code.Verifier`,
		"of a password":  `user.password != given`,
		"of bytes":       `bytes.Equal(stored.Secret, given)`,
		"in any case":    `strings.EqualFold(cookie, given)`,
		"of a prefix":    `strings.HasPrefix(given, secret)`,
		"of conversions": `string(mac) == given`,
	} {
		t.Run("refuses, for example, a comparison "+name, func(t *testing.T) {
			if len(comparisons(t, "x.go", "package x\nvar y = "+code)) != 1 {
				t.Error("it is not found")
			}
		})
	}
	for name, code := range map[string]string{"with nothing": `secret == ""`, "of lengths": `len(secret) == secretLength`, "in constant time": `subtle.ConstantTimeCompare(mac, given) == 1`} {
		t.Run("accepts, for example, a comparison "+name, func(t *testing.T) {
			if found := comparisons(t, "x.go", "package x\nvar y = "+code); len(found) != 0 {
				t.Errorf("%v", found)
			}
		})
	}
}
