package resource_test

import (
	"net/http"
	"testing"

	"countersign/fapi/fapitest"
)

// Covers: LR-05. Resources demand x-fapi-interaction-id where the ecosystem does, after the token was verified, and send it back.
func TestLR05InteractionID(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.Offering("brazil-openfinance/fapi2-security", "fapi2-security"))
	acting := fapitest.All(fapitest.SetMember("scope", "openid accounts"), fapitest.SetMember("grant_types", []string{"authorization_code", "client_credentials"}))
	c := w.Register("client-1", fapitest.All(fapitest.OfEcosystem("brazil-openfinance/fapi2-security"), fapitest.KeysAt(t), acting))
	base := w.Register("client-2", acting)
	tokenOf := func(of *fapitest.Client) string {
		return of.ClientCredentials(fapitest.Set("scope", "accounts")).Text("access_token")
	}
	token := tokenOf(c)
	t.Run("accepts a call with one, and sends it back", func(t *testing.T) {
		r := c.Get("/accounts", token, fapitest.InteractionID)
		fapitest.WantOK(t, r)
		sent := http.Header{}
		fapitest.InteractionID(sent)
		if r.Header.Get("x-fapi-interaction-id") != sent.Get("x-fapi-interaction-id") {
			t.Errorf("sent back %q", r.Header.Get("x-fapi-interaction-id"))
		}
	})
	t.Run("accepts a call without, of a base profile", func(t *testing.T) {
		fapitest.WantOK(t, base.Get("/accounts", tokenOf(base), nil))
	})
	t.Run("accepts a call of UserInfo without, which is none of the ecosystem's", func(t *testing.T) {
		fapitest.WantOK(t, c.Get("/userinfo", c.TokensFor(fapitest.Set("scope", "openid")).Text("access_token"), nil))
	})
	for name, value := range map[string]string{"no": "", "a word as": "interaction", "a UUID without hyphens as": "0123456789ab4cde8f0123456789abcd"} {
		t.Run("refuses a call with "+name+" x-fapi-interaction-id", func(t *testing.T) {
			r := c.Get("/accounts", token, func(header http.Header) {
				if value != "" {
					header.Set("x-fapi-interaction-id", value)
				}
			})
			fapitest.WantError(t, r, http.StatusBadRequest, "invalid_request")
		})
	}
	t.Run("refuses a bad token before", func(t *testing.T) {
		fapitest.WantError(t, c.Get("/accounts", fapitest.Altered(token), nil), http.StatusUnauthorized, "invalid_token")
	})
}
