package discovery

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"countersign/fapi/claims/verified"
	"countersign/fapi/client"
	"countersign/fapi/profile"
	"countersign/fapi/request"
	"countersign/internal/jose"
	"countersign/internal/set"
	"countersign/signer"
)

// metadata is a document: its members by name.
type metadata map[string]any

// server returns the document of both well-known addresses (OpenID Connect Discovery §4, RFC 8414 §3).
func (h *Handler) server(ctx context.Context) (body []byte, cacheControl string, err error) {
	document := metadata{"issuer": h.config.Addresses.Issuer}
	h.addEndpoints(document)
	h.addRequests(document)
	h.addClientAuthentication(document)
	h.addBackchannel(document)
	h.addLogout(document)
	if err := h.addSigning(ctx, document); err != nil {
		return nil, "", err
	}
	if err := h.addRequestObjects(ctx, document); err != nil {
		return nil, "", err
	}
	body, err = json.Marshal(document)
	return body, documentCaching, err
}

// addEndpoints adds the addresses of the endpoints on both listeners.
func (h *Handler) addEndpoints(document metadata) {
	addresses := h.config.Addresses
	aliases := map[string]string{}
	for _, route := range h.config.Routes() {
		if route.Metadata == "" {
			continue
		}
		document[route.Metadata] = addresses.Issuer + route.Path
		if route.Alias && addresses.MTLSIssuer != "" {
			aliases[route.Metadata] = addresses.MTLSIssuer + route.Path
		}
	}
	h.addGrantManagement(document, aliases)
	if len(aliases) > 0 {
		document["mtls_endpoint_aliases"] = aliases // RFC 8705 §5
	}
	document["protected_resources"] = []string{addresses.Issuer} // RFC 9728 §4
}

// addGrantManagement adds what clients may do with grants that they name (Grant Management for OAuth 2.0 §7.1). The address of the
// endpoint is that of no route: a grant_id follows it.
func (h *Handler) addGrantManagement(document metadata, aliases map[string]string) {
	rule := h.offered.GrantManagement
	if len(rule.Actions) == 0 {
		return
	}
	document["grant_management_actions_supported"] = rule.Actions
	document["grant_management_action_required"] = rule.Required
	if len(rule.Scopes()) == 0 {
		return
	}
	addresses := h.config.Addresses
	document["grant_management_endpoint"] = addresses.Issuer + grantsPath
	if addresses.MTLSIssuer != "" {
		aliases["grant_management_endpoint"] = addresses.MTLSIssuer + grantsPath
	}
}

// grantsPath is that of package grants, which is above.
const grantsPath = "/grants"

// addLogout adds how clients are told that sessions have ended (OpenID Connect Back-Channel Logout 1.0 §2.1). They are not told
// through the browser (Front-Channel Logout): that is the default of frontchannel_logout_supported.
func (h *Handler) addLogout(document metadata) {
	document["backchannel_logout_supported"] = true
	document["backchannel_logout_session_supported"] = true
}

