package browser

import (
	"net/http"
	"slices"
	"strings"
)

// languageCookie is the language that the user has chosen, and a digest of the page on which it was.
const languageCookie = "__Host-countersign-language"

// ChooseLanguage remembers the language that the user has chosen on the page of the request.
func ChooseLanguage(w http.ResponseWriter, r *http.Request, tag string) {
	setCookie(w, languageCookie, tag+"."+FormToken("language", r.URL.Path), knownLifetime)
}

// ChosenLanguage returns the language that the user has chosen in this browser, or "". here reports whether it was on this very
// page, so that it counts for more than what the client asks for.
func ChosenLanguage(r *http.Request) (tag string, here bool) {
	if !slices.ContainsFunc(r.Header["Cookie"], func(line string) bool { return strings.Contains(line, languageCookie) }) {
		return "", false // as most browsers; reading the others would cost each page
	}
	found, err := r.Cookie(languageCookie)
	if err != nil || len(found.Value) > 128 {
		return "", false
	}
	tag, page, _ := strings.Cut(found.Value, ".")
	return tag, SameToken(page, FormToken("language", r.URL.Path))
}
