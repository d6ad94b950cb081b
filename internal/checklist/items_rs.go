package checklist

// resourceServers lists what package rs and the key sets of issuers are held to.
func resourceServers() []Group {
	return []Group{{"RS", "Resource servers of others", []Item{
		{ID: "RS-01", Section: "RFC 7517 §4, RFC 8725 §3.1", Requires: "an issuer's keys verify what they are for by kid, kty, crv, alg, use and key_ops"},
		{ID: "RS-02", Section: "RFC 7518 §3.3", Requires: "RS256 passes only where it is named"},
		{ID: "RS-03", Section: "OpenID Connect Core §10.1.1", Requires: "keys rotate: one fetch for many, a bounded number for unknown keys"},
		{ID: "RS-04", Section: "RFC 7517 §5", Requires: "an issuer that does not answer, or answers no key set, lets nothing pass that is not known"},
		{ID: "RS-05", Section: "RFC 9068 §4", Requires: "typ, alg, iss, aud, exp, nbf, iat and the claims that have to be there, of a JWT that the issuer signed"},
		{ID: "RS-06", Section: "RFC 6750 §2, §3, RFC 9449 §7.1", Requires: "one token in one Authorization header, and a challenge without an error for a request without one"},
		{ID: "RS-07", Section: "RFC 9449 §4.3, §7, §11.1", Requires: "ath, htm, htu, iat, jti and key of a DPoP proof, once, whatever Host says"},
		{ID: "RS-08", Section: "RFC 9449 §9", Requires: "nonces of a ring of seeds, the same on all nodes; use_dpop_nonce with one"},
		{ID: "RS-09", Section: "RFC 8705 §3, FAPI 2.0 Security Profile §5.3.4", Requires: "the certificate that a token is bound to; a token that is bound to nothing is refused"},
		{ID: "RS-10", Section: "RFC 9068 §2.1", Requires: "what is weaker is named, and is weaker in just that"},
		{ID: "RS-11", Section: "RFC 6750 §3.1", Requires: "scopes, all or one of some or with a part of the address; the challenge names them"},
		{ID: "RS-12", Section: "RFC 9396 §9", Requires: "authorization_details by type, read strictly, with a check of their values"},
		{ID: "RS-13", Section: "RFC 9470 §3", Requires: "acr_values and max_age in the challenge for who authenticated too weakly or too long ago"},
		{ID: "RS-14", Section: "RFC 9728 §2, §3, §5.1", Requires: "metadata of the resource at its address, and that address in challenges"},
		{ID: "RS-15", Section: "FAPI 1.0 Baseline §6.2.1-11", Requires: "x-fapi-interaction-id comes back, or is made; it can be demanded"},
		{ID: "RS-16", Section: "RFC 7662 §2, RFC 9701 §4", Requires: "tokens by introspection, signed or not, with a key or a certificate; an answer is used again for a bounded time"},
		{ID: "RS-17", Section: "RFC 7662 §2.2, RFC 9701 §5, §8.1", Requires: "an answer of an introspection that is not of this issuer, for this API and of now is none"},
		{ID: "RS-18", Section: "FAPI 2.0 HTTP Signatures §5.3", Requires: "signed requests by the client's keys, signed answers, refusals too"},
		{ID: "RS-19", Section: "RFC 8414 §3.3", Requires: "a configuration that cannot work, and an issuer whose metadata do not fit, end at the start"},
		{ID: "RS-20", Section: "RFC 9110 §15.6.4", Requires: "keys that cannot be had are answered with 503, not with a word about the token"},
		{ID: "RS-21", Section: "RFC 9449 §11.1", Requires: "of many uses of a proof one is the first, in a process and in a database; without room or database there is none"},
		{ID: "RS-22", Section: "RFC 9449 §11.1", Requires: "two nodes take a proof once"},
		{ID: "RS-23", Section: "RFC 9449 §4.2", Requires: "the same over gRPC, unary and streams, with challenges in the trailer"},
		{ID: "RS-24", Section: "RFC 8705 §3, RFC 9440 §2", Requires: "behind an ingress the certificate is the one of its header, and of nobody else's"},
		{ID: "RS-25", Section: "RFC 9110 §11.6.1", Requires: "the guard works with the routers that Go programs have"},
	}}}
}
