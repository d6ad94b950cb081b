package why

import (
	"regexp"
	"strings"

	"countersign/internal/oauth"
)

// Rule is a rule that requests are refused by, where the error code alone would say too little.
type Rule struct {
	// ID names it: what was looked at, and what was wrong with it.
	ID string
	// Code is the error that it is answered with.
	Code string
	// Says is a part of the description, or of the cause behind it, that no other rule of the same code has.
	Says string
	// Title says in a few words what was wrong, Section where it is specified, and Remedy what to do.
	Title, Section, Remedy string
}

// Rules are the rules that are told apart. The first that fits counts.
func Rules() []Rule {
	const assertion, proof, object = "RFC 7523 §3; OpenID Connect Core §9", "RFC 9449 §4.3", "RFC 9101 §6.3"
	const clock = "Set the clock of the client by NTP."
	return []Rule{
		{"assertion.replayed", oauth.InvalidClient, "was used before (its jti)", "The client assertion was used before", assertion,
			"Make a new assertion, with a new jti, for each request, also when one is sent again."},
		{"assertion.expired", oauth.InvalidClient, "the client assertion has expired", "The client assertion has expired", assertion,
			"Make the assertion just before the request is sent. " + clock},
		{"assertion.audience", oauth.InvalidClient, "as its aud", "The client assertion is for another audience", assertion,
			"Set aud to the issuer identifier, letter by letter, as one string."},
		{"assertion.subject", oauth.InvalidClient, "must have the client_id as iss and as sub", "The client assertion names another client", assertion,
			"Set iss and sub to the client_id."},
		{"assertion.subject", oauth.InvalidClient, "client_id and the sub of the client assertion differ", "The client assertion names another client", assertion,
			"Set iss and sub to the client_id that is sent beside it, or send none."},
		{"assertion.lifetime", oauth.InvalidClient, "lives too long", "The client assertion lives too long", assertion,
			"Set exp no further ahead than the description says. " + clock},
		{"assertion.future", oauth.InvalidClient, "ahead; check the clock", "The client assertion is from the future", assertion, clock},
		{"assertion.algorithm", oauth.InvalidClient, "; this client registered", "The client assertion is signed with another algorithm", "RFC 7591 §2; FAPI 2.0 Security Profile §5.4.1",
			"Sign with an algorithm of token_endpoint_auth_signing_alg, or register this one."},
		{"assertion.key", oauth.InvalidClient, "the key set has no", "The client assertion is signed with a key that is not registered", "RFC 7523 §3; RFC 7517 §5",
			"Publish the key at the client's jwks_uri, or register it in jwks, and name it by its kid. A key that was just added is seen within minutes."},
		{"client.keys", oauth.InvalidClient, "the client's keys cannot be read", "The client's keys cannot be fetched", "RFC 7591 §2",
			"Have jwks_uri answer over HTTPS, with a valid certificate and a JWK Set, within seconds."},
		{"client.unknown", oauth.InvalidClient, "is not registered here or does not authenticate this way", "No client with this client_id is served here", "RFC 6749 §5.2",
			"Compare the client_id and the issuer: a client of one environment is not known in another. An operator sees whether it is disabled or suspended."},
		{"client.unnamed", oauth.InvalidClient, "the client is not named", "The request names no client", "RFC 6749 §2.3",
			"Send client_assertion, or client_id over mutual TLS."},
		{"client.secret", oauth.InvalidClient, "client secrets are not accepted", "The client tried a secret", "FAPI 2.0 Security Profile §5.3.2.1",
			"Authenticate with private_key_jwt or with a client certificate."},
		{"certificate.missing", oauth.InvalidClient, "with a certificate and the connection has none", "The connection had no client certificate", "RFC 8705 §2",
			"Use the endpoints of mtls_endpoint_aliases, and show the registered certificate."},
		{"certificate.untrusted", oauth.InvalidClient, "the client certificate is not trusted here", "The client certificate is of no trusted authority", "RFC 8705 §2.1",
			"Show a certificate of the authority that the registration names, with its intermediates. The cause says what failed."},
		{"certificate.subject", oauth.InvalidClient, "the client certificate's subject is not the one that this client registered", "The client certificate has another subject", "RFC 8705 §2.1.2",
			"Show the certificate whose subject is registered, or register this one: as the certificate has it, attribute by attribute."},
		{"certificate.other", oauth.InvalidClient, "the client certificate is not one that this client registered", "The client certificate is not registered", "RFC 8705 §2.2",
			"Put the certificate's key into the client's key set, with its certificate in x5c, or show one that is there."},
		{"proof.missing", oauth.InvalidRequest, "tokens are bound by DPoP; send a DPoP header", "The request has no DPoP proof", "RFC 9449 §5",
			"Send a proof in the DPoP header: the tokens of this client are bound by it."},
		{"proof.missing", oauth.InvalidDPoPProof, "the DPoP header is missing", "The request has no DPoP proof", "RFC 9449 §5",
			"Send a proof in the DPoP header: the tokens of this client are bound by it."},
		{"proof.replayed", oauth.InvalidDPoPProof, "the DPoP proof was used before", "The DPoP proof was used before", proof,
			"Make a new proof, with a new jti, for each request, also when one is sent again."},
		{"proof.method", oauth.InvalidDPoPProof, "the htm of the DPoP proof", "The DPoP proof is for another method", proof, "Set htm to the method of the request."},
		{"proof.address", oauth.InvalidDPoPProof, "the htu of the DPoP proof", "The DPoP proof is for another address", proof,
			"Set htu to the address that is called, as the discovery document has it: an alias is another address."},
		{"proof.age", oauth.InvalidDPoPProof, "the DPoP proof is too old", "The DPoP proof is too old", proof, "Make the proof just before the request is sent. " + clock},
		{"proof.future", oauth.InvalidDPoPProof, "the DPoP proof is from the future", "The DPoP proof is from the future", proof, clock},
		{"proof.token", oauth.InvalidDPoPProof, "the ath of the DPoP proof", "The DPoP proof is for another access token", proof,
			"Set ath to the SHA-256 of the access token that is sent."},
		{"redirect_uri.unregistered", oauth.InvalidRequest, "redirect_uri is not registered for this client", "The redirect URI is not registered", "RFC 9700 §2.1; RFC 6749 §3.1.2.3",
			"Send a registered one, letter by letter, or register this one: PUT to the registration endpoint (RFC 7592), or redirect_uris of the client's file."},
		{"redirect_uri.other", oauth.InvalidGrant, "redirect_uri is not the one that the code was sent to", "The redirect URI is not that of the request", "RFC 6749 §4.1.3",
			"Send the redirect_uri of the authorization request again, unchanged."},
		{"pkce.missing", oauth.InvalidRequest, "code_challenge is missing", "The request has no code challenge", "RFC 7636 §4.3; FAPI 2.0 Security Profile §5.3.2.2",
			"Send code_challenge, with code_challenge_method S256."},
		{"pkce.method", oauth.InvalidRequest, "code_challenge_method must be S256", "The code challenge is not hashed", "RFC 7636 §4.3; RFC 9700 §2.1.1", "Send code_challenge_method S256."},
		{"pkce.missing", oauth.InvalidGrant, "code_verifier is missing", "The request has no code verifier", "RFC 7636 §4.5", "Send the code_verifier of this request."},
		{"pkce.verifier", oauth.InvalidGrant, "code_verifier does not fit the code_challenge", "The code verifier is another request's", "RFC 7636 §4.6",
			"Keep the code_verifier with the state of its request, and send it unchanged."},
		{"code.key", oauth.InvalidGrant, "the code is bound to another DPoP key", "The code is bound to another DPoP key", "RFC 9449 §10",
			"Prove with the key of the authorization request (dpop_jkt, or the proof at the PAR endpoint)."},
		{"artefact.used", oauth.InvalidGrant, "this client's: store: already used", "The code or token was used before", "RFC 6749 §4.1.2, §10.5",
			"Redeem a code once. What was issued for it is revoked when it comes a second time: look for a request that is sent again, or for a thief."},
		{"artefact.expired", oauth.InvalidGrant, "this client's: store: expired", "The code or token has expired", "RFC 6749 §4.1.2", "Redeem a code at once; begin again."},
		{"artefact.revoked", oauth.InvalidGrant, "this client's: store: revoked", "What the user allowed has ended", "RFC 6749 §5.2; RFC 7009 §2",
			"Ask the user again. The grant says who ended it."},
		{"artefact.foreign", oauth.InvalidGrant, "presented by another client", "The code or token is another client's", "RFC 6749 §5.2",
			"Only the client that got it can redeem it: compare the client_id."},
		{"artefact.unknown", oauth.InvalidGrant, "this client's: store: not found", "The code or token is not known", "RFC 6749 §5.2",
			"Compare it with what was issued: whole, unchanged, and of this issuer."},
		{"request_uri.expired", oauth.InvalidRequestURI, "request_uri has expired", "The request_uri has expired", "RFC 9126 §2.2",
			"Send the browser on at once after pushing, and push again when the user takes up an old link."},
		{"request_uri.used", oauth.InvalidRequestURI, "request_uri was used before", "The request_uri was used before", "RFC 9126 §4",
			"Push a new request for each authorization. Something may open the link twice, such as a preview."},
		{"request_uri.unknown", oauth.InvalidRequestURI, "request_uri was not issued by this server", "The request_uri is not known", "RFC 9126 §4",
			"Send the request_uri of the PAR answer, whole, with the client_id that pushed it, to the same issuer."},
		{"request.unpushed", oauth.InvalidRequest, "request_uri is missing; push the request first", "The request was not pushed", "RFC 9126 §5; FAPI 2.0 Security Profile §5.3.2.2",
			"Push the parameters to the PAR endpoint, and send the browser with the request_uri alone."},
		{"object.issuer", oauth.InvalidRequestObject, "its iss must be the client_id", "The request object names another client", object, "Set iss to the client_id."},
		{"object.audience", oauth.InvalidRequestObject, "its aud must be", "The request object is for another audience", object, "Set aud to the issuer identifier."},
		{"object.expired", oauth.InvalidRequestObject, "it has expired", "The request object has expired", object, "Make it just before it is sent. " + clock},
		{"object.times", oauth.InvalidRequestObject, "it needs both nbf and exp", "The request object has no times", "FAPI 2.0 Message Signing §5.3.1", "Set nbf and exp."},
		{"scope.unregistered", oauth.InvalidScope, "is not registered for this client", "The client may not ask for this scope", "RFC 6749 §3.3; RFC 7591 §2",
			"Ask for less, or add the scope to the client's registration."},
	}
}

// codeOf is the error code of a rule; of what is none, itself.
func codeOf(rule string) string {
	code := rule
	for _, r := range Rules() {
		if r.ID == rule {
			if code != rule && code != r.Code {
				return "" // several
			}
			code = r.Code
		}
	}
	return code
}

// named is a section that a description names in brackets.
var named = regexp.MustCompile(`\(((?:RFC [0-9]+|OpenID Connect Core|CIBA Core) §[0-9.]*[0-9])[:)]`)

// ExplainCause explains a refusal by its code and by what was said of it: by its rule, where that is known.
func ExplainCause(code, cause string) Explanation {
	for _, r := range Rules() {
		if r.Code == code && strings.Contains(cause, r.Says) {
			return Explanation{r.ID, r.Title, r.Section, r.Remedy}
		}
	}
	general := Explain(code)
	if found := named.FindStringSubmatch(cause); found != nil {
		general.Section = found[1]
	}
	return general
}
