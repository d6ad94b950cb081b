// Package words has the texts of the pages in every language that the server speaks, and writes dates, times and lengths of
// time as people read them there.
//
// Messages are embedded, in catalog/LANGUAGE/*.json: flat keys, each with a text or, where a number decides, with a text for
// each plural form of the language (Unicode CLDR). {name} in a text is replaced by the value of that name. A folder with the
// same form may override single messages.
package words

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a container may have no zones of its own

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
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
	// parts are the messages' texts, by key and plural form, taken apart.
	parts map[string]map[string][]part
}

// part is a piece of a text: constant, or the name of a value that stands there.
type part struct{ constant, value string }

// message is a text, or a text for each plural form.
type message map[string]string

const other = "other"

// UnmarshalJSON implements [json.Unmarshaler].
func (m *message) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		*m = message{other: text}
		return nil
	}
	var forms map[string]string
	if err := json.Unmarshal(raw, &forms); err != nil || forms[other] == "" {
		return errors.New(`neither a text nor texts by plural form with "other" among them`)
	}
	*m = forms
	return nil
}

// Supported returns the languages that have a catalogue, English first.
func Supported() []string { return []string{"en", "pt-BR", "es", "fr", "de", "ar"} }

// New makes a catalogue of the languages that locales lists, the first for whoever wants none of them. Times are those of
// zone. override may be nil; otherwise its files LANGUAGE/*.json replace single messages. Errors name a language that there is
// not, and of a file that cannot be used the key that is wrong.
func New(locales []string, zone *time.Location, override fs.FS) (*Catalogue, error) {
	if len(locales) == 0 {
		return nil, errors.New("words: no language")
	}
	c := &Catalogue{}
	var tags []language.Tag
	for _, name := range locales {
		if !slices.Contains(Supported(), name) {
			return nil, fmt.Errorf("words: there is no catalogue of the language %q; there are %s", name, strings.Join(Supported(), ", "))
		}
		tag, err := language.Parse(name)
		if err != nil {
			return nil, fmt.Errorf("words: %w", err)
		}
		messages := map[string]message{}
		if err := read(embedded, path.Join("catalog", name), func(key string, text message) error {
			messages[key] = text
			return nil
		}); err != nil {
			return nil, fmt.Errorf("words: %w", err)
		}
		if override != nil {
			if err := read(override, name, func(key string, text message) error { return replace(messages, key, text) }); err != nil {
				return nil, fmt.Errorf("words: %w", err)
			}
		}
		l := &Language{Tag: name, Dir: "ltr", tag: tag, zone: zone, messages: messages}
		l.takeApart()
		l.Name = l.Text("language.name")
		if l.Text("language.direction") == "rtl" {
			l.Dir = "rtl"
		}
		c.languages, tags = append(c.languages, l), append(tags, tag)
	}
	c.matcher = language.NewMatcher(tags)
	return c, nil
}

// maxFile bounds a file of messages, in bytes.
const maxFile = 1 << 20

// read reads the files of a folder, and hands each message on. A folder that is not there has none.
func read(files fs.FS, folder string, take func(key string, text message) error) error {
	entries, err := fs.ReadDir(files, folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := path.Join(folder, entry.Name())
		if entry.IsDir() || path.Ext(name) != ".json" {
			continue
		}
		if info, err := entry.Info(); err != nil || info.Size() > maxFile {
			return fmt.Errorf("%s: larger than %d bytes, or not readable", name, maxFile)
		}
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		var messages map[string]message
		if err := json.Unmarshal(raw, &messages); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, key := range slices.Sorted(maps.Keys(messages)) {
			if err := take(key, messages[key]); err != nil {
				return fmt.Errorf("%s: %s: %w", name, key, err)
			}
		}
	}
	return nil
}

// replace overrides one message. It may leave placeholders out, and has none of its own.
func replace(messages map[string]message, key string, text message) error {
	former, known := messages[key]
	if !known {
		return errors.New("there is no such message")
	}
	for form, override := range text {
		if strings.ContainsFunc(override, func(r rune) bool { return r < ' ' }) || strings.TrimSpace(override) == "" {
			return fmt.Errorf("%s is empty, or has characters that cannot be seen", form)
		}
		for _, name := range placeholders(override) {
			if !slices.Contains(former.placeholders(), name) {
				return fmt.Errorf("there is no value {%s}; there are %v", name, former.placeholders())
			}
		}
	}
	messages[key] = text
	return nil
}

var placeholder = regexp.MustCompile(`\{([a-z_]+)\}`)

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
	for _, text := range m {
		names = append(names, placeholders(text)...)
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

// maxWanted bounds how many languages of one list are looked at.
const maxWanted = 16

// Match returns the language that fits the first of several lists that any fits: tags separated by spaces (ui_locales of OpenID
// Connect Core §3.1.2.1) or a list with weights (Accept-Language, RFC 9110 §12.5.4). Without any it is the first language.
func (c *Catalogue) Match(lists ...string) *Language {
	for _, list := range lists {
		if list == "" || len(list) > 1000 {
			continue
		}
		wanted, _, err := language.ParseAcceptLanguage(strings.Join(strings.Fields(list), ","))
		if strings.ContainsAny(list, ",;") {
			wanted, _, err = language.ParseAcceptLanguage(list)
		}
		if err != nil || len(wanted) == 0 {
			continue
		}
		if _, at, confidence := c.matcher.Match(wanted[:min(len(wanted), maxWanted)]...); confidence > language.No {
			return c.languages[at]
		}
	}
	return c.languages[0]
}

// Text returns a message. pairs are names and values, alternately; the value of "count" chooses the plural form. A message
// that there is not is its key.
func (l *Language) Text(key string, pairs ...any) string {
	return l.fill(key, pairs, func(text string) string { return text }, func(value any) string { return fmt.Sprint(value) })
}

// takeApart splits the texts once, so that a page does not.
func (l *Language) takeApart() {
	l.parts = make(map[string]map[string][]part, len(l.messages))
	for key, forms := range l.messages {
		l.parts[key] = make(map[string][]part, len(forms))
		for form, text := range forms {
			var parts []part
			end := 0
			for _, at := range placeholder.FindAllStringSubmatchIndex(text, -1) {
				parts = append(parts, part{constant: text[end:at[0]], value: text[at[2]:at[3]]})
				end = at[1]
			}
			l.parts[key][form] = append(parts, part{constant: text[end:]})
		}
	}
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
	forms, known := l.parts[key]
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
