package resource_test

import (
	"net/http"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
)

// Covers: DP-09, DP-14. At a resource the proof is for this token, and the challenge says what is wanted.
func TestDP09Resource(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	token := c.Tokens().Text("access_token")
	address := w.Issuer + "/accounts"
	get := func(alter func(http.Header)) func(fapitest.Change) fapitest.Reply {
		return func(fapitest.Change) fapitest.Reply { return c.Get("/accounts", token, alter) }
	}
	proof := func(alter func(fapitest.Claims)) func(http.Header) {
		return func(h http.Header) { h.Set("DPoP", c.Proof("GET", address, token, alter)) }
	}
	fapitest.TryAll(t, get(nil), fapitest.Good("the token with its proof", nil))
	for name, one := range map[string]struct {
		alter func(http.Header)
		code  string
	}{
		"no ath":                  {proof(fapitest.SetClaim("ath", nil)), "invalid_dpop_proof"},
		"ath of another token":    {proof(fapitest.SetClaim("ath", fapitest.CodeChallenge("other"))), "invalid_dpop_proof"},
		"ath with padding":        {proof(fapitest.SetClaim("ath", fapitest.CodeChallenge(token)+"=")), "invalid_dpop_proof"},
		"the token itself as ath": {proof(fapitest.SetClaim("ath", token)), "invalid_dpop_proof"},
		"the scheme Bearer":       {func(h http.Header) { h.Set("Authorization", "Bearer "+token) }, "invalid_token"},
		"no proof":                {func(h http.Header) { h.Del("DPoP") }, "invalid_dpop_proof"},
		"no token":                {func(h http.Header) { h.Del("Authorization") }, "invalid_token"},
	} {
		t.Run("refuses "+name+" and names the algorithms", func(t *testing.T) {
			r := get(one.alter)(nil)
			fapitest.WantError(t, r, 401, one.code)
			if challenge := r.Header.Get("WWW-Authenticate"); !strings.HasPrefix(challenge, `DPoP algs="PS256 ES256 EdDSA"`) {
				t.Errorf("WWW-Authenticate %q", challenge)
			}
		})
	}
}
