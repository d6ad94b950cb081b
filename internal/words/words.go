// Package words has the texts of the pages in every language that the server speaks, and writes dates, times and lengths of
// time as people read them there.
//
// Messages are embedded, in catalog/LANGUAGE/*.json: flat keys, each with a text or, where a number decides, with a text for
// each plural form of the language (Unicode CLDR). {name} in a text is replaced by the value of that name. A folder with the
// same form may override single messages.
package words

import (
	"cmp"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // a container may have no zones of its own
	"unicode"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"

	"countersign/internal/suggest"
)

//go:embed catalog
var embedded embed.FS

// Catalogue has the languages that are offered. It is immutable.
type Catalogue struct {
	languages []*Language
	matcher   language.Matcher
}

// Language is one language with its messages.
type Language struct {
	// Tag is the language (BCP 47), such as "pt-BR".
	Tag string
	// Name is what the language calls itself.
	Name string
	// Dir is "ltr" or "rtl".
	Dir string

	tag      language.Tag
	zone     *time.Location
	messages map[string]message
	// parts are the messages that were shown, taken apart: map[string][]part by plural form, by key.
	parts sync.Map
}

// part is a piece of a text: constant, or the name of a value that stands there.
type part struct{ constant, value string }

// message is a text, or a text for each plural form, in order of the forms' names. It is no map: there are thousands of messages,
// nearly all with one text, and all of them stay in memory.
type message []form

// form is the text for a plural form.
type form struct{ name, text string }

const other = "other"

// of is the text for a plural form, or empty.
func (m message) of(name string) string {
	for _, each := range m {
		if each.name == name {
			return each.text
		}
	}
	return ""
}

// UnmarshalJSON implements [json.Unmarshaler].
func (m *message) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		*m = message{{other, text}}
		return nil
	}
	var forms map[string]string
	if err := json.Unmarshal(raw, &forms); err != nil || forms[other] == "" {
		return errors.New(`neither a text nor texts by plural form with "other" among them`)
	}
	made := make(message, 0, len(forms))
	for _, name := range slices.Sorted(maps.Keys(forms)) {
		made = append(made, form{name, forms[name]})
	}
	*m = made
	return nil
}

// Supported returns the languages that have a catalogue, English first.
func Supported() []string { return []string{"en", "pt-BR", "es", "fr", "de", "ar"} }

// New makes a catalogue of the languages that locales lists, the first for whoever wants none of them. Times are those of
// zone. override may be nil; otherwise its files LANGUAGE/*.json replace single messages, or have all messages of a language
// that is not among [Supported]. The error is [Problems], unless a folder cannot be read.
func New(locales []string, zone *time.Location, override fs.FS) (*Catalogue, error) {
	if len(locales) == 0 {
		return nil, Problems{{Text: "no language is listed"}}
	}
	c := &Catalogue{}
	var tags []language.Tag
	var problems Problems
	for _, name := range locales {
		l, err := load(name, zone, override)
		if err == nil {
			c.languages, tags = append(c.languages, l), append(tags, l.tag)
			continue
		}
		found, ok := errors.AsType[Problems](err)
		if !ok {
			return nil, fmt.Errorf("words: %w", err)
		}
		problems = append(problems, found...)
	}
	if override != nil {
		strays, err := strays(override, locales)
		if err != nil {
			return nil, fmt.Errorf("words: %w", err)
		}
		problems = append(problems, strays...)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	c.matcher = language.NewMatcher(tags)
	return c, nil
}

// load reads one language.
func load(name string, zone *time.Location, override fs.FS) (*Language, error) {
	tag, err := language.Parse(name)
	if err != nil || tag.String() != name {
		return nil, Problems{{Text: fmt.Sprintf("%q is not a language; write it as en or pt-BR (BCP 47)", name)}}
	}
	messages, err := builtIn(name)
	if err != nil {
		return nil, err
	}
	own := Problems{}
	if override != nil {
		overridden, err := read(override, name)
		if err != nil {
			return nil, err
		}
		own, err = merge(name, messages, overridden)
		if err != nil {
			return nil, err
		}
	}
	switch {
	case len(own) > 0:
		return nil, own
	case len(messages) == 0:
		return nil, Problems{{Text: fmt.Sprintf("there is no catalogue of the language %q; there are %s, and a folder %[1]s may have all messages of it",
			name, strings.Join(Supported(), ", "))}}
	}
	l := &Language{Tag: name, Dir: "ltr", tag: tag, zone: zone, messages: messages}
	l.Name = l.Text("language.name")
	if l.Text(direction) == "rtl" {
		l.Dir = "rtl"
	}
	return l, nil
}

// builtIn returns the messages that come with the program, or none.
func builtIn(name string) (map[string]message, error) {
	messages := map[string]message{}
	if !slices.Contains(Supported(), name) {
		return messages, nil
	}
	entries, err := read(embedded, path.Join("catalog", name))
	for _, each := range entries {
		messages[each.key] = each.text
	}
	return messages, err
}

// direction is the message that says in which direction a language is written.
const direction = "language.direction"

// merge puts the messages of a bank into those of a language. A language without messages of its own needs all.
func merge(name string, messages map[string]message, entries []entry) (Problems, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	known, complete := messages, len(messages) > 0
	if !complete {
		var err error
		if known, err = builtIn(Supported()[0]); err != nil {
			return nil, err
		}
	}
	problems, from := Problems{}, map[string]entry{}
	for _, each := range entries {
		text := ""
		if before, twice := from[each.key]; twice {
			text = fmt.Sprintf("is there twice, also in line %d of %s; keep one", before.line, before.file)
		} else if former, ok := known[each.key]; !ok {
			text = "there is no such message; " + suggest.Hint(each.key, slices.Collect(maps.Keys(known)), "remove it")
		} else {
			text = each.text.wrong(each.key, former)
		}
		from[each.key] = each
		if text != "" {
			problems = append(problems, Problem{each.file, each.line, each.key, text})
		}
	}
	if complete {
		for key, each := range from {
			messages[key] = each.text
		}
		return problems, nil
	}
	for _, key := range slices.Sorted(maps.Keys(known)) {
		each, ok := from[key]
		if !ok {
			problems = append(problems, Problem{name, 0, key, "is missing: a language that does not come with the server needs every message"})
		}
		messages[key] = each.text
	}
	return problems, nil
}

// strays finds what would be passed over: folders of languages that are not offered, and files beside them.
func strays(files fs.FS, locales []string) (Problems, error) {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, err
	}
	var problems Problems
	for _, entry := range entries {
		name := entry.Name()
		info, err := fs.Stat(files, name)
		switch {
		case strings.HasPrefix(name, "."), slices.Contains(locales, name):
		case err != nil:
			return nil, err
		case info.IsDir():
			problems = append(problems, Problem{File: name, Text: "is no language of the pages; " +
				suggest.Hint(name, locales, "they are "+strings.Join(locales, ", "))})
		case path.Ext(name) == ".json":
			problems = append(problems, Problem{File: name, Text: "lies in no language's folder; move it into one, such as " + locales[0]})
		}
	}
	return problems, nil
}

