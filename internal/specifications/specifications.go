// Package specifications finds which section of which specification each declaration of the binary answers to, and makes
// docs/specifications.md of it.
//
// Sources name sections in comments and in the texts of errors: "RFC 9449 §4.3", "CIBA Core §7.1, §13". A section without a
// document belongs to the one named last before it in the same comment, or else to the first that the comment of its
// declaration names, or else that of its package.
package specifications

//go:generate go run ./generate

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"countersign/internal/arch"
)

// Reference is a section that a declaration names.
type Reference struct {
	// Document is one of [Documents].
	Document string
	// Section is such as "4.3", or empty where the document is named as a whole.
	Section string
	// File is from the root of the module, Declaration the name in it; empty for the package comment.
	File, Declaration string
}

// Find reads the packages of the binary in the module at root. Sections that belong to no document are in unclear, as
// file:line.
func Find(root string) (found []Reference, unclear []string, err error) {
	tree, err := arch.Read(root)
	if err != nil {
		return nil, nil, err
	}
	for folder := range tree.Reachable(arch.Binary) {
		entries, err := os.ReadDir(filepath.Join(root, filepath.FromSlash(folder)))
		if err != nil {
			return nil, nil, err
		}
		files := token.NewFileSet()
		var parsed []*ast.File
		for _, entry := range entries {
			if strings.HasSuffix(entry.Name(), ".go") && !strings.HasSuffix(entry.Name(), "_test.go") {
				file, err := parser.ParseFile(files, filepath.Join(root, folder, entry.Name()), nil, parser.ParseComments|parser.SkipObjectResolution)
				if err != nil {
					return nil, nil, err
				}
				parsed = append(parsed, file)
			}
		}
		about := ""
		for _, file := range parsed {
			if file.Doc != nil {
				about = firstDocument(file.Doc.Text())
			}
		}
		for _, file := range parsed {
			name, err := filepath.Rel(root, files.Position(file.Package).Filename)
			if err != nil {
				return nil, nil, err
			}
			r := reader{files: files, file: file, name: filepath.ToSlash(name), about: about}
			r.read()
			found, unclear = append(found, r.found...), append(unclear, r.unclear...)
		}
	}
	slices.Sort(unclear)
	return found, unclear, nil
}

// reader reads one file.
type reader struct {
	files *token.FileSet
	file  *ast.File
	name  string
	// about is the document that the package is about, or empty.
	about string

	found   []Reference
	unclear []string
}

func (r *reader) read() {
	for _, group := range r.file.Comments {
		r.take(group.Pos(), group.Text())
	}
	ast.Inspect(r.file, func(node ast.Node) bool {
		if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if text, err := strconv.Unquote(literal.Value); err == nil {
				r.take(literal.Pos(), text)
			}
		}
		return true
	})
}

// take reads the sections out of a comment or a string.
func (r *reader) take(at token.Pos, text string) {
	declaration, context := r.enclosing(at)
	if context == "" {
		context = r.about
	}
	document := ""
	for _, word := range scan(text) {
		switch {
		case word.document != "":
			document = word.document
			if word.whole {
				r.found = append(r.found, Reference{Document: document, File: r.name, Declaration: declaration})
			}
		case document == "" && context == "":
			r.unclear = append(r.unclear, fmt.Sprintf("%s:%d: §%s", r.name, r.files.Position(at).Line, word.section))
		case document == "":
			r.found = append(r.found, Reference{Document: context, Section: word.section, File: r.name, Declaration: declaration})
		default:
			r.found = append(r.found, Reference{Document: document, Section: word.section, File: r.name, Declaration: declaration})
		}
	}
}

// enclosing finds the declaration that a place is in, or that it is the comment of, and the document that its comment names
// first.
func (r *reader) enclosing(at token.Pos) (name, document string) {
	for _, declaration := range r.file.Decls {
		begin := declaration.Pos()
		var comment *ast.CommentGroup
		switch declaration := declaration.(type) {
		case *ast.FuncDecl:
			name, comment = functionName(declaration), declaration.Doc
		case *ast.GenDecl:
			name, comment = r.nameIn(declaration, at), declaration.Doc
		}
		if comment != nil {
			begin = comment.Pos()
		}
		// A trailing comment is behind the end, in the same line.
		if begin <= at && (at <= declaration.End() || r.line(at) == r.line(declaration.End())) {
			return name, firstDocument(comment.Text())
		}
	}
	return "", ""
}

func (r *reader) line(at token.Pos) int { return r.files.Position(at).Line }

// nameIn is the name of the type, constant or variable of a declaration that a place is in.
func (r *reader) nameIn(declaration *ast.GenDecl, at token.Pos) string {
	name := ""
	for _, spec := range declaration.Specs {
		var comment *ast.CommentGroup
		var own string
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			own, comment = spec.Name.Name, spec.Doc
		case *ast.ValueSpec:
			own, comment = spec.Names[0].Name, spec.Doc
		}
		begin := spec.Pos()
		if comment != nil {
			begin = comment.Pos()
		}
		if name == "" || begin <= at {
			name = own
		}
	}
	return name
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
