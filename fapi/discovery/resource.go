package discovery

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"

	"countersign/fapi/profile"
	"countersign/signer"
)

// resource describes the resources that this server hosts, UserInfo among them: one protected resource, whose
// identifier is the issuer's (RFC 9728 §2).
func (h *Handler) resource(ctx context.Context) (body []byte, cacheControl string, err error) {
	algorithms, err := h.Signs(ctx, signer.UseHTTPMessage)
	if err != nil {
		return nil, "", err
	}
	issuer := h.config.Addresses.Issuer
	byCertificate := slices.Contains(h.offered.SenderConstraints, profile.ByCertificate)
	document := metadata{
		"resource": issuer, "authorization_servers": []string{issuer}, "jwks_uri": issuer + jwksPath,
		"bearer_methods_supported": []string{"header"}, "scopes_supported": h.config.ResourceScopes,
		"dpop_signing_alg_values_supported":          h.config.ProofAlgorithms,
		"dpop_bound_access_tokens_required":          !byCertificate,
		"tls_client_certificate_bound_access_tokens": byCertificate,
	}
	if len(algorithms) > 0 {
		document["resource_signing_alg_values_supported"] = algorithms
	}
	if types := h.config.Details.Names(); len(types) > 0 {
		document["authorization_details_types_supported"] = types
	}
	body, err = json.Marshal(document)
	return body, documentCaching, err
}

// MetadataAddress returns the URL of the metadata of an issuer's own resources, for challenges (RFC 9728 §5.1). The
// path of the issuer follows the suffix (§3.1). It is "" for a malformed issuer.
func MetadataAddress(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	u.Path, u.RawPath = resourcePath+u.Path, ""
	return u.String()
}
