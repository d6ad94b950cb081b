package checklist

// brand lists what is demanded of the languages and the brand of the pages.
func brand() []Group {
	return []Group{{"KD", "The brand and the languages of pages", []Item{
		{ID: "KD-01", Section: "OpenID Connect Core §3.1.2.1", Requires: "each message exists in each language, with the same values and the plural forms of the language"},
		{ID: "KD-02", Section: "RFC 9110 §12.5.4", Requires: "the language is that of the first list that any fits; dates, times and lengths of time are its own"},
		{ID: "KD-03", Section: "OpenID Connect Core §3.1.2.1", Requires: "single messages can be replaced; an unknown one, or one with an unknown value, is refused by its key"},
		{ID: "KD-04", Section: "OpenID Connect Core §3.1.2.1", Requires: "every message that a page names exists"},
		{ID: "KD-11", Section: "CSS Color 4", Requires: "tones are derived from one colour; what is no colour is refused"},
		{ID: "KD-12", Section: "WCAG 2.2 SC 1.4.3, 1.4.11", Requires: "every pair of colours keeps its contrast, whatever the brand's colour is"},
		{ID: "KD-13", Section: "CSP Level 3", Requires: "a logo is an SVG or PNG of at most 64 KiB, complete in itself, without scripts"},
	}}}
}
