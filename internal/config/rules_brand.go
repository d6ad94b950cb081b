package config

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"countersign/internal/config/position"
	"countersign/internal/suggest"
)

var (
	accent = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)
	// languageTag is a language with its script and region (BCP 47), as browsers write it.
	languageTag = regexp.MustCompile(`^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$`)
)

// brandRules are the rules of [Brand].
type brandRules struct{ *collector }

// brand checks what shows without opening the files.
func (c brandRules) brand(b *Brand) {
	const base = "brand."
	if !c.bad(base+"accent") && !accent.MatchString(b.Accent) {
		c.add(base+"accent", quote(b.Accent), `not a colour; write # and six hexadecimal digits, such as "#12594a"`)
	}
	if _, err := time.LoadLocation(b.TimeZone); !c.bad(base+"time_zone") && (err != nil || b.TimeZone == "" || b.TimeZone == "Local") {
		c.add(base+"time_zone", quote(b.TimeZone), `not a time zone; write its name in the tz database, such as "Europe/Berlin"`)
	}
	locales := strings.Fields(b.Locales)
	for i, locale := range locales {
		switch {
		case c.bad(base + "locales"):
		case !languageTag.MatchString(locale):
			c.add(base+"locales", quote(locale), `not a language; write it as "en" or "pt-BR" (BCP 47)`)
		case slices.Contains(locales[:i], locale):
			c.add(base+"locales", quote(locale), "listed twice; keep one")
		}
	}
	if len(locales) == 0 && !c.bad(base+"locales") {
		c.add(base+"locales", quote(b.Locales), `empty; name one language at least, such as "en"`)
	}
	c.shown(base, b.Name, b.HelpURI, b.PrivacyURI, b.AccessibilityURI)
	if b.LogoFile == "" {
		c.unneeded(base+"logo_dark_file", string(b.LogoDarkFile), quote(string(b.LogoDarkFile)), "has no meaning without brand.logo_file; set both")
	}
	if b.Name == "" {
		for key, file := range map[string]File{base + "logo_file": b.LogoFile, base + "favicon_file": b.FaviconFile} {
			c.unneeded(key, string(file), quote(string(file)), "has no meaning without brand.name; set both")
		}
		if len(b.Languages) > 0 {
			c.add(base+"languages", "", "has no meaning without brand.name; set it too")
		}
	}
	seen := map[string]bool{}
	for i, l := range b.Languages {
		prefix := fmt.Sprintf("brand.languages[%d].", i)
		switch key := prefix + "language"; {
		case c.bad(key):
		case seen[l.Language]:
			c.add(key, quote(l.Language), "described twice; keep one")
		default:
			c.offered(key, l.Language, b)
		}
		seen[l.Language] = true
		c.shown(prefix, l.Name, l.HelpURI, l.PrivacyURI, l.AccessibilityURI)
		if l.LogoFile == "" {
			c.unneeded(prefix+"logo_dark_file", string(l.LogoDarkFile), quote(string(l.LogoDarkFile)), "has no meaning without logo_file of the same language; set both")
		}
	}
}

// maxName bounds the name of the service, in characters: what is longer would be cut.
const maxName = 60

// shown checks the name and the addresses of a brand.
func (c brandRules) shown(prefix, name, help, privacy, accessibility string) {
	if key := prefix + "name"; !c.bad(key) && (utf8.RuneCountInString(name) > maxName || strings.ContainsFunc(name, invisible) || strings.TrimSpace(name) != name) {
		c.add(key, literal(name), "longer than %d characters, or with characters that cannot be seen; write the name as users know it", maxName)
	}
	for _, each := range []struct{ key, address string }{
		{"help_uri", help}, {"privacy_uri", privacy}, {"accessibility_uri", accessibility},
	} {
		u, err := url.Parse(each.address)
		if key := prefix + each.key; each.address != "" && !c.bad(key) &&
			(err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || len(each.address) > maxAddress) {
			c.add(key, literal(each.address), `not an https address; write it whole, such as "https://bank.example/help"`)
		}
	}
}

// maxAddress bounds an address on pages, in bytes.
const maxAddress = 2000

// invisible reports whether a character cannot be seen, or moves others.
func invisible(r rune) bool { return !unicode.IsPrint(r) }

// descriptions wants sentences in languages that pages have.
func (c brandRules) descriptions(prefix string, texts map[string]string, b *Brand) {
	for _, tag := range slices.Sorted(maps.Keys(texts)) {
		key := position.Join(prefix, tag)
		if c.bad(key) {
			continue
		}
		if texts[tag] == "" || !isSentence(texts[tag]) {
			c.add(key, "", "empty, longer than 200 characters or with control characters; write one sentence that users understand")
			continue
		}
		c.offered(key, tag, b)
	}
}

// isSentence reports whether users can be shown a text whole.
func isSentence(text string) bool {
	return utf8.RuneCountInString(text) <= 200 && !strings.ContainsFunc(text, unicode.IsControl)
}

// offered demands a language that pages have.
func (c brandRules) offered(key, tag string, b *Brand) {
	locales := strings.Fields(b.Locales)
	if !slices.Contains(locales, tag) && !c.bad("brand.locales") {
		c.add(key, quote(tag), "not a language of the pages; %s", suggest.Hint(tag, locales, "add it to brand.locales"))
	}
}
