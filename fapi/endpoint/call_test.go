package endpoint_test

import (
	"net/http"
	"net/url"
	"testing"

	"countersign/fapi/fapitest"
)

// TestOneTimeValues presents the same assertion and the same proof twice.
func TestOneTimeValues(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	assertion, proof := c.ClientAssertion(nil), c.Proof("POST", w.Issuer+"/par", "", nil)
	sameAssertion := func(form url.Values, _ http.Header) { form.Set("client_assertion", assertion) }
	if r := c.Push(sameAssertion); r.Status != http.StatusCreated {
		t.Fatalf("first: %d %s", r.Status, r.Raw)
	}
	fapitest.WantError(t, c.Push(sameAssertion), http.StatusUnauthorized, "invalid_client")

	sameProof := func(_ url.Values, h http.Header) { h.Set("DPoP", proof) }
	if r := c.Push(sameProof); r.Status != http.StatusCreated {
		t.Fatalf("first: %d %s", r.Status, r.Raw)
	}
	fapitest.WantError(t, c.Push(sameProof), http.StatusBadRequest, "invalid_dpop_proof")

	// A request that is refused after its client proved itself consumes its values too.
	assertion = c.ClientAssertion(nil)
	fapitest.WantError(t, c.Push(func(form url.Values, h http.Header) { sameAssertion(form, h); form.Del("redirect_uri") }), http.StatusBadRequest, "invalid_request")
	fapitest.WantError(t, c.Push(sameAssertion), http.StatusUnauthorized, "invalid_client")
}
