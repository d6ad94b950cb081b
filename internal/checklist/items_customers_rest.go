package checklist

// accountRest lists what else a user's own account is held to.
func accountRest() []Item {
	return []Item{
		{ID: "KF-20", Section: "OWASP ASVS 5.0 §7.5.2", Requires: "browsers that know the user are listed, and each is forgotten by itself"},
		{ID: "KF-21", Section: "GDPR Article 12(1)", Requires: "it is said who ended something: the user, the application or the bank", NoRefusal: "it is about what the page says"},
		{ID: "KF-22", Section: "GDPR Article 7(3)", Requires: "tokens of what a user ends stop on other nodes within a second"},
		{ID: "KF-23", Section: "OpenAPI 3.1", Requires: "whatever an application of the operator's own sends, it gets no error of the server, and no answer that the description lacks"},
	}
}

// displayRest lists what else consents are held to.
func displayRest() []Item {
	return []Item{
		{ID: "KC-29", Section: "WCAG 2.2 SC 3.1.2", Requires: "a text of a type that there is only in another language is marked with it and its direction"},
	}
}

// logoutRest lists what else the end of sessions is held to.
func logoutRest() []Item {
	return []Item{
		{ID: "LO-07", Section: "OWASP ASVS 5.0 §2.3.1", Requires: "the page that asks is answered once, on all nodes, and a second answer gets a page that says what is"},
		{ID: "LO-08", Section: "RP-Initiated §4", Requires: "who is signed out finds the way to sign in to their own account", NoRefusal: "it is a link"},
	}
}

// handOffRest lists what else a login of the operator's own is held to.
func handOffRest() []Item {
	return []Item{
		{ID: "KE-48", Section: "OWASP ASVS 5.0 §7.4.2", Requires: "what ends all sign-ins of a user ends one that is on its way back from the login, on every node"},
		{ID: "KE-49", Section: "RFC 9396 §7, OWASP ASVS 5.0 §2.3.1", Requires: "pages, approval apps and the login decide by one state machine, which grants nothing but what was shown"},
		{ID: "KE-50", Section: "RFC 9325 §7.1", Requires: "the certificate of a login is read again when it changes"},
		{ID: "KE-51", Section: "CIBA Core §7.1, §13", Requires: "a login_hint_token of a known issuer is verified before the login is asked whom it means"},
		{ID: "KE-52", Section: "RFC 7523 §2.2, RFC 9449 §7", Requires: "the example of a login calls the API as a registered client, by private_key_jwt and DPoP, too"},
		{ID: "KE-53", Section: "OpenID Connect Core §3.1.2.1 (ui_locales)", Requires: "the example of a login speaks the language that is wanted, as what is asked for does"},
	}
}
