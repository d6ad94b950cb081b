package discovery_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/fapitest"
)

// Covers: PR-01, PR-02, MD-03. The metadata of our own resources says what is so, and challenges say where it is.
func TestPR01ResourceMetadata(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{"at the root": "", "below a path": "/tenant"} {
		w := fapitest.NewWorld(t, fapitest.AllProfiles, func(c *fapitest.Config) { c.Issuer += path })
		root := strings.TrimSuffix(w.Issuer, path)
		address := root + "/.well-known/oauth-protected-resource" + path
		t.Run("accepts the document, "+name, func(t *testing.T) {
			r := fetched(t, w, address)
			want := map[string]any{
				"resource": w.Issuer, "authorization_servers": []any{w.Issuer}, "jwks_uri": w.Issuer + "/jwks",
				"bearer_methods_supported": []any{"header"}, "scopes_supported": []any{"openid", "accounts"},
				"dpop_bound_access_tokens_required": false, "tls_client_certificate_bound_access_tokens": true,
				"dpop_signing_alg_values_supported": []any{"PS256", "ES256", "EdDSA"}, "resource_signing_alg_values_supported": []any{"PS256", "ES256", "EdDSA"},
			}
			if diff := cmp.Diff(want, r.Body); r.Status != http.StatusOK || diff != "" {
				t.Errorf("answered %d, -want +got\n%s", r.Status, diff)
			}
		})
		t.Run("accepts the server's metadata to name it, "+name, func(t *testing.T) {
			document := fetched(t, w, w.Issuer+"/.well-known/openid-configuration").Body
			if got := fmt.Sprint(document["protected_resources"]); got != "["+w.Issuer+"]" {
				t.Errorf("protected_resources %s", got)
			}
		})
		if path != "" {
			continue
		}
		c := w.Register("client-1", nil)
		token := c.Tokens().Text("access_token")
		for what, alter := range map[string]func(http.Header){
			"no token":    func(h http.Header) { h.Del("Authorization"); h.Del("DPoP") },
			"a bad token": func(h http.Header) { h.Set("Authorization", "DPoP x") },
			"no proof":    func(h http.Header) { h.Del("DPoP") },
		} {
			t.Run("refuses "+what+", and says where the metadata is", func(t *testing.T) {
				r := c.Get("/accounts", token, alter)
				challenges := r.Header.Get("WWW-Authenticate")
				if r.Status != http.StatusUnauthorized || !strings.Contains(challenges, `resource_metadata="`+address+`"`) || !strings.HasPrefix(challenges, "DPoP algs=") {
					t.Errorf("answered %d with %q", r.Status, challenges)
				}
			})
		}
	}
	w := fapitest.NewWorld(t, func(c *fapitest.Config) { c.MTLSIssuer = "" })
	t.Run("accepts that DPoP is required where there is no listener for certificates", func(t *testing.T) {
		r := fetched(t, w, w.Issuer+"/.well-known/oauth-protected-resource")
		if r.Body["dpop_bound_access_tokens_required"] != true || r.Body["tls_client_certificate_bound_access_tokens"] != false {
			t.Errorf("answered %s", r.Raw)
		}
	})
}
