package checklist

// consents lists what is demanded of consents that clients lodge before they ask for an authorization.
func consents() []Group {
	return []Group{{"LC", "Lodged consents", append([]Item{
		{ID: "LC-01", Section: "Open Finance Brasil Security Profile §7.1", Requires: "the consent that a request names is bound to its grant, and is authorised with it"},
		{ID: "LC-02", Section: "Open Finance Brasil Security Profile §7.1", Requires: "it is read again when the code is redeemed and at each refresh"},
		{ID: "LC-03", Section: "UK Open Banking Read/Write API Profile, Consent Authorisation", Requires: "a request that needs a consent and names none, or another client's, an unknown one, or one in another state, is refused"},
		{ID: "LC-04", Section: "UK Open Banking Read/Write API Profile, Consent Authorisation", Requires: "a request for scopes that its consent does not cover is refused"},
		{ID: "LC-05", Section: "RFC 9126 §4", Requires: "a consent that ends meanwhile is refused when the request is opened and when it is decided"},
		{ID: "LC-06", Section: "EU RTS 2018/389 Article 5", Requires: "the page shows the content of the consent, in the user's language; what cannot be shown is not allowed"},
		{ID: "LC-07", Section: "Open Finance Brasil Security Profile §5.2.2.2", Requires: "who signs in is who the consent is for, by its hints or because they authorised it: else access_denied"},
		{ID: "LC-08", Section: "UK Open Banking Read/Write API Profile, Re-authentication", Requires: "a consent that lasts is authorised again by its user, and what was issued by it before ends"},
		{ID: "LC-09", Section: "RFC 6749 §10.2", Requires: "of several interactions about one consent one decides, and one grant is valid"},
		{ID: "LC-10", Section: "Open Finance Brasil Security Profile §7.1", Requires: "neither grant nor token outlives the consent"},
		{ID: "LC-11", Section: "RFC 7009 §2.1", Requires: "the end of a consent ends its tokens on every node"},
		{ID: "LC-12", Section: "OWASP ASVS 5.0 §16.3", Requires: "each step is evidence, with who did it"},
		{ID: "LC-13", Section: "RFC 8417 §2, RFC 8935 §2", Requires: "the operator is told of each change by a signed security event token, until it is acknowledged"},
		{ID: "LC-14", Section: "RFC 8935 §2", Requires: "what is not acknowledged within a week is given up, with evidence"},
		{ID: "LC-15", Section: "operation", Requires: "the webhook is configured whole or not at all, and is reached as configured"},
		{ID: "LC-16", Section: "CIBA Core §7.1", Requires: "a consent is named by login_hint over the backchannel; whose it is is asked"},
		{ID: "LC-17", Section: "CIBA Core §7.1", Requires: "on the device its content is shown, and it is decided with the grant"},
		{ID: "LC-18", Section: "OpenID Connect Core §5.5.1, RFC 6749 §3.3, RFC 9396 §2", Requires: "a request names one consent, in the way of its profile"},
		{ID: "LC-19", Section: "GDPR Article 7(3)", Requires: "a consent appears in the user's account and ends there"},
		{ID: "LC-20", Section: "EU RTS 2018/389 Article 5", Requires: "a login of the operator's own reads the consent and decides about it with the rest"},
		{ID: "LC-21", Section: "operation", Requires: "an operator lists, reads, ends and consumes consents, with evidence"},
		{ID: "LC-22", Section: "RFC 9110 §15.6.4", Requires: "while the system that keeps the consents does not answer nothing is granted, and 503 says when to try again"},
		{ID: "LC-23", Section: "UK Open Banking Read/Write API Profile, Consent Authorisation", Requires: "a consent that is kept elsewhere is bound, ends and is told like any other; what is said of another one counts for nothing"},
	}, consentAPIs()...)}}
}
