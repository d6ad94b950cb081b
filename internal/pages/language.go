package pages

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"countersign/fapi/browser"
	"countersign/internal/words"
)

// languageParameter is the parameter of the menu of languages. It has the name and the form of OpenID Connect Core §3.1.2.1.
const languageParameter = "ui_locales"

// language returns the language of a page: the one that the user chose on it, else one that the client asks for (wanted),
// else the one that the user chose elsewhere in this browser, else the browser's own.
func (p *Pages) language(r *http.Request, wanted string) *words.Language {
	chosen, here := browser.ChosenLanguage(r)
	if here {
		return p.words.Match(chosen)
	}
	return p.words.Match(wanted, chosen, r.Header.Get("Accept-Language"))
}

// languageOf returns the language that the server chose for a page, in which the details are that it binds decisions to; without
// one it is that of [Pages.language].
func (p *Pages) languageOf(r *http.Request, chosen, wanted string) *words.Language {
	if chosen != "" {
		return p.words.Match(chosen)
	}
	return p.language(r, wanted)
}

// Language chooses the language of a page; wanted is the client's ui_locales.
func (p *Pages) Language(r *http.Request, wanted string) string { return p.language(r, wanted).Tag }

// menuEntry is an entry of the menu, rendered but for the query of the page: every page has as many as there are languages.
type menuEntry struct{ before, after template.HTML }

// menuEntries renders the menu of a language.
func menuEntries(languages []*words.Language, current *words.Language) []menuEntry {
	var entries []menuEntry
	for _, l := range languages {
		mark := ""
		if l == current {
			mark = ` aria-current="true"`
		}
		tag, dir, name := template.HTMLEscapeString(l.Tag), template.HTMLEscapeString(l.Dir), template.HTMLEscapeString(l.Name)
		entries = append(entries, menuEntry{
			before: template.HTML(`<li><a href="?` + languageParameter + "=" + url.QueryEscape(l.Tag)),
			after:  template.HTML(`" lang="` + tag + `" dir="` + dir + `" hreflang="` + tag + `"` + mark + `>` + name + "</a></li>\n"),
		})
	}
	return entries
}

// offersLanguages reports whether the menu may lead back to the address of a request. At the authorization endpoint it may
// not: the parameters there are the client's.
func (p *Pages) offersLanguages(r *http.Request) bool {
	return r.URL.Path != p.base+"/authorize" && !strings.HasPrefix(r.URL.Path, "//") && len(p.words.Languages()) > 1 &&
		len(r.URL.RawQuery) < 1000
}

// menu returns the entries of the menu of languages, or nothing.
func (p *Pages) menu(r *http.Request, current *words.Language) template.HTML {
	if !p.offersLanguages(r) {
		return ""
	}
	kept := ""
	if r.URL.RawQuery != "" {
		rest := r.URL.Query()
		rest.Del(languageParameter)
		if encoded := rest.Encode(); encoded != "" {
			kept = template.HTMLEscapeString("&" + encoded)
		}
	}
	var menu strings.Builder
	for _, entry := range p.menus[current.Tag] {
		menu.WriteString(string(entry.before) + kept + string(entry.after))
	}
	return template.HTML(menu.String())
}

// choose remembers a language that was chosen in the menu, and leads back to the page without the parameter. It reports whether
// it has answered.
func (p *Pages) choose(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodGet || r.URL.RawQuery == "" {
		return false
	}
	query := r.URL.Query()
	if !query.Has(languageParameter) || !p.offersLanguages(r) {
		return false
	}
	browser.ChooseLanguage(w, r, p.words.Match(query.Get(languageParameter), r.Header.Get("Accept-Language")).Tag)
	query.Del(languageParameter)
	browser.SeeOther(w, (&url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: query.Encode()}).String())
	return true
}
