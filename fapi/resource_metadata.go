package fapi

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"

	"countersign/internal/oauth"
	"countersign/signer"
)

// resourceMetadataPath is where the metadata of the server's own resources is (RFC 9728 §3).
const resourceMetadataPath = "/.well-known/oauth-protected-resource"

// resourceMetadata describes the resources that this server hosts, UserInfo among them: one protected resource, whose
// identifier is the issuer's (RFC 9728 §2).
func (s *Server) resourceMetadata(ctx context.Context) ([]byte, string, error) {
	algorithms, err := s.signs(ctx, signer.UseHTTPMessage)
	if err != nil {
		return nil, "", err
	}
	p := s.union()
	var scopes []string
	for _, r := range s.routes {
		if r.kind == resource && !slices.Contains(scopes, r.scope) {
			scopes = append(scopes, r.scope)
		}
	}
	document := map[string]any{
		"resource": s.config.Issuer, "authorization_servers": []string{s.config.Issuer}, "jwks_uri": s.config.Issuer + "/jwks",
		"bearer_methods_supported": []string{"header"}, "scopes_supported": scopes,
		"dpop_signing_alg_values_supported":          s.proofs.Algorithms,
		"dpop_bound_access_tokens_required":          !slices.Contains(p.SenderConstraints, ByCertificate),
		"tls_client_certificate_bound_access_tokens": slices.Contains(p.SenderConstraints, ByCertificate),
	}
	if len(algorithms) > 0 {
		document["resource_signing_alg_values_supported"] = algorithms
	}
	if types := s.details.names(); len(types) > 0 {
		document["authorization_details_types_supported"] = types
	}
	body, err := json.Marshal(document)
	return body, "public, max-age=300", err
}

// resourceMetadataAddress is the address of that document: the path of an issuer comes behind the suffix (RFC 9728 §3.1).
func (s *Server) resourceMetadataAddress() string {
	u, err := url.Parse(s.config.Issuer)
	if err != nil {
		return "" // checked by New
	}
	u.Path, u.RawPath = resourceMetadataPath+u.Path, ""
	return u.String()
}

// showMetadata adds to a challenge where the metadata of the resource is (RFC 9728 §5.1).
func (s *Server) showMetadata(err error) error {
	e := oauth.AsError(translate(err))
	if e.Challenge == "" {
		return err
	}
	with, where := *e, `resource_metadata="`+s.resourceMetadataAddress()+`"`
	if e.Challenge == challengeBoth {
		with.Challenge = challengeDPoP + ", " + where + ", Bearer " + where
	} else {
		with.Challenge += ", " + where
	}
	return &with
}
