package fapi_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/client"
	"countersign/fapi/fapitest"
	"countersign/internal/jose"
)

// Covers: F1-06, F1-08. Clients are held to a profile that the server offers, or to none.
func TestProfilesOffered(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", fapitest.OfProfile("fapi2-message-signing"))
	fapitest.TryAll(t, c.Push, fapitest.Bad("a profile that is not offered", c.Signing(nil), 401, "invalid_client"))
	plain := w.Register("client-2", nil)
	fapitest.TryAll(t, plain.Push, fapitest.Good("a profile that is offered", fapitest.Nothing))
}

// Covers: SP-54. A registration tightens its profile and never loosens it; times that are configured are cut to it.
func TestSP54ProfilesOnlyTighten(t *testing.T) {
	t.Parallel()
	key := fapitest.KeySet(fapitest.NewKey(t, jose.PS256).PublicJWK())
	t.Run("accepts a registration that tightens", func(t *testing.T) {
		client, err := client.Parse("client-1", "fapi2-security", fapitest.ClientMetadata(t, func(m map[string]any) {
			m["jwks"], m["token_endpoint_auth_signing_alg"], m["grant_types"] = key, "PS256", []string{"authorization_code"}
		}))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"authorization_code"}, client.Profile.GrantTypes); diff != "" {
			t.Error(diff)
		}
	})
	for name, value := range map[string]any{
		"grant_types": []string{"implicit"}, "response_types": []string{"token"}, "token_endpoint_auth_method": "client_secret_post",
		"token_endpoint_auth_signing_alg": "RS256", "id_token_signed_response_alg": "none",
	} {
		fapitest.TryRegistration(t, fmt.Sprintf("%s %v", name, value), fapitest.SetClaim(name, value), name)
	}
	t.Run("refuses a profile that does not exist", func(t *testing.T) {
		if _, err := client.Parse("client-1", "lax", fapitest.ClientMetadata(t, nil)); err == nil {
			t.Error("accepted")
		}
	})
	t.Run("refuses a registration that asks for unpushed requests", func(t *testing.T) {
		t.Parallel()
		w := fapitest.NewWorld(t)
		c := w.Register("client-1", fapitest.SetMember("require_pushed_authorization_requests", false))
		status, _, sentTo := w.Browser().Visit(w.Issuer + "/authorize?" + c.AuthorizationForm().Encode())
		if sentTo != nil || status != http.StatusBadRequest {
			t.Errorf("%d, sent to %v", status, sentTo)
		}
	})
}
