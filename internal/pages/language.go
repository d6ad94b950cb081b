package pages

import (
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

// languageView is an entry of the menu.
type languageView struct {
	Tag, Name, Dir, Address string
	Current                 bool
}

// offersLanguages reports whether the menu may lead back to the address of a request. At the authorization endpoint it may
// not: the parameters there are the client's.
func (p *Pages) offersLanguages(r *http.Request) bool {
	return r.URL.Path != p.base+"/authorize" && !strings.HasPrefix(r.URL.Path, "//") && len(p.words.Languages()) > 1 &&
		len(r.URL.RawQuery) < 1000
}

// menu returns the languages of the page, or none.
func (p *Pages) menu(r *http.Request, current *words.Language) []languageView {
	if !p.offersLanguages(r) {
		return nil
	}
	var views []languageView
	for _, l := range p.words.Languages() {
		query := r.URL.Query()
		query.Set(languageParameter, l.Tag)
		views = append(views, languageView{
			Tag: l.Tag, Name: l.Name, Dir: l.Dir, Address: "?" + query.Encode(), Current: l == current,
		})
	}
	return views
}

// choose remembers a language that was chosen in the menu, and leads back to the page without the parameter. It reports whether
// it has answered.
func (p *Pages) choose(w http.ResponseWriter, r *http.Request) bool {
	query := r.URL.Query()
	if r.Method != http.MethodGet || !query.Has(languageParameter) || !p.offersLanguages(r) {
		return false
	}
	browser.ChooseLanguage(w, r, p.words.Match(query.Get(languageParameter), r.Header.Get("Accept-Language")).Tag)
	query.Del(languageParameter)
	browser.SeeOther(w, (&url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: query.Encode()}).String())
	return true
}
