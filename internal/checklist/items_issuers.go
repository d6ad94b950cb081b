package checklist

// severalIssuers lists what several issuers in one process are held to.
func severalIssuers() []Group {
	return []Group{{
		Code:  "NM",
		Title: "Several issuers in one process",
		Items: []Item{
			{ID: "NM-70", Section: "RFC 9068 §4, RFC 7662 §2.2", Requires: "access tokens, refresh tokens and signing keys of one issuer are nothing to another, for introspection and revocation too"},
			{ID: "NM-71", Section: "RFC 6749 §4.1.3, RFC 9126 §2.2, CIBA Core §10.1", Requires: "codes, request_uri and auth_req_id of one are nothing to another"},
			{ID: "NM-72", Section: "RFC 7523 §3, RFC 9101 §4", Requires: "clients, client assertions and request objects for one are nothing to another"},
			{ID: "NM-73", Section: "RFC 7591 §3, RFC 7592 §2, RFC 9449 §8", Requires: "initial and registration access tokens and DPoP nonces of one are nothing to another"},
			{ID: "NM-74", Section: "OpenID Connect Core §3.1.2.1, OpenID Connect RP-Initiated Logout §2", Requires: "sessions, interactions and ID token hints of one are nothing to another"},
			{ID: "NM-75", Section: "RFC 9110 §7.4, §15.5.20", Requires: "a request is led by its host; one for a host that nobody has is answered 421 without a word"},
			{ID: "NM-76", Section: "RFC 6066 §3, RFC 9113 §9.1.1", Requires: "a connection has the certificate of its host's issuer, and is for that issuer alone"},
			{ID: "NM-77", Section: "RFC 8705 §2.1", Requires: "a certificate of one issuer's authority is nothing to another, though its subject is registered there"},
			{ID: "NM-78", Section: "OWASP ASVS 5.0 §13.1", Requires: "issuers are added, changed and removed without a restart, and never half"},
			{ID: "NM-79", Section: "OWASP ASVS 5.0 §16.5.3", Requires: "an issuer that is away makes only itself not ready"},
			{ID: "NM-80", Section: "OWASP ASVS 5.0 §13.3", Requires: "no two issuers share a host, a store or a token of keys"},
			{ID: "NM-81", Section: "OWASP ASVS 5.0 §13.1", Requires: "what belongs to the process is refused in an issuer's file, by name"},
			{ID: "NM-82", Section: "OWASP ASVS 5.0 §13.1", Requires: "commands work on one issuer, which is named"},
		},
	}}
}
