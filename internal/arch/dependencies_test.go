package arch

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestDependencies holds docs/dependencies.md to what is imported: a module is defended once, under the heading that is
// true for it.
func TestDependencies(t *testing.T) {
	tree := readTree(t)
	page, err := os.ReadFile("../../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	inProduct, rest, found := strings.Cut(string(page), "\n## In tests only\n")
	inTests, _, ended := strings.Cut(rest, "\nIn `internal/peers`, from npm")
	if !found || !ended {
		t.Fatal("docs/dependencies.md has not the headings that it is read by")
	}
	if len(tree.Requires) < 10 {
		t.Errorf("only %d direct dependencies were found: the test does not read go.mod as it is", len(tree.Requires))
	}
	defended := map[string]bool{}
	for _, module := range tree.Requires {
		product, other, tests := tree.ImportersOf(module)
		name := family(module)
		defended[name] = true
		switch {
		case len(product)+len(other)+len(tests) == 0:
			t.Errorf("%s is required and nothing imports it", module)
		case len(product) > 0 && (!defends(inProduct, name) || defends(inTests, name)):
			t.Errorf("%s is imported by %v: docs/dependencies.md has to say so, under the product only", module, product)
		case len(product) == 0 && (!defends(inTests, name) || defends(inProduct, name)):
			t.Errorf("%s is in no package of the binary: docs/dependencies.md has to say so, under tests only", module)
		}
	}
	for _, name := range slices.Concat(rows(inProduct), rows(inTests)) {
		if !defended[name] {
			t.Errorf("docs/dependencies.md defends %s, which go.mod does not require directly", name)
		}
	}
}

// family is what a module is defended as: one reason serves the modules of OpenTelemetry, or chromedp and its protocol.
func family(module string) string {
	for _, name := range []string{"go.opentelemetry.io/otel", "github.com/chromedp"} {
		if strings.HasPrefix(module, name) {
			return name
		}
	}
	return module
}

func defends(section, name string) bool { return slices.Contains(rows(section), name) }

// rows are what the tables of a section begin their rows with, as families.
func rows(section string) []string {
	var names []string
	for line := range strings.Lines(section) {
		first, ok := strings.CutPrefix(line, "| ")
		if !ok || strings.HasPrefix(line, "| module") || strings.HasPrefix(line, "| package") {
			continue
		}
		name, _, _ := strings.Cut(first, " ")
		names = append(names, family(name))
	}
	return names
}
