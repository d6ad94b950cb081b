package checklist

// securityProfile lists the FAPI 2.0 documents.
func securityProfile() []Group {
	return []Group{
		{"SP", "FAPI 2.0 Security Profile, Final", []Item{
			{ID: "SP-01", Section: "§5.2.1-1", Requires: "TLS on every endpoint and on every connection that the server makes"},
			{ID: "SP-02", Section: "§5.2.1-2", Requires: "TLS 1.2 or later; 1.0 and 1.1 are refused"},
			{ID: "SP-03", Section: "§5.2.1-3", Requires: "TLS as BCP 195 (RFC 8996, RFC 9325) recommends it"},
			{ID: "SP-04", Section: "§5.2.1-5", Requires: "outbound connections check the server's certificate by its alternative names (RFC 9525), never by its common name"},
			{ID: "SP-05", Section: "§5.2.1-4", Requires: "DNSSEC and CAA records for the issuer's name", NoTest: "an operator's zone is not ours to test; docs/operation.md asks for it"},
			{ID: "SP-06", Section: "§5.2.2-1", Requires: "endpoints without browsers: on TLS 1.2 only recommended cipher suites"},
			{ID: "SP-07", Section: "§5.2.2-1", Requires: "on TLS 1.2 only ECDHE with AES-GCM; no DHE, no CBC"},
			{ID: "SP-08", Section: "§5.2.3-1", Requires: "HSTS, fit for preloading, where browsers come"},
			{ID: "SP-09", Section: "§5.2.3-2", Requires: "endpoints with browsers: on TLS 1.2 only allowed cipher suites"},
			{ID: "SP-10", Section: "§5.2.3-3", Requires: "no CORS at the authorization endpoint"},
			{ID: "SP-11", Section: "§5.2.2.1", Requires: "mtls_endpoint_aliases, and the client's use_mtls_endpoint_aliases (false unless registered)"},
			{ID: "SP-12", Section: "§5.3.2.1-1", Requires: "metadata published as OpenID Connect Discovery and RFC 8414 say"},
			{ID: "SP-13", Section: "§5.3.2.1-2", Requires: "the password grant is refused"},
			{ID: "SP-14", Section: "§5.3.2.1-3", Requires: "confidential clients only"},
			{ID: "SP-15", Section: "§5.3.2.1-4, -5", Requires: "every access token is bound to its sender, by DPoP or by certificate"},
			{ID: "SP-16", Section: "§5.3.2.1-6", Requires: "clients authenticate with private_key_jwt, tls_client_auth or self_signed_tls_client_auth"},
			{ID: "SP-17", Section: "§5.3.2.1-7", Requires: "no open redirector"},
			{ID: "SP-18", Section: "§5.3.2.1-8", Requires: "the aud of a client assertion is the issuer, as one string; no array, no endpoint"},
			{ID: "SP-19", Section: "§5.3.2.1-9", Requires: "refresh tokens do not rotate"},
			{ID: "SP-20", Section: "§5.3.2.1-10", Requires: "a server nonce for DPoP, when used, works at PAR, at the token endpoint and at resources"},
			{ID: "SP-21", Section: "§5.3.2.1-11", Requires: "a code lives 60 seconds at most"},
			{ID: "SP-22", Section: "§5.3.2.1-12", Requires: "a code is bound to the DPoP key that the pushed request named, by dpop_jkt or by a proof"},
			{ID: "SP-23", Section: "§5.3.2.1-13", Requires: "iat and nbf up to 10 s ahead pass, more than 60 s ahead do not"},
			{ID: "SP-24", Section: "§5.3.2.1-14", Requires: "tokens have no more privilege than was requested"},
			{ID: "SP-25", Section: "§5.3.2.2-1", Requires: "response_type is code"},
			{ID: "SP-26", Section: "§5.3.2.2-2", Requires: "pushed authorization requests of authenticated clients"},
			{ID: "SP-27", Section: "§5.3.2.2-3", Requires: "authorization requests that were not pushed are refused"},
			{ID: "SP-28", Section: "§5.3.2.2-4", Requires: "pushes without client authentication are refused"},
			{ID: "SP-29", Section: "§5.3.2.2-5", Requires: "PKCE with S256; none and plain are refused"},
			{ID: "SP-30", Section: "§5.3.2.2-6", Requires: "redirect_uri is in the pushed request"},
			{ID: "SP-31", Section: "§5.3.2.2-7", Requires: "iss in every authorization response, errors too"},
			{ID: "SP-32", Section: "§5.3.2.2-8", Requires: "no http redirect URIs but a native app's on loopback"},
			{ID: "SP-33", Section: "§5.3.2.2-9", Requires: "a code works once; its second use revokes what the first one issued"},
			{ID: "SP-34", Section: "§5.3.2.2-10, -11", Requires: "redirects are 303 and never 307"},
			{ID: "SP-35", Section: "§5.3.2.2-12", Requires: "a request_uri lives less than 600 seconds, and ends then"},
			{ID: "SP-36", Section: "§5.3.2.2 note 3", Requires: "a request_uri can be opened again until it is answered, and is answered once"},
			{ID: "SP-37", Section: "§5.3.2.2-13", Requires: "the user sees who requests access and to what"},
			{ID: "SP-38", Section: "§5.3.2.2-14", Requires: "a nonce of 64 characters and more comes back whole, or is refused"},
			{ID: "SP-39", Section: "§5.3.2.2 note 4", Requires: "a long state comes back whole, or is refused"},
			{ID: "SP-40", Section: "§5.3.2.3", Requires: "the user is identified to the client by an ID token only"},
			{ID: "SP-41", Section: "§5.3.4-1, -2", Requires: "resources take the access token from the Authorization header and never from the address"},
			{ID: "SP-42", Section: "§5.3.4-3", Requires: "resources check validity, integrity, expiry and revocation"},
			{ID: "SP-43", Section: "§5.3.4-4", Requires: "resources check that the token suffices; errors as in RFC 6750, the scheme in any case"},
			{ID: "SP-44", Section: "§5.3.4-5", Requires: "resources check whom the token is bound to"},
			{ID: "SP-45", Section: "§5.4.1-1.1", Requires: "JWTs as RFC 8725 advises"},
			{ID: "SP-46", Section: "§5.4.1-1.2", Requires: "PS256, ES256 and EdDSA only: made, accepted and advertised"},
			{ID: "SP-47", Section: "§5.4.1-1.3", Requires: "alg none is never accepted"},
			{ID: "SP-48", Section: "§5.4.1-2, -3", Requires: "RSA keys of 2048 bits or more, elliptic curves of 224 or more"},
			{ID: "SP-49", Section: "§5.4.1-4", Requires: "128 bits of entropy or more in codes, tokens and request_uri"},
			{ID: "SP-50", Section: "§5.4.2", Requires: "jwks_uri over TLS, no use of x5u and jku, no kid twice"},
			{ID: "SP-51", Section: "§5.4.3", Requires: "of a client's keys with the same kid the right one is found"},
			{ID: "SP-52", Section: "§5.3.2.2, RFC 9126 §4", Requires: "client_id and request_uri are enough at the authorization endpoint; the rest there is ignored"},
			{ID: "SP-53", Section: "§6.1", Requires: "short access tokens beside refresh tokens, so that clients can change keys"},
			{ID: "SP-54", Section: "§5.1.2", Requires: "a profile on top can only tighten"},
		}},
		{"MS", "FAPI 2.0 Message Signing, Final", []Item{
			{ID: "MS-01", Section: "§5.3.1-1", Requires: "signed request objects at PAR, required where registered"},
			{ID: "MS-02", Section: "§5.3.1-2", Requires: "their aud is the issuer, or an array with it"},
			{ID: "MS-03", Section: "§5.3.1-3", Requires: "nbf is there and at most 60 minutes old"},
			{ID: "MS-04", Section: "§5.3.1-4", Requires: "exp is there and at most 60 minutes after nbf"},
			{ID: "MS-05", Section: "§5.3.1-5", Requires: "typ oauth-authz-req+jwt is accepted"},
			{ID: "MS-06", Section: "§5.3.3", Requires: "the client's response_modes are kept to"},
			{ID: "MS-07", Section: "§5.4.1-1", Requires: "JARM, required where registered; iss inside the JWT only"},
			{ID: "MS-08", Section: "§5.5.1", Requires: "introspection responses signed as RFC 9701 says"},
			{ID: "MS-09", Section: "§6.2", Requires: "only resource servers introspect"},
			{ID: "MS-10", Section: "§6.1", Requires: "authorization responses are encrypted only where a client registered that"},
			{ID: "MS-11", Section: "§7", Requires: "signed messages are kept as evidence, with the keys that prove them, and tampering shows"},
		}},
		{"AM", "FAPI 2.0 Attacker Model, Final", []Item{
			{ID: "AM-01", Section: "§4", Requires: "no attacker accesses a user's resources, signs in as that user, or makes a user use the attacker's"},
			{ID: "AM-02", Section: "§5.1 A1, A1a", Requires: "a web attacker who runs a client, or a server of the same ecosystem"},
			{ID: "AM-03", Section: "§5.2 A2", Requires: "a network attacker"},
			{ID: "AM-04", Section: "§5.3 A3a", Requires: "reading the authorization request gives no access"},
			{ID: "AM-05", Section: "§5.4 A4", Requires: "a client that is given a false token endpoint", NoTest: "informative: the client takes the endpoints from this server's own metadata (MD-01)"},
			{ID: "AM-06", Section: "§5.5 A5", Requires: "reading a resource request gives no access"},
			{ID: "AM-07", Section: "§5.6", Requires: "readers of authorization responses are outside of the model; codes are short-lived, bound and used once all the same"},
		}},
	}
}

// later puts off a whole list.
func later(part, why string, items []Item) []Item {
	for i := range items {
		items[i].Later = Later{Part: part, Why: why}
	}
	return items
}
