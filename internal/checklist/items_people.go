package checklist

// people lists what the built-in directory of users, and other sources of their claims, have to do.
func people() []Group {
	return []Group{{"KB", "Users and their claims", append([]Item{
		{ID: "KB-01", Section: "OWASP ASVS 5.0 §7.4", Requires: "an operator sees a user's profile, state, sign-ins, devices and grants"},
		{ID: "KB-02", Section: "OpenID Connect Core §5.1", Requires: "claims are changed one by one, each by its type"},
		{ID: "KB-03", Section: "OpenID Connect Core §5.1", Requires: "a new e-mail address or telephone number is not verified unless it is said"},
		{ID: "KB-04", Section: "RFC 4180 §2", Requires: "an import names each bad line with its reason and imports nothing of it"},
		{ID: "KB-05", Section: "RFC 4180 §2", Requires: "an import that is repeated changes nothing, and passwords of users who exist never"},
		{ID: "KB-06", Section: "RFC 4180 §2", Requires: "a dry run reports the same and changes nothing"},
		{ID: "KB-07", Section: "RFC 4180 §2", Requires: "a user name or subject that a file has twice is imported from neither line"},
		{ID: "KB-08", Section: "OWASP ASVS 5.0 §5.2.1", Requires: "files, lines and values are bounded"},
		{ID: "KB-09", Section: "NIST SP 800-63B-4 §3.1.1.2", Requires: "a password hash from elsewhere costs enough to guess at, and a made password is kept before its user is stored"},
		{ID: "KB-10", Section: "OWASP ASVS 5.0 §7.4.1", Requires: "signed out, disabled or with a new password, a browser is signed in on no node a second later, and enabling revives nothing"},
		{ID: "KB-11", Section: "OWASP ASVS 5.0 §7.4.3", Requires: "who gave the old password just before a reset is not signed in just after it, on any node"},
		{ID: "KB-12", Section: "OWASP ASVS 5.0 §7.4.2", Requires: "an import that disables a user ends the sessions"},
	}, claimsSources()...)}}
}
