package fapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"countersign/internal/jose"
	"countersign/signer"
)

// discovery answers both well-known documents with the same body (OpenID Connect Discovery §4, RFC 8414 §3).
func (s *Server) discovery(ctx context.Context) ([]byte, string, error) {
	document, err := s.discoveryDocument(ctx)
	return document, "public, max-age=300", err
}

// discoveryDocument projects the routes and the profiles, and the algorithms of the keys that sign and decrypt now: it can
// name nothing that is not enforced, or not possible.
func (s *Server) discoveryDocument(ctx context.Context) ([]byte, error) {
	document := map[string]any{"issuer": s.config.Issuer}
	aliases := map[string]string{}
	for _, r := range s.routes {
		if r.metadata == "" {
			continue
		}
		document[r.metadata] = s.config.Issuer + r.path
		if r.alias && s.config.MTLSIssuer != "" {
			aliases[r.metadata] = s.config.MTLSIssuer + r.path
		}
	}
	if len(aliases) > 0 {
		document["mtls_endpoint_aliases"] = aliases // RFC 8705 §5
	}
	p := s.union()
	var scopes []string
	for _, scope := range s.scopes {
		scopes = append(scopes, scope.Name)
	}
	document["scopes_supported"] = scopes
	document["claims_supported"] = append([]string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash"}, personClaims()...)
	document["response_types_supported"] = p.ResponseTypes
	var err error
	var modes []string
	for _, kind := range p.ResponseTypes {
		modes = join(modes, p.ResponseModes[kind])
	}
	document["response_modes_supported"] = modes
	if slices.ContainsFunc(modes, isSigned) {
		err = errors.Join(err, s.advertise(ctx, document, signer.UseResponse, "authorization_signing_alg_values_supported")) // JARM §4
	}
	err = errors.Join(err,
		s.advertise(ctx, document, signer.UseIntrospection, "introspection_signing_alg_values_supported"), // RFC 9701 §7
		s.advertise(ctx, document, signer.UseIDToken, "id_token_signing_alg_values_supported"),
		s.advertise(ctx, document, signer.UseIDToken, "userinfo_signing_alg_values_supported"))
	if err != nil {
		return nil, err
	}
	document["grant_types_supported"] = p.GrantTypes
	document["subject_types_supported"] = []string{subjectPublic, subjectPairwise}
	encrypted := []string{"id_token", "userinfo", "introspection"} // OpenID Connect Discovery §3, RFC 9701 §7
	if slices.ContainsFunc(modes, isSigned) {
		encrypted = append(encrypted, "authorization") // JARM §4
	}
	for _, answer := range encrypted {
		document[answer+"_encryption_alg_values_supported"] = jose.EncryptionAlgorithms()
		document[answer+"_encryption_enc_values_supported"] = jose.ContentEncryptions()
	}
	for _, endpoint := range []string{"token_endpoint", "introspection_endpoint", "revocation_endpoint"} {
		document[endpoint+"_auth_methods_supported"] = p.ClientAuthMethods // RFC 8414 §2
		document[endpoint+"_auth_signing_alg_values_supported"] = p.Algorithms
	}
	document["protected_resources"] = []string{s.config.Issuer} // RFC 9728 §4
	document["prompt_values_supported"] = prompts()             // Initiating User Registration 1.0 §5
	if len(s.config.ACRValues) > 0 {
		document["acr_values_supported"] = s.config.ACRValues
	}
	if types := s.details.names(); len(types) > 0 {
		document["authorization_details_types_supported"] = types // RFC 9396 §10
	}
	document["dpop_signing_alg_values_supported"] = s.proofs.Algorithms                                          // RFC 9449 §5.1
	document["tls_client_certificate_bound_access_tokens"] = slices.Contains(p.SenderConstraints, ByCertificate) // RFC 8705 §3.3
	document["require_pushed_authorization_requests"] = p.RequirePushed                                          // RFC 9126 §5
	document["code_challenge_methods_supported"] = []string{"S256"}                                              // RFC 8414 §2
	document["authorization_response_iss_parameter_supported"] = true                                            // RFC 9207 §3
	document["claims_parameter_supported"] = true
	document["request_parameter_supported"] = p.RequestObjects != RequestObjectsRefused
	if p.RequestObjects != RequestObjectsRefused {
		document["request_object_signing_alg_values_supported"] = p.Algorithms                 // OpenID Connect Discovery §3
		document["require_signed_request_object"] = p.RequestObjects == RequestObjectsRequired // RFC 9101 §10.5
		algorithms, err := s.decryptionAlgorithms(ctx)
		if err != nil {
			return nil, err
		}
		if len(algorithms) > 0 {
			document["request_object_encryption_alg_values_supported"] = algorithms
			document["request_object_encryption_enc_values_supported"] = jose.ContentEncryptions()
		}
	}
	if settings := s.config.Backchannel; settings != nil { // CIBA Core §4
		modes := p.Backchannel.DeliveryModes
		if settings.Seals == nil {
			modes = []string{DeliverByPoll}
		}
		document["backchannel_token_delivery_modes_supported"] = modes
		document["backchannel_authentication_request_signing_alg_values_supported"] = p.Algorithms
		document["backchannel_user_code_parameter_supported"] = settings.UserCodes != nil
		if len(settings.HintIssuers) > 0 {
			document["backchannel_endpoint_login_hint_token_types_supported"] = hintTokenFormats() // FAPI-CIBA §5.3
		}
	}
	document["request_uri_parameter_supported"] = false // nothing is fetched from an address that a client names
	return json.Marshal(document)
}

// advertise names the algorithms that something can be signed with. Without any the member is left out (RFC 8414 §2).
func (s *Server) advertise(ctx context.Context, document map[string]any, use signer.Use, member string) error {
	algorithms, err := s.signs(ctx, use)
	if len(algorithms) > 0 {
		document[member] = algorithms
	}
	return err
}

// signs are the algorithms of the profiles that have an active key for a use.
func (s *Server) signs(ctx context.Context, use signer.Use) ([]string, error) {
	active, err := s.signer.Algorithms(ctx, use)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(s.union().Algorithms), func(alg string) bool {
		return !slices.Contains(active, signer.Algorithm(alg))
	}), nil
}

