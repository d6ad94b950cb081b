package endpoint_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
)

// Covers: FD-29. A proof is for the listener that it is sent to: the address in it is the one that was called.
func TestFD29ProofOfListener(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	plain := w.Register("plain", nil)
	aliased := *plain
	aliased.AtMTLS = true
	aliased.HTTP = w.Transport(&aliased)
	for name, c := range map[string]*fapitest.Client{"plain": plain, "with certificates": &aliased} {
		other := w.MTLSIssuer
		if c.AtMTLS {
			other = w.Issuer
		}
		crossed := func(path string) fapitest.Change {
			return func(_ url.Values, h http.Header) { h.Set("DPoP", c.Proof("POST", other+path, "", nil)) }
		}
		fapitest.TryAll(t, c.Push, fapitest.Good("its own address, "+name, c.ReplaceProof("/par", nil)),
			fapitest.Bad("that of the other listener, "+name, crossed("/par"), 400, "invalid_dpop_proof"))
		code := c.Authorize()
		fapitest.TryAll(t, func(change fapitest.Change) fapitest.Reply { return c.Redeem(code, change) },
			fapitest.Bad("that of the other token endpoint, "+name, crossed("/token"), 400, "invalid_dpop_proof"))
		issued := c.Redeem(code, nil)
		fapitest.WantOK(t, issued)
		token := issued.Text("access_token")
		t.Run("accepts its own at a resource, "+name, func(t *testing.T) { fapitest.WantOK(t, c.Get("/accounts", token, nil)) })
		t.Run("refuses the other at a resource, "+name, func(t *testing.T) {
			r := c.Get("/accounts", token, func(h http.Header) { h.Set("DPoP", c.Proof("GET", other+"/accounts", token, nil)) })
			fapitest.WantError(t, r, http.StatusUnauthorized, "invalid_dpop_proof")
		})
		if strings.HasPrefix(other, c.Base()) {
			t.Error("the two listeners have one address")
		}
	}
}
