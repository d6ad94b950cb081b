package main

// registration is a client's metadata (RFC 7591 §2) with its identifier and profile.
func (p plan) registration(s server, c testClient, redirectURIs []string) map[string]any {
	m := map[string]any{
		"client_id": c.id, "client_name": "Conformance suite " + c.id, "profile": p.profile(),
		"scope": p.scope(),
	}
	if !p.national() && p.openID() && !p.clientCredentials() && !p.backchannel() { // the suite asks for single claims of these (OpenID Connect Core §5.4, §5.5)
		m["scope"] = p.scope() + " profile email phone address"
	}
	switch {
	case p.clientCredentials():
		m["grant_types"], m["response_types"] = []string{"client_credentials"}, []string{}
	case p.backchannel():
		p.askBackchannel(m, c, redirectURIs[0])
	default:
		m["grant_types"], m["response_types"] = []string{"authorization_code", "refresh_token"}, []string{"code"}
		if p.fapi1() && !p.signedResponses() {
			m["response_types"] = []string{"code id_token"}
		}
		m["redirect_uris"] = redirectURIs
	}
	if p.suitePlan == fapi2MessageSigning {
		m["require_signed_request_object"] = p.variant["fapi_request_method"] != "unsigned"
	}
	if p.signedResponses() {
		m["response_modes"] = []string{"jwt"}
	}
	if p.rich() {
		var types []string
		for _, detail := range authorizationDetails() {
			types = append(types, detail["type"].(string))
		}
		m["authorization_details_types"] = types
		if p.clientCredentials() { // the suite sends none, and wants some in the answer
			m["default_authorization_details"] = authorizationDetails()
		}
	}
	if p.variant["client_auth_type"] == "mtls" {
		m["token_endpoint_auth_method"] = "tls_client_auth"
		m["tls_client_auth_subject_dn"] = c.certificate.subject
	} else {
		m["token_endpoint_auth_method"] = "private_key_jwt"
	}
	if p.variant["client_auth_type"] != "mtls" || p.fapi1() || p.variant["fapi_request_method"] == "signed_non_repudiation" {
		m["jwks"] = public(c.keys())
	}
	if p.bindsToCertificate() {
		m["tls_client_certificate_bound_access_tokens"] = true
	} else {
		m["dpop_bound_access_tokens"] = true
	}
	if p.national() {
		p.registerNational(m, s, c)
	}
	return m
}
