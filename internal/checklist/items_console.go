package checklist

// consoled are the console of operators, and what explains refusals to them.
func consoled() []Group {
	return []Group{{
		Code:  "NM",
		Title: "The console of operators",
		Items: []Item{
			{ID: "NM-60", Section: "RFC 6749 §5.2", Requires: "a refusal is explained by the rule that was not kept to; the command line and the console look it up in one way"},
			{ID: "NM-61", Section: "OWASP ASVS 5.0 §8.2", Requires: "the console answers GET alone, to operators with a role, and tells nobody else anything"},
			{ID: "NM-62", Section: "OWASP ASVS 5.0 §2.2", Requires: "one field finds what a whole identifier is of: a refused request, a client, a consent, a grant, a person"},
			{ID: "NM-63", Section: "GDPR Article 5(1)(c)", Requires: "data of persons are shown to the security officer, and masked for everybody else"},
			{ID: "NM-64", Section: "GDPR Article 5(2), Article 32", Requires: "who looks at whose data is recorded before they are shown, once for each page; what cannot be recorded is not shown"},
			{ID: "NM-65", Section: "OWASP ASVS 5.0 §1.2, §3.4", Requires: "what others stored is text, whatever it is; no secret is on a page, and no page runs or loads anything"},
			{ID: "NM-66", Section: "OWASP ASVS 5.0 §15.2.2", Requires: "lists are bounded, and go on from the last entry; no page looks at all of the audit log or of the refusals"},
			{ID: "NM-67", Section: "WCAG 2.2, level AA", Requires: "the console is read on narrow and wide screens, light and dark, by the keyboard and by screen readers"},
			{ID: "NM-68", Section: "OWASP ASVS 5.0 §16.5.3", Requires: "the overview says whether the node works, how old keys and seals are, what ends soon, and what refuses most"},
			{ID: "NM-69", Section: "OWASP ASVS 5.0 §13.4", Requires: "the console is on the listener of the admin API, behind the certificates of operators"},
		},
	}}
}
