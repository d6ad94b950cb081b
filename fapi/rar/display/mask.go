package display

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"countersign/internal/words"
)

// Formats that abridge: what they leave out, a reader knows or should not learn. Decisions are bound to the whole value.
const (
	// Ending is the user's own account by its last characters.
	Ending Format = "ending"
	// TaxNumber is a Brazilian CPF, of which the middle is shown, or a CNPJ, which is public and shown whole.
	TaxNumber Format = "cpf-cnpj"
	// Resource is a resource server by its name in the configuration.
	Resource Format = "resource"
)

// endingLength is how many characters of an own account are shown, of at least twice as many.
const endingLength = 4

var wordCharacters = regexp.MustCompile(`^[0-9A-Za-z]+$`)

// ending writes an account of the user's own by its last characters.
func ending(l *words.Language, raw string) (string, bool) {
	joined := strings.NewReplacer(" ", "", "-", "").Replace(raw)
	if len(joined) < 2*endingLength || !wordCharacters.MatchString(joined) {
		return "", false
	}
	return l.Text("display.ending", "digits", joined[len(joined)-endingLength:]), true
}

var (
	cpf  = regexp.MustCompile(`^[0-9]{3}([0-9]{3})([0-9]{3})[0-9]{2}$`)
	cnpj = regexp.MustCompile(`^([0-9A-Z]{2})([0-9A-Z]{3})([0-9A-Z]{3})([0-9A-Z]{4})([0-9]{2})$`)
)

// taxNumber writes a CPF without its first three and last two digits, as payers see it in Pix, or a CNPJ.
func taxNumber(raw string) (string, bool) {
	if part := cpf.FindStringSubmatch(raw); part != nil {
		return "•••." + part[1] + "." + part[2] + "-••", true
	}
	if part := cnpj.FindStringSubmatch(raw); part != nil {
		return part[1] + "." + part[2] + "." + part[3] + "/" + part[4] + "-" + part[5], true
	}
	return "", false
}

// WithResources returns languages that call resource servers, by their identifiers, by these names.
func (l *Languages) WithResources(names map[string]string) *Languages {
	return &Languages{catalogue: l.catalogue, resources: maps.Clone(names)}
}

// Resource is what people call a resource server: its name, its host where the identifier has nothing else, or the identifier.
func (l *Languages) Resource(identifier string) string {
	if name := l.resources[identifier]; name != "" {
		return Exact(name)
	}
	if name, ok := host(identifier); ok {
		return name
	}
	return Exact(identifier)
}

// Resources are what people call several.
func (l *Languages) Resources(identifiers []string) []string {
	var names []string
	for _, identifier := range identifiers {
		names = append(names, l.Resource(identifier))
	}
	return names
}

// alike reports whether two entries of a list read the same.
func alike(items []Item) bool {
	for i, item := range items {
		if slices.ContainsFunc(items[:i], func(other Item) bool {
			return item.Label == other.Label && item.Detail == other.Detail &&
				slices.EqualFunc(item.Lines, other.Lines, func(a, b Line) bool { return a.Label == b.Label && a.Value == b.Value })
		}) {
			return true
		}
	}
	return false
}

// checkMask allows only what a reader knows to be left out.
func (p *parser) checkMask(n *node, at string) {
	a := n.annotation
	switch {
	case a.Format == Ending && a.Role != Account:
		p.problem(at+"/format", "leaves out a part, which only the user's own account can; use account, or give it the role account")
	case a.Format == TaxNumber && a.Role != "":
		p.problem(at+"/format", "leaves out a part of what has the role %s; use another", a.Role)
	}
}
