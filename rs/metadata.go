package rs

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"countersign/internal/set"
)

// Metadata are what is published about the resource beside what its guard knows (RFC 9728 §2). All are optional.
type Metadata struct {
	// Scopes are scope values that no route requires by its [Scope], and that clients should know of.
	Scopes []string
	// Name is for people. Documentation, Policy and Terms are addresses of pages.
	Name, Documentation, Policy, Terms string
	// KeysURL is where [Guard.Keys] is served.
	KeysURL string
}

// wireMetadata is the document of RFC 9728 §2.
type wireMetadata struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
	KeysURL              string   `json:"jwks_uri,omitempty"`
	Scopes               []string `json:"scopes_supported,omitempty"`
	Methods              []string `json:"bearer_methods_supported"`
	SigningAlgorithms    []string `json:"resource_signing_alg_values_supported,omitempty"`
	Name                 string   `json:"resource_name,omitempty"`
	Documentation        string   `json:"resource_documentation,omitempty"`
	Policy               string   `json:"resource_policy_uri,omitempty"`
	Terms                string   `json:"resource_tos_uri,omitempty"`
	CertificateBound     bool     `json:"tls_client_certificate_bound_access_tokens"`
	DetailTypes          []string `json:"authorization_details_types_supported,omitempty"`
	ProofAlgorithms      []string `json:"dpop_signing_alg_values_supported"`
	ProofsRequired       bool     `json:"dpop_bound_access_tokens_required"`
}

// wellKnown is the path of metadata, to which that of the resource is added (RFC 9728 §3).
const wellKnown = "/.well-known/oauth-protected-resource"

// Metadata returns the path and the handler of the metadata of the resource (RFC 9728 §3), which say where its tokens come from,
// which scopes and types of authorization details its routes require, and how tokens have to be bound. From then on challenges name
// their address (resource_metadata, §5.1):
//
//	mux.Handle(guard.Metadata())
//
// [Config].Audience has to be an https URL without query and fragment: it is the identifier of the resource. Of another, there is
// nothing to publish, and the handler answers 404.
func (g *Guard) Metadata() (path string, handler http.Handler) {
	resource, err := url.Parse(g.config.Audience)
	if err != nil || !isHTTPS(g.config.Audience) || strings.ContainsAny(g.config.Audience, "?#") {
		return wellKnown, http.NotFoundHandler()
	}
	path = wellKnown + strings.TrimSuffix(resource.EscapedPath(), "/")
	address := "https://" + resource.Host + path
	g.announced.Store(&address)
	return path, http.HandlerFunc(g.serveMetadata)
}

func (g *Guard) serveMetadata(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	scopes, types := g.offered.all()
	told := g.config.Metadata
	scopes = set.Union(scopes, told.Scopes)
	slices.Sort(scopes)
	slices.Sort(types)
	document := wireMetadata{
		Resource: g.config.Audience, AuthorizationServers: []string{g.config.Issuer}, KeysURL: told.KeysURL, Scopes: scopes,
		Methods: []string{"header"}, Name: told.Name, Documentation: told.Documentation, Policy: told.Policy, Terms: told.Terms,
		CertificateBound: g.takesCertificates && !g.config.Weak.Bearer, DetailTypes: types, ProofAlgorithms: g.proofs.Algorithms,
		ProofsRequired: !g.takesCertificates && !g.config.Weak.Bearer,
	}
	if g.messages != nil {
		document.SigningAlgorithms = []string{g.messages.config.Key.signing.Algorithm}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_ = json.NewEncoder(w).Encode(document) // response already started; error ignored
}
