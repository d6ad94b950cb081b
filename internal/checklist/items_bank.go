package checklist

// relyingPartyPeers lists what relying parties and providers that nobody here wrote have to show with ours, and what the example of a
// bank has to show in a browser.
func relyingPartyPeers() []Group {
	return []Group{
		{"RX", "Relying parties and providers of others", []Item{
			{ID: "RX-01", Section: "FAPI 2.0 Security Profile §5.3.3", Requires: "express-openid-connect signs its users in with PAR, private_key_jwt or a certificate, and a bound token, and refreshes"},
			{ID: "RX-02", Section: "OpenID Connect Back-Channel Logout 1.0 §2.5", Requires: "its handler takes our logout token and ends the session, and takes no other"},
			{ID: "RX-03", Section: "OpenID Connect RP-Initiated Logout 1.0 §2", Requires: "openid-client signs a user out, and other applications learn of it; what is not of this session ends nothing"},
			{ID: "RX-04", Section: "FAPI 2.0 Security Profile §5.3.3", Requires: "rp logs in at node-oidc-provider and Keycloak with PAR, private_key_jwt and DPoP, and takes no callback that it did not begin"},
			{ID: "RX-05", Section: "RFC 6749 §6, RFC 7009 §2", Requires: "rp refreshes there, and a token that was revoked refreshes nothing"},
			{ID: "RX-06", Section: "OpenID Connect Back-Channel Logout 1.0 §2.6", Requires: "rp signs out there, and is told of sign-outs by their logout tokens, and by no other"},
			{ID: "RX-07", Section: "RFC 9449 §7.1, RFC 9068 §4", Requires: "rs takes their access tokens from whom they are bound to; not changed ones, nor for another API, nor without a proof or with another key's"},
		}},
		{"RB", "A bank to click through", []Item{
			{ID: "RB-01", Section: "RFC 9396 §9", Requires: "the application sees the accounts that the user chose at the bank, and no other; without a choice it sees nothing"},
			{ID: "RB-02", Section: "EU RTS 2018/389 Article 5", Requires: "the API pays to the letter what was confirmed on the telephone, and once; what was declined is not paid"},
			{ID: "RB-03", Section: "GDPR Article 7(3)", Requires: "what the user ends at the bank has ended for the application at its next call, and the bank knows what is ended at the application"},
			{ID: "RB-04", Section: "OpenID Connect Back-Channel Logout 1.0 §2.5", Requires: "who signs out at the bank is signed out at the application, and the other way round"},
			{ID: "RB-05", Section: "WCAG 2.2", Requires: "the application's pages need no script, and axe-core finds nothing on them, from 320 pixels on, in light and dark", NoRefusal: "it is about pages as they are"},
			{ID: "RB-06", Section: "RFC 9700 §2", Requires: "one command makes, starts and ends all three programs", NoRefusal: "it is about what the command does"},
		}},
	}
}
