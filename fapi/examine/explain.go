package examine

import (
	"strings"

	"countersign/internal/finding"
)

// explanation is where a rule comes from, and what to do when it refuses.
type explanation struct{ section, remedy string }

// Explain returns where the specification has a rule for a kind of message, and what whoever makes the message does when it refuses.
func Explain(kind Kind, rule string) (section, remedy string) {
	if kind == KeySet && strings.HasPrefix(rule, "key ") {
		rule = "key"
	}
	known := rules(kind)[rule]
	if known.section == "" {
		known = common()[rule]
	}
	return known.section, known.remedy
}

func rules(kind Kind) map[string]explanation {
	switch kind {
	case Assertion:
		return ofAssertions()
	case Proof:
		return ofProofs()
	case RequestObject:
		return ofRequestObjects()
	case Certificate:
		return ofCertificates()
	}
	return ofKeySets()
}

// common are the rules of several kinds.
func common() map[string]explanation {
	return map[string]explanation{
		"client":       {"RFC 6749 §2.2", "Use the client_id of the registration here; ask the operator whether the client is disabled or suspended."},
		finding.Form:   {"RFC 7515 §5.2, §7.1; RFC 8725 §3", "Send a compact JWS: three parts of base64url without padding, a signature of the right length, and a header without crit, b64, zip, jku, x5u."},
		finding.Claims: {"RFC 7519 §4, §7.2", "Make the payload one JSON object: each member once, times as numbers, strings as strings."},
	}
}

func ofAssertions() map[string]explanation {
	return map[string]explanation{
		"method":          {"RFC 6749 §2.3; RFC 7591 §2", "Authenticate by the token_endpoint_auth_method that is registered, or register the other."},
		finding.Algorithm: {"FAPI 2.0 Security Profile §5.4.1; RFC 7591 §2", "Sign with an algorithm that is accepted above; token_endpoint_auth_signing_alg restricts them."},
		finding.Signature: {"RFC 7523 §3 (9); RFC 7515 §4.1.4", "Sign with a key of the registered set, and name its kid in the header; RSA needs 2048 bits, and PS256 a salt of 32 bytes."},
		finding.Type:      {"RFC 8725 §3.11", "Leave typ out, or use JWT or client-authentication+jwt."},
		finding.Subject:   {"RFC 7523 §3 (2)", "Make sub the client_id."},
		finding.Parties:   {"RFC 7523 §3 (1), (2); OpenID Connect Core §9", "Make iss and sub the client_id."},
		finding.Audience:  {"FAPI 2.0 Security Profile §5.3.2.1-8; RFC 7523 §3 (3)", "Make aud what is accepted above, letter by letter."},
		finding.Present:   {"RFC 7523 §3 (4)", "Add an exp, a minute ahead."},
		finding.Expiry:    {"RFC 7523 §3 (4)", "Make a new assertion for each request; if it is new, set the client's clock."},
		finding.Lifetime:  {"RFC 7523 §3 (4)", "Set exp nearer to now: a minute ahead is enough."},
		finding.NotBefore: {"RFC 7523 §3 (5); FAPI 2.0 Security Profile §5.3.2.1-13", "Set the client's clock, or leave nbf out."},
		finding.IssuedAt:  {"RFC 7523 §3 (6); FAPI 2.0 Security Profile §5.3.2.1-13", "Set the client's clock, or leave iat out."},
		finding.ID:        {"RFC 7523 §3 (7)", "Add a jti, at random, of at most 256 bytes."},
		finding.Replay:    {"RFC 7523 §3 (7)", "Make a new assertion for each request, with a jti of its own."},
	}
}

