// Command module gives this module another path, in the whole tree: in go.mod, in imports, in what tests, archives, pages and
// build files say of its packages. The name of the binary stays. `make module MODULE=host.example/org/countersign` runs it.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: module host.example/org/name")
		os.Exit(2)
	}
	from, changed, err := Rename(".", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "module:", err)
		os.Exit(1)
	}
	fmt.Printf("module %s is now %s: %d files changed\n", from, os.Args[1], changed)
}

var (
	declaration = regexp.MustCompile(`(?m)^module\s+(\S+)`)
	modulePath  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]*(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$`)
)

// made are the folders at the top that make makes.
var made = []string{"bin", "local", "reports"}

// Files lists the repository's files beneath a folder, as paths from there.
func Files(folder string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == folder {
			return nil
		}
		relative, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && (slices.Contains(made, relative) || name == "node_modules" || strings.HasPrefix(name, ".") && name != ".ci") {
			return filepath.SkipDir
		}
		if entry.Type().IsRegular() {
			files = append(files, relative)
		}
		return nil
	})
	return files, err
}

// Rename changes the module path of the tree in a folder and returns what it was before and how many files changed.
func Rename(folder, to string) (from string, changed int, err error) {
	if !modulePath.MatchString(to) {
		return "", 0, fmt.Errorf("%q is no module path, such as host.example/org/countersign", to)
	}
	text, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	if err != nil {
		return "", 0, err
	}
	declared := declaration.FindSubmatch(text)
	if declared == nil {
		return "", 0, errors.New("go.mod declares no module")
	}
	from = string(declared[1])
	files, err := Files(folder)
	if err != nil {
		return "", 0, err
	}
	r := newRenaming(from, to, files)
	for _, file := range files {
		path := filepath.Join(folder, file)
		before, err := os.ReadFile(path)
		if err != nil {
			return "", 0, err
		}
		after := r.apply(file, before)
		if bytes.Equal(before, after) {
			continue
		}
		if err := os.WriteFile(path, after, 0o600); err != nil { // it exists, and keeps its mode
			return "", 0, err
		}
		changed++
	}
	return from, changed, nil
}

// renaming knows where in a text the module's path stands: before one of its packages, before a version, and in the lines of
// a go.mod. The same word elsewhere is the product's or the binary's name.
type renaming struct {
	from, to string
	// folders are those at the top of the tree that hold Go code.
	folders                      map[string]bool
	inPackages, inLines, inGoMod *regexp.Regexp
}

func newRenaming(from, to string, files []string) *renaming {
	quoted := regexp.QuoteMeta(from)
	r := &renaming{
		from: from, to: to, folders: map[string]bool{},
		inPackages: regexp.MustCompile(`(^|[^\w./@:~$-])` + quoted + `(/[\w./~-]*"?)`),
		inLines:    regexp.MustCompile(`(?m)((?:^[ \t\x60]*(?:module|require|replace)|\bgo (?:get|install))[ \t]+)` + quoted + `((?:@\S+)?(?:\s|\x60|$))`),
		inGoMod:    regexp.MustCompile(`(?m)(^|\s)` + quoted + `(\s|$)`),
	}
	for _, file := range files {
		if top, _, nested := strings.Cut(filepath.ToSlash(file), "/"); nested && strings.HasSuffix(file, ".go") {
			r.folders[top] = true
		}
	}
	return r
}

// apply returns the text of a file with the other path. Go code is formatted anew: imports are sorted.
func (r *renaming) apply(file string, text []byte) []byte {
	if bytes.IndexByte(text, 0) >= 0 || !bytes.Contains(text, []byte(r.from)) {
		return text
	}
	result := replace(r.inPackages, text, func(before, path string) (string, bool) {
		return before + r.to + path, r.isPackage(path)
	})
	name := filepath.Base(file)
	if name == "go.mod" || name == "go.work" {
		result = replace(r.inGoMod, result, func(before, after string) (string, bool) { return before + r.to + after, true })
	} else {
		result = replace(r.inLines, result, func(before, after string) (string, bool) { return before + r.to + after, true })
	}
	if strings.HasSuffix(file, ".go") {
		if formatted, err := format.Source(result); err == nil {
			return formatted
		}
	}
	return result
}

// isPackage tells whether what follows the module's path goes on to packages of it: /fapi, /fapi.Server, /..., or /" as in
// code that cuts the path off.
func (r *renaming) isPackage(path string) bool {
	if path == `/"` || strings.HasPrefix(path, "/...") {
		return true
	}
	top := strings.FieldsFunc(path, func(c rune) bool { return c == '/' || c == '.' || c == '"' })
	return len(top) > 0 && r.folders[top[0]]
}

// replace gives what is before and after the module's path in each match to change, which says what comes there, if anything
// other.
func replace(pattern *regexp.Regexp, text []byte, change func(before, after string) (string, bool)) []byte {
	return pattern.ReplaceAllFunc(text, func(match []byte) []byte {
		parts := pattern.FindSubmatch(match)
		if parts == nil {
			return match
		}
		if changed, ok := change(string(parts[1]), string(parts[2])); ok {
			return []byte(changed)
		}
		return match
	})
}
