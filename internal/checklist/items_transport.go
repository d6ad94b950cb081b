package checklist

// transport lists the best current practice and what holds below HTTP.
func transport() []Group {
	return []Group{
		{"BC", "RFC 9700, Best Current Practice for OAuth 2.0 Security", []Item{
			{ID: "BC-01", Section: "§2.1", Requires: "redirect URIs match exactly"},
			{ID: "BC-02", Section: "§4.4", Requires: "mix-up is countered by iss"},
			{ID: "BC-03", Section: "§4.8.2", Requires: "a code_verifier without a code_challenge is refused"},
			{ID: "BC-04", Section: "§4.5", Requires: "a code is bound to client, redirect URI, PKCE and key"},
			{ID: "BC-05", Section: "§2.3", Requires: "access tokens are restricted in audience and privilege"},
			{ID: "BC-06", Section: "§4.14", Requires: "refresh tokens are bound to the client"},
			{ID: "BC-07", Section: "§4.2.4, §4.12", Requires: "no 307, no referrer, nothing from elsewhere on pages"},
			{ID: "BC-08", Section: "§4.16", Requires: "pages cannot be framed"},
			{ID: "BC-09", Section: "§4.13", Requires: "security headers of a proxy are not taken from the outside"},
			{ID: "BC-10", Section: "§4.15", Requires: "no client can impersonate a user"},
			{ID: "BC-11", Section: "§4.17", Requires: "no in-browser flows: no web messages, no tokens in fragments"},
		}},
		{"PR", "RFC 9728, Protected Resource Metadata", []Item{
			{ID: "PR-01", Section: "§2, §5.1", Requires: "the metadata of our own resources, named in challenges"},
			{ID: "PR-02", Section: "§4", Requires: "protected_resources in the server's metadata", NoRefusal: "it is a statement"},
		}},
		{"HS", "FAPI 2.0 HTTP Signatures, draft", []Item{
			{ID: "HS-01", Section: "§5.3.1.2", Requires: "signed requests of clients that registered for them are verified; unsigned ones are refused"},
			{ID: "HS-02", Section: "§5.3.2.1", Requires: "answers to them are signed, with what they answer"},
			{ID: "HS-03", Section: "RFC 9421 §3.3", Requires: "the algorithm follows from the key: ecdsa-p256-sha256, ed25519, PS256"},
			{ID: "HS-04", Section: "RFC 9530", Requires: "content-digest with SHA-256"},
		}},
		{"TL", "RFC 9325, Recommendations for Secure Use of TLS", []Item{
			{ID: "TL-01", Section: "§3.1.1", Requires: "TLS 1.3 preferred, 1.2 at least"},
			{ID: "TL-02", Section: "§3.3, §3.5", Requires: "no compression, no renegotiation"},
			{ID: "TL-03", Section: "§3.4.2", Requires: "no early data", NoTest: "Go's TLS server takes none; only QUIC has it there"},
			{ID: "TL-04", Section: "§3.4", Requires: "nothing is resumed where client certificates count"},
			{ID: "TL-05", Section: "§7.5", Requires: "short-lived server certificates or OCSP stapling", NoTest: "a matter of the certificate that the operator installs; docs/operations.md"},
		}},
	}
}
