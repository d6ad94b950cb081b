package checklist

// resourceServers lists what package rs and the key sets of issuers are held to.
func resourceServers() []Group {
	return []Group{{"RS", "Resource servers of others", []Item{
		{ID: "RS-01", Section: "RFC 7517 §4, RFC 8725 §3.1", Requires: "an issuer's keys verify what they are for by kid, kty, crv, alg, use and key_ops"},
		{ID: "RS-02", Section: "RFC 7518 §3.3", Requires: "RS256 passes only where it is named"},
		{ID: "RS-03", Section: "OpenID Connect Core §10.1.1", Requires: "keys rotate: one fetch for many, a bounded number for unknown keys"},
		{ID: "RS-04", Section: "RFC 7517 §5", Requires: "an issuer that does not answer, or answers no key set, lets nothing pass that is not known"},
	}}}
}
