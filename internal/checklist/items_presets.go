package checklist

// presets lists what presets of ecosystems are held to.
func presets() []Group {
	return []Group{{"LP", "Presets of ecosystems", []Item{
		{ID: "LP-01", Section: "FAPI 2.0 Security Profile §5", Requires: "a profile is a base, a preset, or a preset on another base; nothing else is one"},
		{ID: "LP-02", Section: "FAPI 2.0 Security Profile §5", Requires: "a rule of a preset can tighten its base or give names, and never widen it"},
		{ID: "LP-03", Section: "FAPI 2.0 Security Profile §5", Requires: "each rule has an https address, a place there and a date; what is unknown is refused, the nearest name suggested"},
		{ID: "LP-04", Section: "FAPI 1.0 Advanced §5, FAPI 2.0 Message Signing §5", Requires: "each ecosystem asks what its text says, on each of its bases"},
		{ID: "LP-05", Section: "OpenID Connect Core §5.5.1.1, CIBA Core §7.1", Requires: "acr by the names of the client's own profile, essential ones honoured or refused, over the backchannel too"},
		{ID: "LP-06", Section: "RFC 6749 §3.3", Requires: "a scope with a parameter is one of the client's profile and registration; any other is refused, never left out"},
		{ID: "LP-07", Section: "RFC 6749 §3.3, §6, RFC 7662 §2.2", Requires: "a scope with a parameter is kept in grant, token, refresh and introspection, and shown"},
		{ID: "LP-08", Section: "RFC 8414 §2", Requires: "one server serves several ecosystems, each client its own; the metadata are the union"},
		{ID: "LP-09", Section: "FAPI 2.0 Security Profile §5", Requires: "the command line lists, explains and compares profiles"},
		{ID: "LP-10", Section: "FAPI 1.0 Advanced §5", Requires: "a preset's name, a trust list and an issuer are a whole configuration"},
		{ID: "LP-11", Section: "FAPI 2.0 Security Profile §5", Requires: "policy asks the fields of a profile, and never its name", NoRefusal: "a rule of the code, not of a request"},
		{ID: "LP-12", Section: "FAPI 2.0 Security Profile §5", Requires: "each field that a preset sets is asked somewhere", NoRefusal: "a rule of the code, not of a request"},
		{ID: "LP-13", Section: "OpenID Connect Core §3.1.2.1", Requires: "scopes that a preset names have a sentence in each language of the pages", NoRefusal: "a rule of the data, not of a request"},
	}}}
}
