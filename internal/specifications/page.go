package specifications

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Page makes docs/specifications.md. A document without a title is an error: add it to documents.go.
func Page(references []Reference) (string, error) {
	byDocument := map[string][]Reference{}
	for _, reference := range references {
		byDocument[reference.Document] = append(byDocument[reference.Document], reference)
	}
	var page strings.Builder
	page.WriteString(`# Which file answers to which section

Made from the comments and the error texts of the packages of the binary, by ` + "`go run ./internal/specifications/generate`" + `; a
test holds it to them. A section is listed where a declaration names it, which says that the code follows it there, or
why it does not. That every requirement is met is shown by tests, in [conformance.md](conformance.md).
`)
	for _, document := range ordered(byDocument) {
		fmt.Fprintf(&page, "\n## %s\n\n", document.Name)
		if document.Title != "" || document.Address != "" {
			page.WriteString(strings.TrimSpace(linked(document)) + "\n\n")
		}
		page.WriteString("| section | where |\n|---|---|\n")
		for _, line := range lines(byDocument[document.Name]) {
			fmt.Fprintf(&page, "| %s | %s |\n", line.section, line.where)
		}
		delete(byDocument, document.Name)
	}
	for name := range byDocument {
		return "", fmt.Errorf("specifications: %s has no title in documents.go", name)
	}
	return page.String(), nil
}

func linked(document Document) string {
	title := cmp.Or(document.Title, "The document")
	if document.Address == "" {
		return title
	}
	return "[" + title + "](" + document.Address + ")"
}

// ordered lists the documents that are referred to: those of the OpenID Foundation first, then RFCs by number.
func ordered(used map[string][]Reference) []Document {
	all := documents()
	var numbers []string
	for name := range titles() {
		numbers = append(numbers, name)
	}
	slices.Sort(numbers)
	for _, name := range numbers {
		all = append(all, Document{
			Name: name, Title: titles()[name], Address: "https://www.rfc-editor.org/rfc/rfc" + strings.TrimPrefix(name, "RFC "),
		})
	}
	return slices.DeleteFunc(all, func(d Document) bool { return used[d.Name] == nil })
}

type line struct{ section, where string }

// lines lists the sections of a document with the places that name each.
func lines(references []Reference) []line {
	places := map[string]map[string][]string{} // section, file, declarations
	for _, r := range references {
		if places[r.Section] == nil {
			places[r.Section] = map[string][]string{}
		}
		declarations := places[r.Section][r.File]
		if r.Declaration != "" && !slices.Contains(declarations, r.Declaration) {
			declarations = append(declarations, r.Declaration)
		}
		places[r.Section][r.File] = declarations
	}
	var sections []string
	for section := range places {
		sections = append(sections, section)
	}
	slices.SortFunc(sections, compareSections)
	var all []line
	for _, section := range sections {
		var where []string
		for file, declarations := range places[section] {
			link := "[" + file + "](../" + file + ")"
			if slices.Sort(declarations); len(declarations) > 0 {
				link += " `" + strings.Join(declarations, "`, `") + "`"
			}
			where = append(where, link)
		}
		slices.Sort(where)
		all = append(all, line{cmp.Or(section, "as a whole"), strings.Join(where, "<br>")})
	}
	return all
}

// compareSections compares "5.3.2-8" with "5.3.2.1" and "5.3.10" by their numbers: items come before sections below.
func compareSections(a, b string) int {
	section, item, _ := strings.Cut(a, "-")
	other, otherItem, _ := strings.Cut(b, "-")
	return cmp.Or(compareNumbers(section, other), compareNumbers(item, otherItem))
}

func compareNumbers(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(x, y string) int {
		n, numeric := strconv.Atoi(x)
		m, also := strconv.Atoi(y)
		if numeric == nil && also == nil {
			return cmp.Compare(n, m)
		}
		return strings.Compare(x, y)
	})
}
