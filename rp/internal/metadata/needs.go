package metadata

import (
	"slices"
	"strings"

	"countersign/internal/jose"
)

// Needs are what a client wants of a provider.
type Needs struct {
	// AuthMethod is how the client authenticates, by the name of RFC 7591, and AuthAlgorithm what its assertions are signed with, or empty.
	AuthMethod, AuthAlgorithm string
	// DPoPAlgorithm is that of the DPoP key, or empty. CertificateBound wants tokens bound to certificates. Unbound is a client that found
	// neither.
	DPoPAlgorithm             string
	CertificateBound, Unbound bool
	// Keys wants signatures to be verified, with one of Algorithms.
	Keys       bool
	Algorithms []string
	// OpenID wants ID tokens.
	OpenID bool
	// Required wants the authorization endpoint. What belongs to it is wanted if it is there, too.
	Required     bool
	ResponseType string
	// SignedMode is the response mode of JARM, or empty.
	SignedMode string
	// RequestAlgorithm signs request objects, or is empty.
	RequestAlgorithm string
	// Pushed, Iss and PKCE want RFC 9126, RFC 9207 and RFC 7636.
	Pushed, Iss, PKCE bool
}

// Lacks lists what a provider does not offer, each with the field of Weak that would do without it.
func (n Needs) Lacks(d *Document) []string {
	var lacks []string
	want := func(offered bool, what, weak string) {
		if offered {
			return
		}
		if weak != "" {
			what += " (Weak." + weak + ")"
		}
		lacks = append(lacks, what)
	}
	list := strings.Join(n.Algorithms, ", ")
	want(d.Token != "", "token_endpoint", "")
	want(d.authenticates(n.AuthMethod), "token_endpoint_auth_methods_supported with "+n.AuthMethod, "")
	if n.AuthAlgorithm != "" {
		want(Offers(d.AuthAlgorithms, n.AuthAlgorithm), "token_endpoint_auth_signing_alg_values_supported with "+n.AuthAlgorithm, "")
	}
	if n.DPoPAlgorithm != "" {
		want(slices.Contains(d.DPoPAlgorithms, n.DPoPAlgorithm), "dpop_signing_alg_values_supported with "+n.DPoPAlgorithm, "Bearer")
	}
	want(!n.CertificateBound || d.CertificateBound, "tls_client_certificate_bound_access_tokens", "Bearer")
	want(!n.Unbound, "access tokens that are bound to a key: DPoP, or mTLS with a certificate of the client", "Bearer")
	want(!n.Keys || d.JWKSURI != "", "jwks_uri", "")
	if n.OpenID {
		hint := ""
		if slices.Contains(d.IDTokenAlgorithms, jose.RS256) {
			hint = "RS256"
		}
		want(len(Common(n.Algorithms, d.IDTokenAlgorithms)) > 0, "id_token_signing_alg_values_supported with "+list, hint)
	}
	if !n.Required && (d.Authorization == "" || d.GrantTypes != nil && !slices.Contains(d.GrantTypes, "authorization_code")) {
		return lacks
	}
	want(d.Authorization != "", "authorization_endpoint", "")
	want(!n.Pushed || d.PAR != "", "pushed_authorization_request_endpoint", "NoPAR")
	want(!n.Iss || d.Iss, "authorization_response_iss_parameter_supported", "NoIss")
	want(!n.PKCE || slices.Contains(d.ChallengeMethods, "S256"), "code_challenge_methods_supported with S256", "UnannouncedPKCE, or NoPKCE")
	if n.SignedMode != "" {
		want(Offers(d.ResponseModes, n.SignedMode), "response_modes_supported with "+n.SignedMode, "")
		want(len(Common(n.Algorithms, d.ResponseAlgorithms)) > 0, "authorization_signing_alg_values_supported with "+list, "")
	}
	if n.RequestAlgorithm != "" {
		want(Offers(d.RequestAlgorithms, n.RequestAlgorithm), "request_object_signing_alg_values_supported with "+n.RequestAlgorithm, "")
	}
	want(Offers(d.ResponseTypes, n.ResponseType), "response_types_supported with "+n.ResponseType, "")
	return lacks
}

// authenticates reports whether a client may authenticate in some way. A certificate is good for both methods that have one.
func (d *Document) authenticates(method string) bool {
	methods := d.AuthMethods
	if methods == nil {
		methods = []string{"client_secret_basic"} // RFC 8414 §2
	}
	switch method {
	case "tls_client_auth":
		return slices.Contains(methods, method) || slices.Contains(methods, "self_signed_tls_client_auth")
	case "none":
		return true // not all announce what needs no announcement
	}
	return slices.Contains(methods, method)
}

// Offers reports whether a list that a provider may leave out has a value.
func Offers(list []string, value string) bool {
	return list == nil || len(Common([]string{value}, list)) > 0
}

// Common are the values of a list that a provider announces, or all if it announces none. Ed25519 is a name of EdDSA (RFC 9864 §2.2).
func Common(allowed, announced []string) []string {
	if len(announced) == 0 {
		return allowed
	}
	var both []string
	for _, name := range allowed {
		if slices.Contains(announced, name) || name == jose.EdDSA && slices.Contains(announced, "Ed25519") {
			both = append(both, name)
		}
	}
	return both
}
