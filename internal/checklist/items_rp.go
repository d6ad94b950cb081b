package checklist

// relyingParty lists what package rp/client is held to: the protocol of a client of any provider.
func relyingParty() []Group {
	return []Group{{"RP", "Relying parties: the protocol", []Item{
		{ID: "RP-01", Section: "FAPI 2.0 Security Profile §5.3.3", NoRefusal: "what is refused is RP-10 to RP-31", Requires: "every way of authenticating and binding, with the real server: PAR, PKCE, iss, tokens, refresh, UserInfo, revocation"},
		{ID: "RP-02", Section: "RFC 9449 §7, §8, §9", Requires: "nonces by host and kind, one request more; tokens of another key are not used"},
		{ID: "RP-03", Section: "FAPI 2.0 Message Signing §5", Requires: "JAR, JARM, signed introspection and UserInfo; encrypted answers are read, and demanded"},
		{ID: "RP-04", Section: "FAPI 1.0 Advanced §5.2.3", Requires: "requests by value and by PAR, code id_token and JARM"},
		{ID: "RP-05", Section: "CIBA Core §7, §10, §11", Requires: "plain and signed requests, poll with slow_down, ping by its token alone"},
		{ID: "RP-06", Section: "RFC 9396, RFC 8707, Grant Management", Requires: "what an authorization asks for arrives and comes back; parameters of the package's own are not the caller's"},
		{ID: "RP-07", Section: "OpenID Connect Back-Channel Logout 1.0 §2.6", Requires: "logout tokens of the real server are verified, once, and in time"},
		{ID: "RP-10", Section: "RFC 9207 §2.4, RFC 9700 §4.4", Requires: "a response counts for its own request, provider and browser: no mix-up, no replay"},
		{ID: "RP-11", Section: "OpenID Connect Core §3.1.3.7", Requires: "an ID token by each of the rules"},
		{ID: "RP-12", Section: "RFC 8725 §3.1, §3.2", Requires: "no algorithm and no key that the client did not choose, in ID tokens, JARM, UserInfo, introspection and logout tokens"},
		{ID: "RP-13", Section: "JARM §2.4", Requires: "issuer, audience and times of a signed response"},
		{ID: "RP-14", Section: "FAPI 1.0 Advanced §5.2.3", Requires: "the ID token of the front channel signs this code and this state"},
		{ID: "RP-15", Section: "RFC 6749 §5.1, RFC 9449 §5", Requires: "tokens are bound as was asked for; errors are typed and fit to be shown"},
		{ID: "RP-16", Section: "RFC 9110 §15.6", Requires: "a provider that is out of order is told from one that refuses, and loses nothing"},
		{ID: "RP-17", Section: "OpenID Connect Core §10.1.1", Requires: "keys may change at any time; unknown kids cause few fetches"},
		{ID: "RP-18", Section: "OpenID Connect Back-Channel Logout 1.0 §2.6", Requires: "a logout token by each of the rules"},
		{ID: "RP-19", Section: "OpenID Connect Core §5.3.2, RFC 9701 §5", Requires: "UserInfo is that of the ID token's user; introspection is signed where that was asked for"},
		{ID: "RP-20", Section: "RFC 6749 §6, RFC 8693", Requires: "a refresh is for the same user, and keeps what is not issued again; tokens are not shown"},
		{ID: "RP-21", Section: "RFC 8414 §3.3", Requires: "metadata are the issuer's, by https, once; nothing follows a redirect"},
		{ID: "RP-22", Section: "FAPI 2.0 Security Profile §5.3.2", Requires: "the start fails with all that a provider lacks, and names what would do without"},
		{ID: "RP-23", Section: "FAPI 2.0 Security Profile §5.3.3", Requires: "what a profile forbids cannot be configured"},
		{ID: "RP-24", Section: "OpenID Connect Core", Requires: "plain providers by naming each weaker setting, and nothing more than that"},
		{ID: "RP-25", Section: "FAPI 2.0 Security Profile §5.4.1", Requires: "keys of files, signers and functions; the client's key set has the public halves alone"},
		{ID: "RP-26", Section: "RFC 9449 §7.1, RFC 8705 §3", Requires: "the client for resources sends the token by https alone, with a proof or the certificate, and follows no redirect"},
		{ID: "RP-27", Section: "RFC 8414 §3", Requires: "metadata are read again beside the calls; what became weaker or cannot be read changes nothing"},
		{ID: "RP-28", Section: "RFC 7516, OpenID Connect Core §10.2", Requires: "encrypted ID tokens, responses and UserInfo are read with the current and the previous key, and are signed within"},
	}}}
}