// decryptionAlgorithms are those of the keys that request objects can be encrypted to.
func (s *Server) decryptionAlgorithms(ctx context.Context) ([]string, error) {
	records, err := s.signer.Decryption(ctx, signer.UseRequestObject)
	if err != nil {
		return nil, err
	}
	var algorithms []string
	for _, record := range records {
		algorithms = join(algorithms, []string{string(record.Algorithm)})
	}
	return algorithms, nil
}

// union joins what the offered profiles allow: each client is held to its own, and what is demanded of only some is not
// announced as a demand. Without an mTLS listener nothing that needs one is left.
func (s *Server) union() Profile {
	known := Profiles()
	p := known[s.config.Profiles[0]]
	for _, name := range s.config.Profiles[1:] {
		other := known[name]
		p.ClientAuthMethods = join(p.ClientAuthMethods, other.ClientAuthMethods)
		p.Algorithms = join(p.Algorithms, other.Algorithms)
		p.SenderConstraints = join(p.SenderConstraints, other.SenderConstraints)
		p.GrantTypes = join(p.GrantTypes, other.GrantTypes)
		p.ResponseTypes = join(p.ResponseTypes, other.ResponseTypes)
		modes := map[string][]string{}
		for _, kind := range p.ResponseTypes {
			modes[kind] = join(p.ResponseModes[kind], other.ResponseModes[kind])
		}
		p.ResponseModes = modes
		p.RequirePushed = p.RequirePushed && other.RequirePushed
		if p.RequestObjects != other.RequestObjects {
			p.RequestObjects = RequestObjectsAllowed
		}
	}
	if s.config.Backchannel == nil {
		p.GrantTypes = slices.DeleteFunc(p.GrantTypes, func(grant string) bool { return grant == CIBA })
	}
	if s.config.MTLSIssuer == "" {
		p.ClientAuthMethods = []string{PrivateKeyJWT}
		p.SenderConstraints = []SenderConstraint{ByDPoP}
	}
	return p
}

// jwks answers the public keys (RFC 7517 §5). The cache time is what key rotation counts on.
func (s *Server) jwks(ctx context.Context) ([]byte, string, error) {
	published, err := s.signer.Published(ctx)
	if err != nil {
		return nil, "", err
	}
	var keys []string
	for _, record := range published {
		key, err := signer.PublicJWK(record)
		if err != nil {
			return nil, "", err
		}
		keys = append(keys, string(key))
	}
	body := `{"keys":[` + strings.Join(keys, ",") + `]}`
	return []byte(body), fmt.Sprintf("public, max-age=%d", seconds(s.config.JWKSMaxAge)), nil
}

// join gives the values of both lists, each once.
func join[T comparable](list, more []T) []T {
	joined := slices.Clone(list)
	for _, value := range more {
		if !slices.Contains(joined, value) {
			joined = append(joined, value)
		}
	}
	return joined
}
