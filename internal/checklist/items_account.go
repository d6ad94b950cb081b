package checklist

import "slices"

// ownAccount lists what a user's own account has to show and to end.
func ownAccount() []Item {
	return []Item{
		{ID: "KF-01", Section: "GDPR Article 15", Requires: "users see whom they gave what, until when, and when it was last used, in words of their own"},
		{ID: "KF-02", Section: "GDPR Article 7(3)", Requires: "one step ends all that an application was given: its codes and tokens are refused on every node before the answer is there"},
		{ID: "KF-03", Section: "GDPR Article 7(3)", Requires: "one of several decisions can be ended alone"},
		{ID: "KF-04", Section: "OWASP ASVS 5.0 §16.3.2", Requires: "who ended what, and through what, is in the audit log by the transaction that ended it"},
		{ID: "KF-05", Section: "OWASP ASVS 5.0 §8.2.2", Requires: "what belongs to another user can be neither seen nor ended, whatever identifier is named"},
		{ID: "KF-06", Section: "OWASP ASVS 5.0 §3.5.1", Requires: "a form counts only from the page, in the browser and under the sign-in that it was shown to"},
		{ID: "KF-07", Section: "OWASP ASVS 5.0 §7.6.1", Requires: "whoever is not signed in gets the sign-in page, and then the page that was asked for"},
		{ID: "KF-08", Section: "OWASP ASVS 5.0 §7.5.2", Requires: "users see where they are signed in, and end one sign-in or all others, on every node", NoRefusal: "whose they are not cannot reach them: that has an item of its own"},
		{ID: "KF-09", Section: "OWASP ASVS 5.0 §7.5.1", Requires: "a passkey is removed under a recent sign-in with a passkey alone, and the last one where it is said what follows"},
		{ID: "KF-10", Section: "OWASP ASVS 5.0 §6.5.6", Requires: "applications that confirm and notifications end in one step, without a new sign-in"},
		{ID: "KF-11", Section: "OWASP ASVS 5.0 §7.4.3", Requires: "browsers that are known count for nothing once their user has had them forgotten"},
		{ID: "KF-12", Section: "RFC 6750 §3.1, RFC 9449 §7", Requires: "the API is for the operator's own clients alone, with a token of its scope that is bound to the sender, for the address that is called"},
		{ID: "KF-13", Section: "RFC 9470 §3", Requires: "a call that needs a recent sign-in with a passkey is refused with a challenge that says so"},
		{ID: "KF-14", Section: "RFC 9110 §15", Requires: "the API answers as its description says and not otherwise, to good calls and to bad ones"},
		{ID: "KF-15", Section: "OWASP ASVS 5.0 §2.4.1", Requires: "lists are bounded, and their pages have everything once"},
		{ID: "KF-16", Section: "GDPR Article 25", Requires: "the last use is known to an hour, and costs no write within an hour of another"},
		{ID: "KF-17", Section: "GDPR Article 7(3)", Requires: "the page on which a user decides says where to end it"},
		{ID: "KF-18", Section: "WCAG 2.2", Requires: "the pages work by keyboard and with screen readers, on narrow screens, from left to right and from right to left", NoRefusal: "it is about pages as they are"},
		{ID: "KF-19", Section: "RFC 6749 §3.3", Requires: "an API that nobody, or anybody, could use cannot be configured"},
	}
}

// account is the group of users' own accounts.
func account() []Group {
	return []Group{{"KF", "A user's own account", slices.Concat(ownAccount(), accountRest())}}
}
