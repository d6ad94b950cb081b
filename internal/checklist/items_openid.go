package checklist

import "slices"

// openID lists tokens and their endpoints, metadata, OpenID Connect and registration.
func openID() []Group {
	return []Group{
		{"AT", "RFC 9068, JWT Profile for Access Tokens", []Item{
			{ID: "AT-01", Section: "§2.1, §2.2", Requires: "typ at+jwt, and iss, exp, aud, sub, client_id, iat, jti"},
			{ID: "AT-02", Section: "§2.2.1 to §3", Requires: "aud from the resource; auth_time, acr and amr from the sign-in; scope"},
			{ID: "AT-03", Section: "§2.1, §4", Requires: "signed with a published key, never none, and of no use as an ID token"},
		}},
		{"IN", "RFC 7662 and RFC 9701, Token Introspection", []Item{
			{ID: "IN-01", Section: "RFC 7662 §2", Requires: "an authenticated resource server's POST; for any other token only active false is returned"},
			{ID: "IN-02", Section: "RFC 7662 §2.2, §4", Requires: "what that resource server may know: cnf, aud, scope, exp, sub"},
			{ID: "IN-03", Section: "RFC 9701 §5", Requires: "signed answers"},
			{ID: "IN-04", Section: "RFC 9701 §6, §7", Requires: "metadata for signed and encrypted answers"},
			{ID: "IN-05", Section: "RFC 7662 §4", Requires: "bound authentication of resource servers; no scanning for tokens", Later: Later{resourceMetadata, "resource servers have no quota of their own"}},
		}},
		{"RV", "RFC 7009, Token Revocation", []Item{
			{ID: "RV-01", Section: "§2", Requires: "an authenticated POST; another client's token stays; an unknown token is 200"},
			{ID: "RV-02", Section: "§2.1, §2.2", Requires: "revoking a refresh token ends the grant's access tokens; an access token may go alone"},
			{ID: "RV-03", Section: "§2", Requires: "it takes effect at once"},
		}},
		{"MD", "RFC 8414 and OpenID Connect Discovery", []Item{
			{ID: "MD-01", Section: "RFC 8414 §3", Requires: "both well-known documents, in the right place, agree"},
			{ID: "MD-02", Section: "RFC 8414 §2", Requires: "issuer is https without query and fragment, the same everywhere"},
			{ID: "MD-03", Section: "RFC 8414 §2", Requires: "what is advertised works; what is not, does not"},
			{ID: "MD-04", Section: "RFC 8414 §2", Requires: "known members of the right kind only"},
			{ID: "MD-05", Section: "RFC 8414 §2.1", Requires: "signed_metadata is optional", NoRefusal: "it is not offered, and nothing is asked"},
		}},
		{"OC", "OpenID Connect Core 1.0", []Item{
			{ID: "OC-01", Section: "§2, §3.1.3.6", Requires: "the claims of an ID token"},
			{ID: "OC-02", Section: "§5.5", Requires: "the claims parameter; an essential acr that is not reached is an error"},
			{ID: "OC-03", Section: "§3.1.2.1", Requires: "prompt, max_age, login_hint, id_token_hint, ui_locales, display, acr_values"},
			{ID: "OC-04", Section: "§5.3", Requires: "UserInfo by GET and POST, with bound tokens"},
			{ID: "OC-05", Section: "§8.1", Requires: "pairwise subjects and sector_identifier_uri"},
			{ID: "OC-06", Section: "§3.1.2.6", Requires: "errors go to the client only at a proven address, and to a page otherwise"},
			{ID: "OC-07", Section: "§3.1.2.1", Requires: "unknown parameters are ignored", NoRefusal: "that is the requirement; parameters given twice are RULE-06"},
			{ID: "OC-08", Section: "§11, §12.2", Requires: "offline_access; a refreshed ID token keeps iss, sub, aud and auth_time"},
		}},
		{"DR", "RFC 7591 and RFC 7592, Dynamic Client Registration", []Item{
			{ID: "DR-01", Section: "RFC 7591 §3", Requires: "registration is protected"},
			{ID: "DR-02", Section: "RFC 7591 §2.3, §3.1.1", Requires: "software statements are verified"},
			{ID: "DR-03", Section: "RFC 7591 §3.2.2", Requires: "the error codes"},
			{ID: "DR-04", Section: "RFC 7591 §2", Requires: "jwks or jwks_uri; keys are checked"},
			{ID: "DR-05", Section: "RFC 7592 §2", Requires: "read, replace and delete with the registration access token"},
			{ID: "DR-06", Section: "RFC 7592 §2.3, §5", Requires: "that token is bound to the client's certificate; deletion ends all tokens"},
			{ID: "DR-07", Section: "RFC 7591 §2.3", Requires: "addresses and scopes lie within the software statement"},
			{ID: "DR-08", Section: "RFC 7591 §5", Requires: "a quota for each organisation"},
		}},
		{"GM", "Grant Management for OAuth 2.0, Implementer's Draft 1", []Item{
			{ID: "GM-01", Section: "§5.1", Requires: "confidential clients only"},
			{ID: "GM-02", Section: "§5.2, §5.4", Requires: "grant_management_action and grant_id"},
			{ID: "GM-03", Section: "§5.3, §5.5, §9", Requires: "grant_id in the token response only"},
			{ID: "GM-04", Section: "§5.2", Requires: "merge and replace end older tokens, and change what was shown"},
			{ID: "GM-05", Section: "§6.4", Requires: "a grant can be read"},
			{ID: "GM-06", Section: "§6.5", Requires: "a grant can be revoked"},
			{ID: "GM-07", Section: "§6.6", Requires: "the error codes"},
			{ID: "GM-08", Section: "§7.1", Requires: "metadata"},
			{ID: "GM-09", Section: "§5.6", Requires: "unclaimed grants end"},
		}},
		{"LO", "OpenID Connect logout", slices.Concat([]Item{
			{ID: "LO-01", Section: "RP-Initiated §2, §4", Requires: "end_session_endpoint, with a question where no ID token of the session comes with it"},
			{ID: "LO-02", Section: "RP-Initiated §3", Requires: "post_logout_redirect_uri matches exactly"},
			{ID: "LO-03", Section: "Back-Channel §2.4", Requires: "logout tokens", NoRefusal: "it is what the server issues: whether to refuse one is the client's"},
			{ID: "LO-04", Section: "Back-Channel §2.5 to §2.7", Requires: "their delivery"},
			{ID: "LO-05", Section: "Back-Channel §2.1", Requires: "metadata"},
			{ID: "LO-06", Section: "Back-Channel §2.7", Requires: "refresh tokens end with what the user allowed, by the client that is told, and not with the session"},
		}, logoutRest())},
	}
}
