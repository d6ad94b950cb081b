package logs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Call is a place in the sources where a message is logged.
type Call struct {
	// Position is the file and the line.
	Position string
	// Function is the function around the call, with its folder: "internal/auditlog.Sealer.report".
	Function string
	// Message is the text; empty when it is no constant, and for With.
	Message string
	// Level is debug, info, warn or error; "any" when it is computed, "with" for the fields of a logger.
	Level string
	// Fields are the names of the fields, sorted; "?" is one that is no constant.
	Fields []string
}

// needsEntry reports whether the message can be of level warn or error.
func (c Call) needsEntry() bool { return c.Level == "warn" || c.Level == "error" || c.Level == "any" }

// method is a method of slog.Logger that logs.
type method struct {
	level string
	// message is the index of the argument with the message; the fields follow.
	message int
}

// methods are the methods of slog.Logger by name.
func methods() map[string]method {
	return map[string]method{
		"Debug": {"debug", 0}, "Info": {"info", 0}, "Warn": {"warn", 0}, "Error": {"error", 0},
		"DebugContext": {"debug", 1}, "InfoContext": {"info", 1}, "WarnContext": {"warn", 1}, "ErrorContext": {"error", 1},
		"Log": {"any", 2}, "LogAttrs": {"any", 2}, "With": {"with", -1},
	}
}

// Scan finds the log calls of the Go sources below the folders of a tree, tests and testdata aside.
//
// It goes by syntax. A logger is what a variable, field or function named log, logger or slog holds, in either case.
// A function that passes a parameter on as the message counts as a log call wherever its package calls it.
func Scan(tree fs.FS, folders ...string) ([]Call, error) {
	packages := map[string]*scanner{}
	for _, folder := range folders {
		err := fs.WalkDir(tree, folder, func(name string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.IsDir() && (entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".") && name != ".") {
				return fs.SkipDir
			}
			if entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return nil
			}
			source, err := fs.ReadFile(tree, name)
			if err != nil {
				return err
			}
			in := packages[path.Dir(name)]
			if in == nil {
				in = &scanner{
					folder: path.Dir(name), files: token.NewFileSet(), constants: map[string]string{}, helpers: map[string]helper{},
				}
				packages[path.Dir(name)] = in
			}
			return in.add(name, source)
		})
		if err != nil {
			return nil, fmt.Errorf("logs: %w", err)
		}
	}
	var calls []Call
	for _, folder := range slices.Sorted(maps.Keys(packages)) {
		calls = append(calls, packages[folder].calls()...)
	}
	return calls, nil
}

// scanner reads one package.
type scanner struct {
	folder    string
	files     *token.FileSet
	functions []*ast.FuncDecl
	// constants are the package's string constants.
	constants map[string]string
	// helpers are the functions that log a parameter, by name.
	helpers map[string]helper
}

// helper is a log call whose message is a parameter of the function around it.
type helper struct {
	call Call
	// parameter is the index of the parameter.
	parameter int
}

func (s *scanner) add(name string, source []byte) error {
	file, err := parser.ParseFile(s.files, name, source, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			s.functions = append(s.functions, d)
		case *ast.GenDecl:
			s.addConstants(d)
		}
	}
	return nil
}

func (s *scanner) addConstants(declaration *ast.GenDecl) {
	if declaration.Tok != token.CONST {
		return
	}
	for _, spec := range declaration.Specs {
		values, ok := spec.(*ast.ValueSpec)
		if !ok {
			continue
		}
		for i, name := range values.Names {
			if i >= len(values.Values) {
				break
			}
			if text, ok := s.constant(values.Values[i]); ok {
				s.constants[name.Name] = text
			}
		}
	}
}

// constant returns the text of a string literal or of a constant of the package.
func (s *scanner) constant(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.Ident:
		text, ok := s.constants[e.Name]
		return text, ok
	}
	return "", false
}

