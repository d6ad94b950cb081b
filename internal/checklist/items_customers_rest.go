package checklist

// accountRest lists what else a user's own account is held to.
func accountRest() []Item {
	return []Item{
		{ID: "KF-20", Section: "OWASP ASVS 5.0 §7.5.2", Requires: "browsers that know the user are listed, and each is forgotten by itself"},
		{ID: "KF-21", Section: "GDPR Article 12(1)", Requires: "it is said who ended something: the user, the application or the bank", NoRefusal: "it is about what the page says"},
		{ID: "KF-22", Section: "GDPR Article 7(3)", Requires: "tokens of what a user ends stop on other nodes within a second"},
	}
}

// handOffRest lists what else a login of the operator's own is held to.
func handOffRest() []Item {
	return []Item{
		{ID: "KE-48", Section: "OWASP ASVS 5.0 §7.4.2", Requires: "what ends all sign-ins of a user ends one that is on its way back from the login, on every node"},
	}
}
