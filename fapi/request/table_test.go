package request

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"
)

// TestTableOrder: a row that needs the results of others names them, and comes after them.
func TestTableOrder(t *testing.T) {
	t.Parallel()
	seen := map[string]Endpoint{}
	for _, row := range table() {
		if row.at == 0 || seen[row.name] != 0 {
			t.Errorf("the row %q applies nowhere, or there are two", row.name)
		}
		var before Endpoint
		for _, name := range row.after {
			if seen[name] == 0 {
				t.Errorf("the row %q needs %q, which does not come before it", row.name, name)
			}
			before |= seen[name]
		}
		if len(row.after) > 0 && row.at&before == 0 {
			t.Errorf("the row %q comes after rows that do not apply where it does", row.name)
		}
		seen[row.name] = row.at
	}
}

// TestTableReads: what a row reads of the request is what the rows that it comes after have written.
func TestTableReads(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "table.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	writers := map[string][]string{} // rows by the field that they write
	var reads []struct{ row, field string }
	rows := table()
	ast.Inspect(file, func(node ast.Node) bool {
		literal, ok := node.(*ast.CompositeLit)
		if !ok || literal.Type != nil {
			return true
		}
		name, check := parts(literal)
		if check == nil {
			return true
		}
		written := map[ast.Node]bool{}
		ast.Inspect(check, func(node ast.Node) bool {
			if assignment, ok := node.(*ast.AssignStmt); ok {
				for _, left := range assignment.Lhs {
					if field := fieldOf(left); field != "" {
						written[left] = true
						writers[field] = append(writers[field], name)
					}
				}
			}
			return true
		})
		ast.Inspect(check, func(node ast.Node) bool {
			if expression, ok := node.(ast.Expr); ok && !written[node] {
				if field := fieldOf(expression); field != "" {
					reads = append(reads, struct{ row, field string }{name, field})
				}
			}
			return true
		})
		return true
	})
	if len(writers) < 10 || len(reads) < 5 {
		t.Fatalf("%d fields are written and %d read: the test does not read table.go as it is", len(writers), len(reads))
	}
	at := func(name string) row { return rows[slices.IndexFunc(rows, func(r row) bool { return r.name == name })] }
	for _, read := range reads {
		for _, writer := range writers[read.field] {
			if at(writer).at&at(read.row).at != 0 && !slices.Contains(at(read.row).after, writer) {
				t.Errorf("the row %q reads %s and does not say that it comes after %q", read.row, read.field, writer)
			}
		}
	}
}

// parts are the name and the function of a row.
func parts(literal *ast.CompositeLit) (name string, check *ast.FuncLit) {
	for _, element := range literal.Elts {
		pair, ok := element.(*ast.KeyValueExpr)
		if !ok {
			return "", nil
		}
		if text, ok := pair.Value.(*ast.BasicLit); ok {
			name, _ = strconv.Unquote(text.Value)
		}
		if function, ok := pair.Value.(*ast.FuncLit); ok {
			check = function
		}
	}
	return name, check
}

// fieldOf is the field in an expression like read.Scopes, or "".
func fieldOf(expression ast.Expr) string {
	selector, ok := expression.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if of, ok := selector.X.(*ast.Ident); ok && of.Name == "read" {
		return selector.Sel.Name
	}
	return ""
}
