package checklist

// brand lists what is demanded of the languages and the brand of the pages.
func brand() []Group {
	return []Group{{"KD", "The brand and the languages of pages", []Item{
		{ID: "KD-01", Section: "OpenID Connect Core §3.1.2.1", Requires: "each message exists in each language, with the same values and the plural forms of the language", NoRefusal: "there is nothing to refuse: the catalogues are built in"},
		{ID: "KD-02", Section: "RFC 9110 §12.5.4", Requires: "the language is that of the first list that any fits; dates, times and lengths of time are its own", NoRefusal: "there is nothing to refuse: who wants no language that there is gets the first"},
		{ID: "KD-03", Section: "OpenID Connect Core §3.1.2.1", Requires: "single messages can be replaced; an unknown one, or one with an unknown value, is refused by its key"},
		{ID: "KD-04", Section: "OpenID Connect Core §3.1.2.1", Requires: "every message that a page names exists", NoRefusal: "there is nothing to refuse: pages and catalogues are built in"},
		{ID: "KD-05", Section: "docs/brand.md", Requires: "a brand is checked at start: what is wrong is told by line, key and what would be right; CSS and HTML have no key"},
		{ID: "KD-06", Section: "OpenID Connect Core §3.1.2.1", Requires: "scopes are described by language, in languages of the pages"},
		{ID: "KD-07", Section: "Unicode CLDR, plural rules", Requires: "messages of a bank replace ours; unknown keys, lost values, forms and folders stop the start, by file, line and key"},
		{ID: "KD-08", Section: "BCP 47", Requires: "a further language has every message; a missing one stops the start"},
		{ID: "KD-09", Section: "docs/brand.md", Requires: "name, logo, colour and links of every page are the bank's, by language; Countersign's name is nowhere"},
		{ID: "KD-10", Section: "CSP Level 3", Requires: "images are served from here, by an address with their digest, and no others are allowed; an SVG runs in a sandbox"},
		{ID: "KD-11", Section: "CSS Color 4", Requires: "tones are derived from one colour; what is no colour is refused"},
		{ID: "KD-12", Section: "WCAG 2.2 SC 1.4.3, 1.4.11", Requires: "every pair of colours keeps its contrast, whatever the brand's colour is", NoRefusal: "there is nothing to refuse: tones are derived so that they keep it"},
		{ID: "KD-13", Section: "CSP Level 3", Requires: "a logo is an SVG or PNG of at most 64 KiB, complete in itself, without scripts"},
		{ID: "KD-14", Section: "OpenID Connect Core §3.1.2.1, RFC 9110 §12.5.4", Requires: "the language: the menu of the page, then ui_locales, then the menu elsewhere, then Accept-Language, then the first"},
		{ID: "KD-15", Section: "RFC 7591 §2.2", Requires: "what a client is called and refers to is in the language of the page"},
		{ID: "KD-16", Section: "RFC 6265bis §4.1.3.2", Requires: "the menu of languages keeps the interaction, changes nothing else, and remembers the language for this host alone"},
		{ID: "KD-17", Section: "RFC 7591 §2.2", Requires: "members by language are held to the rules of those without"},
		{ID: "KD-18", Section: "OpenID Connect Discovery §3", Requires: "ui_locales_supported has the languages of the pages"},
		{ID: "KD-19", Section: "docs/brand.md", Requires: "a file of the brand that cannot be used stops the start, by file and line"},
		{ID: "KD-20", Section: "WCAG 2.2 A and AA", Requires: "axe-core finds nothing on any page, in three languages, light and dark, at 320, 390 and 1280 pixels, at 200 %", NoRefusal: "there is nothing to refuse: pages are looked at"},
		{ID: "KD-21", Section: "WCAG 2.2 SC 1.4.10, 2.5.8", Requires: "nothing sticks out, is cut off, lies over another, or is too small to touch", NoRefusal: "there is nothing to refuse: pages are looked at"},
		{ID: "KD-22", Section: "WCAG 2.2 SC 1.4.4, 1.4.12", Requires: "likewise with text at 200 % and with wide spacing", NoRefusal: "there is nothing to refuse: pages are looked at"},
		{ID: "KD-23", Section: "WCAG 2.2 SC 3.1.1", Requires: "pages say their language, and Arabic runs from right to left", NoRefusal: "there is nothing to refuse: pages are looked at"},
		{ID: "KD-24", Section: "WCAG 2.2 SC 2.1.1, 2.4.3, 2.4.7, 2.4.11", Requires: "Tab leads to everything, in the order of reading, with a ring that shows and that nothing covers", NoRefusal: "there is nothing to refuse: pages are used"},
		{ID: "KD-25", Section: "WCAG 2.2 SC 2.1.1", Requires: "every button can be pressed by keyboard", NoRefusal: "there is nothing to refuse: pages are used"},
		{ID: "KD-26", Section: "docs/brand.md", Requires: "what the documentation shows is a brand that a whole server has"},
		{ID: "KD-27", Section: "WCAG 2.2 SC 3.1", Requires: "a page with a time of day names its zone", NoRefusal: "there is nothing to refuse: pages are read"},
		{ID: "KD-28", Section: "WCAG 2.2 SC 3.1.5", Requires: "no page has words for developers in what it says to people", NoRefusal: "there is nothing to refuse: pages are read"},
	}}}
}