var placeholder = regexp.MustCompile(`\{([a-z_]+)\}`)

// wrong says why a message cannot replace another, or is empty.
func (m message) wrong(key string, former message) string {
	values := former.placeholders()
	for _, each := range m {
		form, text := each.name, each.text
		if !slices.Contains(pluralForms(), form) {
			return fmt.Sprintf("there is no plural form %q; there are %s", form, strings.Join(pluralForms(), ", "))
		}
		if strings.ContainsFunc(text, invisible) || strings.TrimSpace(text) == "" {
			return fmt.Sprintf("the text (%s) is empty, or has characters that cannot be seen", form)
		}
		names := placeholders(text)
		for _, name := range names {
			if !slices.Contains(values, name) {
				return fmt.Sprintf("there is no value {%s}; there are %v", name, values)
			}
		}
		for _, name := range values {
			// One and two may be said without a number.
			if !slices.Contains(names, name) && (name != "count" || form == other) {
				return fmt.Sprintf("the value {%s} is missing in the text (%s); put it where it belongs", name, form)
			}
		}
		if strings.Count(text, "{") != strings.Count(text, "}") || len(placeholder.FindAllString(text, -1)) != strings.Count(text, "{") {
			return `a value is written as {name}, in small letters; other braces cannot be used`
		}
	}
	if key == direction && m.of(other) != "ltr" && m.of(other) != "rtl" {
		return "neither ltr nor rtl"
	}
	return ""
}

// pluralForms are those of Unicode CLDR.
func pluralForms() []string { return []string{"zero", "one", "two", "few", "many", other} }

