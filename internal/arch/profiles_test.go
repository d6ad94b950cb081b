package arch

import (
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"reflect"
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
	t.Run("accepts that fields are asked", func(t *testing.T) {
		if found == 0 || len(asked) < 15 {
			t.Errorf("%d comparisons and %d fields were found: this test does not see them", found, len(asked))
		}
	})
}

// Covers: LP-12. What no code asks is no rule: each field that a preset sets is asked outside of the package that has it.
func TestLP12FieldsAreAsked(t *testing.T) {
	s := typedModule(t)
	asked := map[string]bool{}
	s.visit(func(in string, node ast.Node) {
		if strings.HasPrefix(in, "fapi/profile") || strings.HasPrefix(in, "fapi/fapitest") {
			return
		}
		selector, ok := node.(*ast.SelectorExpr)
		if !ok {
			return
		}
		field, ok := s.info.Uses[selector.Sel].(*types.Var)
		if ok && field.IsField() && field.Pkg() != nil && strings.HasSuffix(field.Pkg().Path(), "fapi/profile") {
			asked[field.Name()+" of "+s.owner(selector, field)] = true
		}
	})
	set := map[string]string{} // field: a preset that sets it
	for _, name := range profile.Names() {
		rules, err := profile.Explain(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, rule := range rules {
			if rule.Preset != "" {
				set[rule.Rule] = name
			}
		}
	}
	fields := map[string]string{}
	var walk func(of reflect.Type, prefix string)
	walk = func(of reflect.Type, prefix string) {
		for i := range of.NumField() {
			field := of.Field(i)
			name, way, _ := strings.Cut(field.Tag.Get("rule"), ",")
			switch {
			case field.Anonymous:
				walk(field.Type, prefix)
			case name != "" && way == "":
				walk(field.Type, prefix+name+".")
			case name != "":
				fields[prefix+name] = field.Name + " of " + of.Name()
			}
		}
	}
	walk(reflect.TypeFor[profile.Profile](), "")
	for _, rule := range slices.Sorted(maps.Keys(set)) {
		t.Run("accepts "+rule, func(t *testing.T) {
			if !asked[fields[rule]] {
				t.Errorf("%s sets it, and no code asks it (%s)", set[rule], fields[rule])
			}
		})
	}
	if len(set) < 40 || asked["Name of Profile"] != true {
		t.Errorf("%d rules are set: this test does not see them", len(set))
	}
}

// owner is the name of the struct that has a field, embedded ones resolved.
func (s *sources) owner(selector *ast.SelectorExpr, field *types.Var) string {
	selection := s.info.Selections[selector]
	if selection == nil {
		return ""
	}
	of := selection.Recv()
	for _, i := range selection.Index() {
		if pointer, ok := of.Underlying().(*types.Pointer); ok {
			of = pointer.Elem()
		}
		structure, ok := of.Underlying().(*types.Struct)
		if !ok {
			return ""
		}
		if structure.Field(i) == field {
			if named, ok := of.(*types.Named); ok {
				return named.Obj().Name()
			}
			return ""
		}
		of = structure.Field(i).Type()
	}
	return ""
}
