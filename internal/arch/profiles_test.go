package arch

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"countersign/fapi/profile"
)

// Covers: LP-11. Policy asks the fields of a profile: no code of the server compares its name, or the name of a preset, base or
// consent API, with anything; names are for configuration, registration and the log.
func TestLP11PolicyAsksFields(t *testing.T) {
	s := typedModule(t)
	var names []string
	for _, listed := range profile.List() {
		preset, _, _ := profile.Split(listed.Name)
		names = append(names, listed.Name, listed.Base, preset)
	}
	isName := func(e ast.Expr) bool {
		if literal, ok := e.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			text, err := strconv.Unquote(literal.Value)
			return err == nil && text != "" && slices.Contains(names, text)
		}
		selector, ok := e.(*ast.SelectorExpr)
		if !ok || selector.Sel.Name != "Name" {
			return false
		}
		of := s.info.Types[selector.X].Type
		return of != nil && strings.HasSuffix(of.String(), "fapi/profile.Profile")
	}
	// A request is checked again under the profile that it was made under: that is no policy of either.
	allowed := []string{"fapi/request.Checker.Recheck"}
	found, asked := 0, map[string]bool{}
	s.visit(func(in string, node ast.Node) {
		if !strings.HasPrefix(in, "fapi/") && !strings.HasPrefix(in, "fapi.") || strings.HasPrefix(in, "fapi/profile") || strings.HasPrefix(in, "fapi/fapitest") {
			return
		}
		var compared []ast.Expr
		switch node := node.(type) {
		case *ast.BinaryExpr:
			if node.Op == token.EQL || node.Op == token.NEQ {
				compared = []ast.Expr{node.X, node.Y}
			}
		case *ast.SwitchStmt:
			compared = []ast.Expr{node.Tag}
		case *ast.CaseClause:
			compared = node.List
		case *ast.SelectorExpr:
			if selection := s.info.Selections[node]; selection != nil && strings.HasSuffix(selection.Recv().String(), "fapi/profile.Profile") {
				asked[node.Sel.Name] = true
			}
		}
		for _, each := range compared {
			if each != nil && isName(each) {
				if found++; !slices.Contains(allowed, in) {
					t.Errorf("%s compares the name of a profile; ask a field", in)
				}
			}
		}
	})
	if found == 0 || len(asked) < 15 {
		t.Errorf("%d comparisons and %d fields were found: this test does not see them", found, len(asked))
	}
}