// calls finds the log calls, and then those of the helpers.
func (s *scanner) calls() []Call {
	var calls []Call
	for _, function := range s.functions {
		s.inFunction(function, func(call *ast.CallExpr) {
			found, ok := s.logCall(function, call)
			if !ok {
				return
			}
			if parameter, isParameter := s.parameter(function, call); isParameter {
				s.helpers[function.Name.Name] = helper{found, parameter}
				return
			}
			calls = append(calls, found)
		})
	}
	for _, function := range s.functions {
		s.inFunction(function, func(call *ast.CallExpr) {
			name, ok := call.Fun.(*ast.Ident)
			if !ok {
				return
			}
			known, ok := s.helpers[name.Name]
			if !ok || known.parameter >= len(call.Args) {
				return
			}
			found := known.call
			found.Position, found.Function = s.position(call), s.name(function)
			found.Message, _ = s.constant(call.Args[known.parameter])
			calls = append(calls, found)
		})
	}
	return calls
}

func (s *scanner) inFunction(function *ast.FuncDecl, visit func(*ast.CallExpr)) {
	if function.Body == nil {
		return
	}
	ast.Inspect(function.Body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			visit(call)
		}
		return true
	})
}

// logCall reads a call, if it is one of a logger.
func (s *scanner) logCall(function *ast.FuncDecl, call *ast.CallExpr) (Call, bool) {
	selected, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return Call{}, false
	}
	m, ok := methods()[selected.Sel.Name]
	if !ok || len(call.Args) <= m.message || !isLogger(selected.X) {
		return Call{}, false
	}
	found := Call{Position: s.position(call), Function: s.name(function), Level: m.level}
	if m.message >= 0 {
		found.Message, _ = s.constant(call.Args[m.message])
	}
	rest := call.Args[m.message+1:]
	if selected.Sel.Name == "LogAttrs" {
		found.Fields = s.attributes(function)
	} else {
		found.Fields = s.names(rest)
	}
	slices.Sort(found.Fields)
	found.Fields = slices.Compact(found.Fields)
	return found, true
}

// isLogger reports whether an expression is named as a logger, or is a logger with more fields.
func isLogger(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return slices.Contains([]string{"log", "logger", "slog"}, strings.ToLower(e.Name))
	case *ast.SelectorExpr:
		return isLogger(e.Sel)
	case *ast.CallExpr:
		if selected, ok := e.Fun.(*ast.SelectorExpr); ok && selected.Sel.Name == "With" {
			return isLogger(selected.X)
		}
		return isLogger(e.Fun)
	}
	return false
}

// names reads names and values in turn.
func (s *scanner) names(arguments []ast.Expr) []string {
	var names []string
	for i := 0; i < len(arguments); i += 2 {
		name, ok := s.constant(arguments[i])
		if !ok {
			name = "?"
		}
		names = append(names, name)
	}
	return names
}

// attributes are the names of all slog.Attr that a function makes.
func (s *scanner) attributes(function *ast.FuncDecl) []string {
	var names []string
	s.inFunction(function, func(call *ast.CallExpr) {
		selected, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || len(call.Args) != 2 {
			return
		}
		if from, ok := selected.X.(*ast.Ident); ok && from.Name == "slog" {
			names = append(names, s.names(call.Args[:1])...)
		}
	})
	return names
}

// parameter returns the index of the parameter of the function that a call logs as its message.
func (s *scanner) parameter(function *ast.FuncDecl, call *ast.CallExpr) (int, bool) {
	selected, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return 0, false
	}
	m := methods()[selected.Sel.Name]
	if m.message < 0 || function.Recv != nil {
		return 0, false
	}
	message, ok := call.Args[m.message].(*ast.Ident)
	if !ok {
		return 0, false
	}
	i := 0
	for _, field := range function.Type.Params.List {
		for _, name := range field.Names {
			if name.Name == message.Name {
				return i, true
			}
			i++
		}
	}
	return 0, false
}

func (s *scanner) position(n ast.Node) string {
	position := s.files.Position(n.Pos())
	return fmt.Sprintf("%s:%d", position.Filename, position.Line)
}

// name is the name of a function with its receiver's type.
func (s *scanner) name(function *ast.FuncDecl) string {
	name := function.Name.Name
	if function.Recv != nil {
		receiver := function.Recv.List[0].Type
		if pointer, ok := receiver.(*ast.StarExpr); ok {
			receiver = pointer.X
		}
		if base, ok := receiver.(*ast.Ident); ok {
			name = base.Name + "." + name
		}
	}
	return s.folder + "." + name
}
