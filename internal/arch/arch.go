// Package arch holds the architecture of the project as data, and tests that hold the code to it.
//
// table.go is the import table: every package, with just the packages of ours that it imports. The tests refuse an import
// that is not in it, and a line that nothing needs. They hold more that documents promise: who renders errors, who has the
// whole store, what only its constructor makes, which calls are forbidden, and where the system's clock is read.
//
// The table in docs/architecture.md, docs/packages.svg and the list of importers in docs/dependencies.md are generated from
// the table and the sources: go run ./internal/arch/generate.
package arch

//go:generate go run ./generate
