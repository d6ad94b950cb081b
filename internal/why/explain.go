// Package why keeps why requests were refused, for a while, and explains it: which rule, of which specification, and what to do.
//
// A third party asks with the correlation id that it was answered with. What is kept is what the log has of a refusal: no secret, and
// nothing that names a user.
package why

import (
	"strings"

	"countersign/internal/oauth"
)

// Explanation is what a refusal means.
type Explanation struct {
	// Rule names what was not kept to: one of [Rules], or the error code where that is all that is known.
	Rule string
	// Title says it in a few words.
	Title string
	// Section is where the specification defines the error.
	Section string
	// Remedy is what whoever sent the request can do.
	Remedy string
}

// Explain explains an error code at an endpoint. What is not known is explained in general.
func Explain(code string) Explanation {
	if known, ok := explanations()[code]; ok {
		return Explanation{code, title(code), known[0], known[1]}
	}
	return Explanation{code, title(code), "docs/errors.md", "Do what the description says; if it says nothing, give the operator the correlation id."}
}

// title is what a code says in a few words: "Invalid grant".
func title(code string) string {
	words := strings.ReplaceAll(code, "_", " ")
	if words == "" {
		return "No reason is known"
	}
	for _, name := range [][2]string{{"uri", "URI"}, {"dpop", "DPoP"}, {" id", " ID"}} {
		words = strings.ReplaceAll(words, name[0], name[1])
	}
	return strings.ToUpper(words[:1]) + words[1:]
}

// explanations are section and remedy of all codes.
func explanations() map[string][2]string {
	return map[string][2]string{
		oauth.InvalidRequest: {"RFC 6749 §4.1.2.1, §5.2; RFC 9126 §2.3", "Change the parameter that the description names: each once, form-encoded, in the body."},
		oauth.InvalidClient: {"RFC 6749 §5.2; RFC 7523 §3; RFC 8705 §2", "Compare the assertion with the registration: iss and sub are the client_id, aud is the issuer, exp is in the future, " +
			"the kid is in the client's key set, and a jti is new each time; or show the registered certificate on the listener that asks for one."},
		oauth.InvalidGrant: {"RFC 6749 §5.2; RFC 7636 §4.6; RFC 9449 §10", "Codes and refresh tokens are for the client that got them, codes once and for a minute, with the code_verifier, redirect_uri " +
			"and DPoP key that they were asked with. Begin again with a new request."},
		oauth.UnauthorizedClient:          {"RFC 6749 §5.2", "The client is not registered for this: add the grant type or the method to its registration, or ask the operator."},
		oauth.UnsupportedGrantType:        {"RFC 6749 §5.2", "Use a grant type of grant_types_supported in the discovery document."},
		oauth.UnsupportedResponseType:     {"RFC 6749 §4.1.2.1", "Use a response type of the client's registration and profile."},
		oauth.InvalidScope:                {"RFC 6749 §4.1.2.1, §5.2", "Ask only for scopes that the client is registered for."},
		oauth.AccessDenied:                {"RFC 6749 §4.1.2.1", "The user, or a rule of the bank, said no. Do not ask again by yourself."},
		oauth.ServerError:                 {"RFC 6749 §4.1.2.1", "It is the server's fault. The operator finds its cause below and in the log."},
		oauth.TemporarilyUnavailable:      {"RFC 6749 §4.1.2.1; RFC 6585 §4; RFC 9110 §10.2.3", "Wait as Retry-After says, and send it once more: with a new assertion and a new proof."},
		oauth.InvalidToken:                {"RFC 6750 §3.1", "The access token is expired, revoked, of another audience, or not bound to this key or certificate. Refresh it."},
		oauth.InsufficientScope:           {"RFC 6750 §3.1", "Get a token with the scope that WWW-Authenticate names."},
		oauth.InsufficientAuthentication:  {"RFC 9470 §3", "Have the user authenticate as WWW-Authenticate says (acr_values, max_age), and try with that token."},
		oauth.InvalidRequestObject:        {"RFC 9101 §7", "Compare the request object with the description: typ, alg, kid, iss, aud, nbf, exp, and no parameter outside that is not inside."},
		oauth.InvalidRequestURI:           {"RFC 9101 §7; RFC 9126 §4", "A request_uri is for the client that pushed it, once, and for a minute. Push a new request."},
		oauth.RequestNotSupported:         {"OpenID Connect Core §3.1.2.6", "Push the request instead of sending it as an object."},
		oauth.LoginRequired:               {"OpenID Connect Core §3.1.2.6", "The user has to sign in: ask without prompt=none."},
		oauth.ConsentRequired:             {"OpenID Connect Core §3.1.2.6", "The user has to decide: ask without prompt=none."},
		oauth.InteractionRequired:         {"OpenID Connect Core §3.1.2.6", "The user has to see a page: ask without prompt=none."},
		oauth.UnmetAuthentication:         {"OpenID Connect Core Unmet Authentication Requirements §2", "The user cannot reach the class that was asked for as essential. Ask for another of acr_values_supported."},
		oauth.InvalidTarget:               {"RFC 8707 §2", "Use a resource that the server knows and the client may use."},
		oauth.InvalidGrantID:              {"Grant Management for OAuth 2.0 §5.4", "The grant is not the client's, or has ended. Make a new one."},
		oauth.InvalidAuthorizationDetails: {"RFC 9396 §5", "Compare the details with the schema of their type: the description names the member."},
		oauth.InvalidDPoPProof:            {"RFC 9449 §4.3, §5", "Compare the proof with the description: typ, alg, jwk, htm, htu, iat within a minute, ath with a token, and a new jti each time."},
		oauth.UseDPoPNonce:                {"RFC 9449 §8, §9", "Send it once more with the nonce of DPoP-Nonce in the proof. This is no fault."},
		oauth.UnsupportedTokenType:        {"RFC 7009 §2.2.1", "Access tokens and refresh tokens can be revoked."},
		oauth.InvalidRedirectURI:          {"RFC 7591 §3.2.2", "Register redirect URIs that are https and whole, letter by letter."},
		oauth.InvalidClientMetadata:       {"RFC 7591 §3.2.2", "Change the member that the description names."},
		oauth.InvalidSoftwareStatement:    {"RFC 7591 §3.2.2", "Get a new statement of the directory: of the right key, not expired, used once."},
		oauth.UnapprovedSoftwareStatement: {"RFC 7591 §3.2.2", "The directory does not vouch for this software here: see its entry there."},
		oauth.AuthorizationPending:        {"CIBA Core §11", "The user has not decided yet: poll again after the interval. This is no fault."},
		oauth.SlowDown:                    {"CIBA Core §11", "Poll 5 seconds less often from now on."},
		oauth.ExpiredToken:                {"CIBA Core §11", "The user did not decide in time. Ask again."},
		oauth.ExpiredLoginHintToken:       {"CIBA Core §13", "Make a new login_hint_token."},
		oauth.InvalidUserCode:             {"CIBA Core §13", "Ask the user for the code once more."},
		oauth.MissingUserCode:             {"CIBA Core §13", "Ask the user for their code, and send it as user_code."},
		oauth.InvalidBindingMessage:       {"CIBA Core §13", "Use a short message of the characters that the description names."},
	}
}