// invisible reports whether a character is none that people see, or moves others: marks that join letters are allowed.
func invisible(r rune) bool {
	return r == unicode.ReplacementChar || unicode.IsControl(r) || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

// placeholders returns the names of the values in a text, sorted.
func placeholders(text string) []string {
	var names []string
	for _, match := range placeholder.FindAllStringSubmatch(text, -1) {
		names = append(names, match[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (m message) placeholders() []string {
	var names []string
	for _, each := range m {
		names = append(names, placeholders(each.text)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Languages returns the languages in the order of the configuration. The caller must not change it.
func (c *Catalogue) Languages() []*Language { return c.languages }

// Tags returns the languages' tags.
func (c *Catalogue) Tags() []string {
	var tags []string
	for _, l := range c.languages {
		tags = append(tags, l.Tag)
	}
	return tags
}

// Match returns the language that fits the first of several lists that any fits: tags separated by spaces (ui_locales of OpenID
// Connect Core §3.1.2.1) or a list with weights (Accept-Language, RFC 9110 §12.5.4). Without any it is the first language.
func (c *Catalogue) Match(lists ...string) *Language {
	for _, list := range lists {
		wanted := wantedLanguages(list)
		if len(wanted) == 0 {
			continue
		}
		if _, at, confidence := c.matcher.Match(wanted...); confidence > language.No {
			return c.languages[at]
		}
	}
	return c.languages[0]
}

// maxList bounds a list of languages, in bytes, and maxWanted how many of one list are looked at.
const (
	maxList   = 1000
	maxWanted = 16
)

// wantedLanguages reads a list, the best first. What is no language is passed over: the others still count.
func wantedLanguages(list string) []language.Tag {
	if list == "" || len(list) > maxList {
		return nil
	}
	parts := strings.Fields(list)
	if strings.ContainsAny(list, ",;") {
		parts = strings.Split(list, ",")
	}
	type weighted struct {
		tag    language.Tag
		weight float64
	}
	var wanted []weighted
	for _, part := range parts[:min(len(parts), maxWanted)] {
		name, parameter, given := strings.Cut(part, ";")
		tag, err := language.Parse(strings.TrimSpace(name))
		if err != nil {
			continue
		}
		weight := 1.0
		if given {
			_, value, _ := strings.Cut(parameter, "=")
			if weight, err = strconv.ParseFloat(strings.TrimSpace(value), 64); err != nil || !(weight > 0) {
				continue
			}
		}
		wanted = append(wanted, weighted{tag, weight})
	}
	slices.SortStableFunc(wanted, func(a, b weighted) int { return cmp.Compare(b.weight, a.weight) })
	tags := make([]language.Tag, len(wanted))
	for i, each := range wanted {
		tags[i] = each.tag
	}
	return tags
}

// Text returns a message. pairs are names and values, alternately; the value of "count" chooses the plural form. A message
// that there is not is its key.
func (l *Language) Text(key string, pairs ...any) string {
	return l.fill(key, pairs, func(text string) string { return text }, func(value any) string { return fmt.Sprint(value) })
}

// takeApart splits the texts of a message, by plural form.
func takeApart(forms message) map[string][]part {
	apart := make(map[string][]part, len(forms))
	for _, each := range forms {
		var parts []part
		text, end := each.text, 0
		for _, at := range placeholder.FindAllStringSubmatchIndex(text, -1) {
			parts = append(parts, part{constant: text[end:at[0]], value: text[at[2]:at[3]]})
			end = at[1]
		}
		apart[each.name] = append(parts, part{constant: text[end:]})
	}
	return apart
}

// apart returns a message taken apart, which is done when it is shown first: most messages of most languages never are.
func (l *Language) apart(key string) (forms map[string][]part, known bool) {
	if forms, done := l.parts.Load(key); done {
		return forms.(map[string][]part), true
	}
	whole, known := l.messages[key]
	if !known {
		return nil, false
	}
	forms = takeApart(whole)
	l.parts.Store(key, forms)
	return forms, true
}

// fill renders a message: constant treats its own texts, variable the values.
func (l *Language) fill(key string, pairs []any, constant func(string) string, variable func(any) string) string {
	parts := l.form(key, find(pairs, "count"))
	if len(parts) == 1 {
		return constant(parts[0].constant)
	}
	var out strings.Builder
	for _, one := range parts {
		out.WriteString(constant(one.constant))
		if value := find(pairs, one.value); value != nil {
			out.WriteString(variable(value))
		}
	}
	return out.String()
}

// find returns the value of a name among names and values, or nil.
func find(pairs []any, name string) any {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i] == name {
			return pairs[i+1]
		}
	}
	return nil
}

// form is the text of a message for a count, or its only one.
func (l *Language) form(key string, count any) []part {
	forms, known := l.apart(key)
	if !known {
		return []part{{constant: key}}
	}
	if n, ok := count.(int); ok {
		name := [...]string{plural.Other: other, plural.Zero: "zero", plural.One: "one", plural.Two: "two", plural.Few: "few", plural.Many: "many"}
		if parts := forms[name[plural.Cardinal.MatchPlural(l.tag, n, 0, 0, 0, 0)]]; parts != nil {
			return parts
		}
	}
	return forms[other]
}

// Has reports whether there is a message.
func (l *Language) Has(key string) bool {
	_, known := l.messages[key]
	return known
}

// Pick returns the text for this language among texts by language, or "": that of the same tag, else of the same language
// elsewhere.
func (l *Language) Pick(texts map[string]string) string {
	base := func(tag string) string {
		before, _, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(tag, "_", "-")), "-")
		return before
	}
	near := ""
	for _, tag := range slices.Sorted(maps.Keys(texts)) {
		if strings.EqualFold(tag, l.Tag) || near == "" && strings.EqualFold(tag, base(l.Tag)) {
			near = tag
		}
		if strings.EqualFold(tag, l.Tag) {
			return texts[tag]
		}
	}
	if near != "" {
		return texts[near]
	}
	for _, tag := range slices.Sorted(maps.Keys(texts)) {
		if base(tag) == base(l.Tag) {
			return texts[tag]
		}
	}
	return ""
}
