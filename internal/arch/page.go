package arch

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Generated makes the generated documents of a tree at root, by their paths in it.
func Generated(root string) (map[string]string, error) {
	tree, err := Read(root)
	if err != nil {
		return nil, err
	}
	made := map[string]string{"docs/packages.svg": Picture(tree), "docs/states.svg": States()}
	for path, block := range map[string]struct{ name, text string }{
		"docs/architecture.md": {"packages", Packages(tree)},
		"docs/dependencies.md": {"importers", Importers(tree)},
	} {
		page, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
		if err != nil {
			return nil, err
		}
		if made[path], err = between(string(page), block.name, block.text); err != nil {
			return nil, fmt.Errorf("arch: %s: %w", path, err)
		}
	}
	return made, nil
}

// between replaces what is between the markers of a block.
func between(page, name, text string) (string, error) {
	begin := "<!-- generated: " + name + "; go run ./internal/arch/generate -->\n"
	end := "<!-- end of " + name + " -->\n"
	before, rest, found := strings.Cut(page, begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return "", fmt.Errorf("the markers %q and %q are missing", begin, end)
	}
	return before + begin + text + end + after, nil
}

// Packages is the import table in Markdown.
func Packages(tree *Tree) string {
	var page strings.Builder
	for _, group := range Table() {
		fmt.Fprintf(&page, "\n### %s\n\n| package | what it is for | imports of ours |\n|---|---|---|\n", group.Title)
		for _, p := range group.Packages {
			owns := ""
			if source := tree.Sources[p.Path]; source != nil {
				owns = source.Owns
			}
			fmt.Fprintf(&page, "| `%s` | %s | %s |\n", p.Path, strings.ReplaceAll(owns, "|", `\|`), imports(p))
		}
	}
	return page.String() + "\n"
}

// imports lists what a package imports; those of the same folder come without it.
func imports(p Package) string {
	if len(p.Imports) == 0 {
		return "–"
	}
	if slices.Contains(p.Imports, Everything) {
		return "everything"
	}
	return "`" + strings.Join(p.Imports, "`, `") + "`"
}

// Binary is the program that is the product.
const Binary = "cmd/countersign"

// Importers lists, for each module that go.mod requires, which packages import it.
func Importers(tree *Tree) string {
	var page strings.Builder
	page.WriteString("\n| module | in the binary, by | besides, by | in tests of |\n|---|---|---|---|\n")
	for _, module := range tree.Requires {
		product, other, tests := tree.ImportersOf(module)
		fmt.Fprintf(&page, "| %s | %s | %s | %s |\n", module, folders(product), folders(other), folders(tests))
	}
	return page.String() + "\n"
}

// ImportersOf lists the packages that import a module: those of the binary, others with code, and those whose tests do.
func (t *Tree) ImportersOf(module string) (product, other, tests []string) {
	shipped := t.Reachable(Binary)
	for folder, source := range t.Sources {
		switch {
		case !slices.Contains(t.Modules(source.Imports), module):
		case shipped[folder]:
			product = append(product, folder)
		default:
			other = append(other, folder)
		}
		if slices.Contains(t.Modules(source.TestImports), module) {
			tests = append(tests, folder)
		}
	}
	slices.Sort(product)
	slices.Sort(other)
	slices.Sort(tests)
	return product, other, tests
}

// most is how many folders are named in one place.
const most = 6

func folders(all []string) string {
	if len(all) == 0 {
		return "–"
	}
	text := "`" + strings.Join(all[:min(len(all), most)], "`, `") + "`"
	if more := len(all) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