func ofProofs() map[string]explanation {
	return map[string]explanation{
		finding.Binding:     {"RFC 9449 §5; RFC 8705 §3", "Register dpop_bound_access_tokens, or send no DPoP header."},
		"address":           {"RFC 9449 §4.3 (9)", "Examine the proof for the address that its request was sent to."},
		finding.Algorithm:   {"RFC 9449 §4.3 (5); FAPI 2.0 Security Profile §5.4.1", "Sign with PS256, ES256 or EdDSA."},
		finding.Type:        {"RFC 9449 §4.3 (4)", "Set typ to dpop+jwt."},
		finding.Key:         {"RFC 9449 §4.2", "Put the public key into the header as jwk."},
		finding.ID:          {"RFC 9449 §4.2", "Add a jti, at random, of at most 256 bytes."},
		finding.Method:      {"RFC 9449 §4.3 (8)", "Make htm the HTTP method, in capitals."},
		finding.Address:     {"RFC 9449 §4.3 (9)", "Make htu the address that the request is sent to, without query and fragment: of the listener that it really goes to."},
		finding.IssuedAt:    {"RFC 9449 §4.3 (11), §11.1", "Make a new proof for each request, and set the client's clock."},
		finding.Nonce:       {"RFC 9449 §8", "Send the nonce as it was given."},
		finding.ServerNonce: {"RFC 9449 §8, §9", "Take the nonce of the header DPoP-Nonce of the last answer."},
		finding.TokenHash:   {"RFC 9449 §4.3 (12)", "Make ath the SHA-256 of the access token, in base64url."},
		finding.Signature:   {"RFC 9449 §4.3 (6), (7)", "Sign with the private key of the jwk: RSA of 2048 to 4096 bits, P-256 or Ed25519, and without private members in it."},
		"jkt":               {"RFC 9449 §5, §6.1, §7.1, §10", "Use the key that the code, grant or token is bound to."},
		finding.Replay:      {"RFC 9449 §11.1", "Make a new proof for each request, with a jti of its own."},
	}
}

func ofRequestObjects() map[string]explanation {
	return map[string]explanation{
		finding.Given:      {"RFC 9101 §10.5; FAPI 2.0 Message Signing §5.3", "Push plain parameters, or register for a profile with signed requests."},
		finding.Type:       {"RFC 9101 §10.8", "Set typ to oauth-authz-req+jwt, or leave it out."},
		finding.Members:    {"RFC 9101 §4; FAPI 2.0 Message Signing §7", "Leave out request, request_uri and secrets; make parameters strings, numbers or objects."},
		finding.Parameters: {"RFC 6749 §3.1; RFC 9101 §4", "Give each parameter once, in UTF-8."},
		finding.Algorithm:  {"FAPI 2.0 Security Profile §5.4.1; OpenID Connect Registration §2", "Sign with an algorithm that is accepted above; request_object_signing_alg restricts them."},
		finding.Signature:  {"RFC 9101 §6.2; RFC 7515 §4.1.4", "Sign with a key of the registered set, and name its kid in the header."},
		finding.Issuer:     {"RFC 9101 §5.1; FAPI 2.0 Message Signing §5.3.1", "Make iss the client_id."},
		finding.Subject:    {"RFC 9101 §10.8", "Leave sub out: with it the object could pass as a client assertion."},
		finding.Audience:   {"RFC 9101 §4; FAPI 2.0 Message Signing §5.3.1", "Make aud the issuer, or an array that holds it."},
		finding.Client:     {"RFC 9101 §5", "Make the client_id inside that of the client, or leave it out."},
		finding.Present:    {"FAPI 2.0 Message Signing §5.3.1; FAPI 1.0 Advanced §5.2.2-13, -17", "Add nbf and exp."},
		finding.Expiry:     {"FAPI 2.0 Message Signing §5.3.1", "Make a new object for each request."},
		finding.NotBefore:  {"FAPI 2.0 Message Signing §5.3.1", "Set the client's clock."},
		finding.Age:        {"FAPI 2.0 Message Signing §5.3.1; FAPI 1.0 Advanced §5.2.2-17", "Make a new object for each request, with an nbf of now."},
		finding.Lifetime:   {"FAPI 1.0 Advanced §5.2.2-13; FAPI 2.0 Message Signing §5.3.1", "Set exp nearer to nbf: five minutes are enough."},
		finding.IssuedAt:   {"RFC 7519 §4.1.6", "Set the client's clock, or leave iat out."},
		finding.Complete:   {"RFC 9101 §6.3", "Put all parameters into the object: those outside do not count."},
		finding.Consent:    {"the ecosystem's consent API", "Lodge a new consent, and ask for the scopes that it covers."},

		// The rows of package request.
		"parameters of the profile":         {"the profile (countersign profile explain)", "Leave out or add the parameter that is named."},
		"redirect_uri":                      {"RFC 9126 §2.4; RFC 9700 §2.1; RFC 8252 §7.3", "Use a registered redirect_uri, letter by letter, or register this one."},
		"response_type, response_mode":      {"RFC 6749 §3.1.1; JARM §2.3", "Use a response type and mode of the client's profile and registration."},
		"code_challenge":                    {"RFC 7636 §4.3; FAPI 2.0 Security Profile §5.3.2.2-5", "Add code_challenge, the SHA-256 of a new code_verifier in base64url, and code_challenge_method S256."},
		"state, nonce, login_hint":          {"RFC 6749 Appendix A.5; OpenID Connect Core §3.1.2.1", "Shorten the value that is named; state is printable ASCII."},
		"ui_locales":                        {"OpenID Connect Core §3.1.2.1", "Nothing: what is not known is passed over."},
		"authorization_details":             {"RFC 9396 §2, §5", "Compare the details with the schema of their type, and register the types in authorization_details_types."},
		"scope":                             {"RFC 6749 §3.3", "Ask for scopes that the client is registered for."},
		"binding of the answer":             {"FAPI 1.0 Baseline §5.2.2.2; OpenID Connect Core §3.3.2.11", "Add the nonce (with openid) or the state that is named."},
		"dpop_jkt":                          {"RFC 9449 §10", "Send the thumbprint of the DPoP key, or nothing where tokens are bound to certificates."},
		"prompt":                            {"OpenID Connect Core §3.1.2.1", "Use none alone, or some of login, consent, select_account."},
		"max_age":                           {"OpenID Connect Core §3.1.2.1", "Make it a number of seconds."},
		"resource":                          {"RFC 8707 §2", "Use a resource that the server knows and that the scopes apply to."},
		"claims":                            {"OpenID Connect Core §5.5", "Make it the JSON object of the specification, with claims that the profile has."},
		"acr_values":                        {"OpenID Connect Core §3.1.2.1, §5.5.1.1", "Ask for acr_values_supported; what is essential has to be one of them."},
		"consent":                           {"the ecosystem's profile", "Name one consent, as the profile has it."},
		"id_token_hint":                     {"OpenID Connect Core §3.1.2.1", "Send an ID token of this server for this client, or leave it out."},
		"grant_management_action, grant_id": {"Grant Management for OAuth 2.0 §5", "Name a grant of this client that is valid, with an action that the profile has."},
	}
}

