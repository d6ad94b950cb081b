package specifications

import (
	"regexp"
	"slices"
	"strings"
)

// word is what scan finds: a document or a section.
type word struct {
	document string
	// whole says that no section of the document follows.
	whole   bool
	section string
}

var (
	// section is such as "§5.3.2.1-8" or "Appendix A.5". More items of the same section may follow: "§5.2.2-5, -6".
	section = regexp.MustCompile(`§ ?([0-9A-Z][0-9A-Za-z]*(?:\.[0-9]+)*(?:-[0-9]+(?:\.[0-9]+)*)?)((?:, -[0-9]+)*)|Appendix ([A-Z](?:\.[0-9]+)*)`)
	known   = knownDocuments()
)

// knownDocuments matches the names of documents, longer ones first.
func knownDocuments() *regexp.Regexp {
	var names []string
	for _, document := range documents() {
		for _, name := range append([]string{document.Name}, document.Also...) {
			names = append(names, regexp.QuoteMeta(name))
		}
	}
	slices.SortFunc(names, func(a, b string) int { return len(b) - len(a) })
	return regexp.MustCompile(`\b(?:RFC [0-9]{4}|` + strings.Join(names, "|") + `)\b`)
}

// firstDocument is the document that a text names first, or "".
func firstDocument(text string) string {
	if name := known.FindString(joined(text)); name != "" {
		return canonical(name)
	}
	return ""
}

// canonical is the name under which a document is listed.
func canonical(name string) string {
	for _, document := range documents() {
		for _, other := range document.Also {
			if name == other {
				return document.Name
			}
		}
	}
	return name
}

// oftenNamed reports whether a name alone refers to nothing in the document.
func oftenNamed(name string) bool {
	return slices.ContainsFunc(documents(), func(d Document) bool { return d.Name == name && d.Often })
}

func joined(text string) string { return strings.Join(strings.Fields(text), " ") }

// scan finds documents and sections, in their order.
func scan(text string) []word {
	text = joined(text)
	var words []word
	for text != "" {
		document, found := known.FindStringIndex(text), section.FindStringSubmatchIndex(text)
		switch {
		case document == nil && found == nil:
			text = ""
		case found == nil || document != nil && document[0] < found[0]:
			rest := text[document[1]:]
			next := section.FindStringIndex(rest)
			name := canonical(text[document[0]:document[1]])
			alone := next == nil || strings.TrimSpace(rest[:next[0]]) != ""
			words = append(words, word{document: name, whole: alone && !oftenNamed(name)})
			text = rest
		default:
			words = append(words, sections(text, found)...)
			text = text[found[1]:]
		}
	}
	return words
}

// sections are those that one match names.
func sections(text string, match []int) []word {
	if match[2] < 0 {
		return []word{{section: text[match[6]:match[7]]}}
	}
	first := text[match[2]:match[3]]
	all := []word{{section: first}}
	base, _, _ := strings.Cut(first, "-")
	for item := range strings.SplitSeq(strings.TrimPrefix(text[match[4]:match[5]], ", "), ", ") {
		if item != "" {
			all = append(all, word{section: base + item})
		}
	}
	return all
}
