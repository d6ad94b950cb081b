package checklist

import "slices"

// handOff lists what a login of the operator's own has to be handed, and what it cannot do.
func handOff() []Item {
	return []Item{
		{ID: "KE-01", Section: "OAuth 2.0 Security BCP (RFC 9700) §4.12", Requires: "sign-in and decision can be handed off whole: to the login, and back to the client"},
		{ID: "KE-02", Section: "OpenID Connect Core §3.1.2.1", Requires: "the login reads all that is asked for, and what is demanded of a sign-in"},
		{ID: "KE-03", Section: "OpenID Connect Core §3.1.2.3", Requires: "sign-in and decision can be handed off apart, and neither says anything about the other"},
		{ID: "KE-04", Section: "RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6", Requires: "the login says why not, and the client is told"},
		{ID: "KE-05", Section: "OWASP ASVS 5.0 §7.1", Requires: "one answer counts, and the browser comes back once"},
		{ID: "KE-06", Section: "RFC 9700 §4.7, OWASP ASVS 5.0 §7.2.4", Requires: "it comes back only where it began: no fixation, no swap, no stolen address"},
		{ID: "KE-07", Section: "RFC 6749 §3.3, RFC 9396 §6", Requires: "no more is allowed than was asked, and each detail as it was asked"},
		{ID: "KE-08", Section: "OpenID Connect Core §2, §5.5.1.1", Requires: "a sign-in is claimed by its rules: class, methods, time, user"},
		{ID: "KE-09", Section: "RFC 6749 §4.1.2.1", Requires: "a login that never answers leaves neither client nor user without an error"},
		{ID: "KE-10", Section: "RFC 8705 §2", Requires: "nobody but the login reads and answers"},
		{ID: "KE-11", Section: "RFC 9126 §4", Requires: "what changed since it was shown is not granted"},
		{ID: "KE-12", Section: "OWASP ASVS 5.0 §2.3.1", Requires: "no form of the server does what is handed off"},
		{ID: "KE-13", Section: "OWASP ASVS 5.0 §15.4", Requires: "of answers and returns on several nodes at once one counts"},
		{ID: "KE-14", Section: "RFC 7523 §2.2, RFC 9449 §7", Requires: "the login can be a registered client: private_key_jwt, and a token bound by DPoP or to its certificate"},
		{ID: "KE-15", Section: "RFC 8705 §3.1", Requires: "its certificate can be pinned, and changed without a pause"},
		{ID: "KE-16", Section: "OWASP ASVS 5.0 §13.1", Requires: "settings that cannot work are refused, each by its name"},
		{ID: "KE-17", Section: "OWASP ASVS 5.0 §13.1", Requires: "a configuration that cannot work stops the start, by its key"},
		{ID: "KE-18", Section: "OWASP ASVS 5.0 §16.3", Requires: "answers, sign-ins, decisions and grants are in the audit log with one digest of the request"},
		{ID: "KE-19", Section: "RFC 9396 §7, EU 2018/389 Art. 5", Requires: "what was shown is what was stored is what the token says"},
		{ID: "KE-20", Section: "CIBA Core §7.3", Requires: "what waits for a user is read and decided by the login's backend: once, as it was shown, in the user's name"},
		{ID: "KE-21", Section: "CIBA Core §7.1", Requires: "each authentication class is of the place where it can be reached"},
		{ID: "KE-22", Section: "CIBA Core §7.1", Requires: "whom a hint means is the login's to say, also of users who are not known here"},
		{ID: "KE-23", Section: "CIBA Core §13", Requires: "without an answer about a hint nobody is asked, and the client is told to try again"},
		{ID: "KE-24", Section: "OWASP ASVS 5.0 §13.1", Requires: "files of a login that cannot be used stop the start, each by its key in one line"},
		{ID: "KE-25", Section: "RFC 9396 §7", Requires: "what the user chose of a list at the login is granted, and nothing without a choice"},
	}
}

// handedOff is the group of the login of the operator's own.
func handedOff() []Group {
	return []Group{{"KE", "A login of the operator's own", slices.Concat(handOff(), ownLogins(), handOffRest())}}
}