// addRequests adds what can be requested and how it is answered.
func (h *Handler) addRequests(document metadata) {
	p := h.offered
	document["scopes_supported"] = h.config.Scopes.Names()
	document["claims_supported"] = set.Union(append(
		[]string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid"}, h.config.Claims...), h.ecosystemClaims())
	document["response_types_supported"] = p.ResponseTypes
	document["response_modes_supported"] = h.responseModes()
	document["grant_types_supported"] = p.GrantTypes
	document["subject_types_supported"] = []string{client.SubjectPublic, client.SubjectPairwise}
	if p.Pairwise {
		document["subject_types_supported"] = []string{client.SubjectPairwise}
	}
	if h.config.HasClaim(verified.Member) {
		addVerifiedClaims(document, p.VerifiedClaims)
	}
	document["prompt_values_supported"] = request.Prompts() // Initiating User Registration 1.0 §5
	if len(h.config.ACRValues) > 0 {
		document["acr_values_supported"] = h.config.ACRValues
	}
	if len(h.config.UILocales) > 0 {
		document["ui_locales_supported"] = h.config.UILocales // OpenID Connect Discovery §3
	}
	if types := h.config.Details.Names(); len(types) > 0 {
		document["authorization_details_types_supported"] = types // RFC 9396 §10
	}
	document["require_pushed_authorization_requests"] = p.RequirePushed // RFC 9126 §5
	document["code_challenge_methods_supported"] = []string{"S256"}     // RFC 8414 §2
	document["authorization_response_iss_parameter_supported"] = true   // RFC 9207 §3
	document["claims_parameter_supported"] = true
	document["request_uri_parameter_supported"] = false // no request_uri is fetched
}

// responseModes returns the union for all response types.
func (h *Handler) responseModes() []string {
	var modes []string
	for _, kind := range h.offered.ResponseTypes {
		modes = set.Union(modes, h.offered.ResponseModes[kind])
	}
	return modes
}

// signsResponses reports whether some response mode is signed (JARM §2.3).
func (h *Handler) signsResponses() bool {
	return slices.ContainsFunc(h.responseModes(), func(mode string) bool {
		return mode == "jwt" || strings.HasSuffix(mode, ".jwt")
	})
}

// addClientAuthentication adds how clients authenticate and how their access tokens are bound.
func (h *Handler) addClientAuthentication(document metadata) {
	p := h.offered
	for _, endpoint := range []string{"token_endpoint", "introspection_endpoint", "revocation_endpoint"} {
		document[endpoint+"_auth_methods_supported"] = p.ClientAuthMethods // RFC 8414 §2
		document[endpoint+"_auth_signing_alg_values_supported"] = p.Algorithms
	}
	document["dpop_signing_alg_values_supported"] = h.config.ProofAlgorithms // RFC 9449 §5.1
	// RFC 8705 §3.3
	document["tls_client_certificate_bound_access_tokens"] = slices.Contains(p.SenderConstraints, profile.ByCertificate)
}

// addSigning adds the algorithms of signed and encrypted responses.
func (h *Handler) addSigning(ctx context.Context, document metadata) error {
	type answer struct {
		use    signer.Use
		member string
	}
	signed := []answer{
		{signer.UseIntrospection, "introspection_signing_alg_values_supported"}, // RFC 9701 §7
		{signer.UseIDToken, "id_token_signing_alg_values_supported"},
		{signer.UseIDToken, "userinfo_signing_alg_values_supported"},
	}
	encrypted := []string{"id_token", "userinfo", "introspection"} // OpenID Connect Discovery §3, RFC 9701 §7
	if h.signsResponses() {                                        // JARM §4
		signed = append(signed, answer{signer.UseResponse, "authorization_signing_alg_values_supported"})
		encrypted = append(encrypted, "authorization")
	}
	for _, each := range signed {
		algorithms, err := h.Signs(ctx, each.use)
		if err != nil {
			return err
		}
		if each.member == "id_token_signing_alg_values_supported" && len(h.offered.IDTokenAlgorithms) > 0 {
			algorithms = set.Intersect(algorithms, h.offered.IDTokenAlgorithms)
		}
		if len(algorithms) > 0 { // RFC 8414 §2: a member without values is left out
			document[each.member] = algorithms
		}
	}
	for _, kind := range encrypted {
		document[kind+"_encryption_alg_values_supported"] = among(jose.EncryptionAlgorithms(), h.offered.KeyEncryption)
		document[kind+"_encryption_enc_values_supported"] = among(jose.ContentEncryptions(), h.offered.ContentEncryption)
	}
	return nil
}

// addRequestObjects adds the algorithms of signed and encrypted request objects.
func (h *Handler) addRequestObjects(ctx context.Context, document metadata) error {
	p := h.offered
	document["request_parameter_supported"] = p.RequestObjects != profile.RequestObjectsRefused
	if p.RequestObjects == profile.RequestObjectsRefused {
		return nil
	}
	document["request_object_signing_alg_values_supported"] = among(p.Algorithms, p.RequestObjectAlgorithms) // OpenID Connect Discovery §3
	document["require_signed_request_object"] = p.RequestObjects == profile.RequestObjectsRequired           // RFC 9101 §10.5
	records, err := h.config.Signer.Decryption(ctx, signer.UseRequestObject)
	if err != nil {
		return err
	}
	var algorithms []string
	for _, record := range records {
		if record.Algorithm != signer.RSAOAEP {
			algorithms = set.Union(algorithms, []string{string(record.Algorithm)})
		}
		if record.Algorithm.Does(signer.RSAOAEP) && h.namesOAEP() {
			algorithms = set.Union(algorithms, []string{jose.RSAOAEP})
		}
	}
	if algorithms = among(algorithms, p.KeyEncryption); len(algorithms) > 0 {
		document["request_object_encryption_alg_values_supported"] = algorithms
		document["request_object_encryption_enc_values_supported"] = among(jose.ContentEncryptions(), p.ContentEncryption)
	}
	return nil
}

// addBackchannel adds the metadata of CIBA Core §4.
func (h *Handler) addBackchannel(document metadata) {
	settings := h.config.Backchannel
	if settings == nil {
		return
	}
	modes := h.offered.Backchannel.DeliveryModes
	if !settings.Ping {
		modes = []string{profile.DeliverByPoll}
	}
	document["backchannel_token_delivery_modes_supported"] = modes
	document["backchannel_authentication_request_signing_alg_values_supported"] = among(h.offered.Algorithms, h.offered.RequestObjectAlgorithms)
	document["backchannel_user_code_parameter_supported"] = settings.UserCodes
	if len(settings.HintTokenFormats) > 0 {
		document["backchannel_endpoint_login_hint_token_types_supported"] = settings.HintTokenFormats // FAPI-CIBA §5.3
	}
}