func ofCertificates() map[string]explanation {
	return map[string]explanation{
		finding.Form:        {"RFC 5280 §4.1", "Send the client's certificate and its intermediates, at most six, its own first."},
		"handshake":         {"RFC 8446 §4.3.2; docs/certificates.md", "Get a certificate with a key of RSA, P-256, P-384, P-521 or Ed25519, or put an ingress in front."},
		"method":            {"RFC 8705 §2; RFC 7591 §2", "Register tls_client_auth or self_signed_tls_client_auth."},
		finding.Presented:   {"RFC 8705 §2", "Send the certificate, at the listener of mtls_endpoint_aliases."},
		finding.TrustStore:  {"docs/certificates.md", "The operator: configure the trust store, or correct tls_client_auth_trust_store of the registration."},
		finding.Authorities: {"RFC 8705 §2.1", "The operator: set listen_mtls.client_ca_file."},
		finding.Usage:       {"RFC 5280 §4.2.1.3, §4.2.1.12", "Get a certificate for client authentication and signatures."},
		finding.Chain:       {"RFC 5280 §6.1, §6.3", "Send the intermediates, get a certificate of a trusted authority that is valid and not revoked, with a strong key; or the operator adds the authority."},
		finding.Registered:  {"RFC 8705 §2.1.2, §2.2.2", "Register the subject as above (or the alternative name), or the key of the certificate in jwks."},
		finding.Validity:    {"RFC 8705 §2.2; RFC 5280 §4.1.2.5", "Get a certificate that is valid now, and register its key."},
		finding.Strength:    {"FAPI 2.0 Security Profile §5.4.1", "Use RSA of 2048 bits or more, P-256, P-384, P-521 or Ed25519."},
	}
}

func ofKeySets() map[string]explanation {
	return map[string]explanation{
		"set":          {"RFC 7517 §5", "Publish one JSON object with keys, an array of public keys; take private members out and replace those keys: they are not secret any more."},
		"registration": {"RFC 7591 §2; RFC 8705 §2.2.2", "Add a key of the kind that the text names."},
		"key":          {"RFC 7517 §4, §5; RFC 7518 §6; FAPI 2.0 Security Profile §5.4.1", "Correct the key or leave it out; the others work."},
	}
}
