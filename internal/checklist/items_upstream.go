package checklist

import "slices"

// upstreamLogins are about users who come from elsewhere, and what is left of them.
func upstreamLogins() []Group {
	return []Group{{"KY", "Users signed in by a provider elsewhere, and what is kept of them", slices.Concat(upstreamLogin(), erasedMessages())}}
}

// upstreamLogin lists what having users signed in by a provider elsewhere has to hold.
func upstreamLogin() []Item {
	return []Item{
		{ID: "KY-01", Section: "OpenID Connect Core §3.1", Requires: "a user signs in at the provider, decides on the server's own page, and the tokens say who, how and when"},
		{ID: "KY-02", Section: "OpenID Connect Core §3.1.2.1", Requires: "acr_values, max_age, prompt, login_hint and ui_locales are passed on, in the provider's names, in a pushed request with PKCE"},
		{ID: "KY-03", Section: "RFC 9700 §4.7", Requires: "a sign-in belongs to the browser that began, and is used once, also with kept or changed cookies, and in several tabs"},
		{ID: "KY-04", Section: "RFC 9207 §2.4, OpenID Connect Core §3.1.3.7", Requires: "mix-up, an injected code, another nonce, issuer, audience or signature grant nothing, and a good answer after them does"},
		{ID: "KY-05", Section: "OpenID Connect Core §2", Requires: "an acr that the provider may not claim, and an auth_time that is too old, are refused"},
		{ID: "KY-06", Section: "OpenID Connect Core §3.1.2.6", Requires: "the provider's errors reach the client as errors of OAuth"},
		{ID: "KY-07", Section: "RFC 9110 §15.6.4", Requires: "while the provider is away the user gets a page with 503 and Retry-After, nothing is granted, and it goes on afterwards"},
		{ID: "KY-08", Section: "OpenID Connect Core §5.7", Requires: "a user is issuer and sub: names and addresses make nobody somebody else, and UserInfo is about the same sub"},
		{ID: "KY-09", Section: "OWASP ASVS 5.0 §6.8.1", Requires: "where only known users may sign in, others do not, and nothing is kept of them"},
		{ID: "KY-10", Section: "OpenID Connect Back-Channel Logout 1.0 §2.6", Requires: "a logout at the provider ends the sessions that began by it, and those about to begin; a token is verified, and used once"},
		{ID: "KY-11", Section: "OpenID Connect RP-Initiated Logout 1.0 §2", Requires: "who signs out here is signed out at the provider and comes back, in the same browser alone"},
		{ID: "KY-12", Section: "RFC 9470 §4", Requires: "a stronger or newer sign-in is asked of the provider, and less is refused"},
		{ID: "KY-13", Section: "RFC 6749 §4.1.2", Requires: "each step may be on another node, and of two answers at once one counts"},
		{ID: "KY-14", Section: "OWASP ASVS 5.0 §13.1", Requires: "a provider that could not work, or would be weak without its being said, stops the start by its key; client secrets are none"},
		{ID: "KY-15", Section: "RFC 7523 §2.2, RFC 8705 §2", Requires: "the server authenticates by its HSM's key or a certificate, as they are at the moment"},
		{ID: "KY-16", Section: "OpenID Connect Discovery 1.0 §4.3", Requires: "doctor says whether the provider answers and fits, and what will not work"},
		{ID: "KY-17", Section: "OpenID Connect Core §3.1", Requires: "users sign in at node-oidc-provider, in a real browser, and what it says of the sign-in counts; answers of others, and a no, do not"},
		{ID: "KY-18", Section: "OWASP ASVS 5.0 §15.2.2", Requires: "what comes from the provider is bounded"},
		{ID: "KY-19", Section: "OWASP ASVS 5.0 §1.3.6", Requires: "the provider is reached at public addresses and at those that the operator names, and redirects are not followed"},
	}
}

// erasedMessages lists what the erasure of signed messages has to hold.
func erasedMessages() []Item {
	return []Item{
		{ID: "KY-20", Section: "GDPR Article 17", Requires: "signed messages are erased with the user whom they are about, or who took them up, and by age"},
		{ID: "KY-21", Section: "FAPI 2.0 Message Signing §7", Requires: "until then they prove themselves, and afterwards the log verifies and says what was erased"},
		{ID: "KY-22", Section: "OWASP ASVS 5.0 §16.4.2", Requires: "what somebody takes away or exchanges is not taken for erased"},
		{ID: "KY-23", Section: "GDPR Article 17", Requires: "what is not in a chain yet is said, and erased by the next run"},
		{ID: "KY-24", Section: "GDPR Article 17", Requires: "request objects, signed answers, UserInfo and CIBA requests of a flow are linked to its user"},
	}
}
