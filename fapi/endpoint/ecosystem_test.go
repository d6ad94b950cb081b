package endpoint_test

import (
	"net/url"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
)

// Covers: LR-06. Where an ecosystem has mutual TLS everywhere no endpoint serves a client without its certificate.
func TestLR06MutualTLSEverywhere(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.Offering("au-cdr", "uae-cbuae", "fapi2-message-signing"))
	c, base := w.Register("client-1", fapitest.OfEcosystem("uae-cbuae")), w.Register("client-2", fapitest.OfEcosystem("fapi2-message-signing"))
	withoutTLS := func(of *fapitest.Client) *fapitest.Client {
		other := *of
		other.Certificate, other.AtMTLS = nil, false
		other.HTTP = w.Transport(&other)
		return &other
	}
	for path, form := range map[string]url.Values{
		"/par": {}, "/token": {"grant_type": {"refresh_token"}, "refresh_token": {"x"}}, "/revoke": {"token": {"x"}},
	} {
		send := func(of *fapitest.Client) fapitest.Reply {
			parameters := url.Values{}
			for name, values := range form {
				parameters[name] = values
			}
			return of.Post(path, parameters, nil)
		}
		t.Run("accepts "+path+" with the certificate", func(t *testing.T) {
			if r := send(c); strings.Contains(r.Text("error_description"), "mutual TLS") {
				t.Errorf("%d %s", r.Status, r.Raw)
			}
		})
		t.Run("refuses "+path+" at the other listener", func(t *testing.T) {
			r := send(withoutTLS(c))
			fapitest.WantError(t, r, 400, "invalid_request")
			if !strings.Contains(r.Text("error_description"), "mutual TLS") {
				t.Errorf("%s", r.Raw)
			}
		})
		t.Run("refuses "+path+" without a certificate", func(t *testing.T) {
			fapitest.WantError(t, send(c.WithCertificate(nil)), 400, "invalid_request")
		})
	}
	t.Run("accepts a client of a base profile at the other listener", func(t *testing.T) {
		r := withoutTLS(base).Push(base.Signed())
		if r.Status != 201 {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
	t.Run("refuses the same assertion again", func(t *testing.T) {
		assertion := fapitest.Set("client_assertion", c.ClientAssertion(nil))
		withoutTLS(c).Post("/revoke", url.Values{"token": {"x"}}, assertion)
		fapitest.WantError(t, c.Post("/revoke", url.Values{"token": {"x"}}, assertion), 401, "invalid_client")
	})
}

// Covers: LR-39. An ecosystem that accepts further audiences of assertions does not widen a base that has one: of FAPI 2.0 it is the
// issuer, as one string.
func TestLR39AssertionAudience(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.Offering("au-cdr", "au-cdr/fapi2-security"))
	recipient := fapitest.NewRecipient(t, "ECDH-ES")
	one := w.Register("client-1", fapitest.All(fapitest.OfEcosystem("au-cdr"), fapitest.SetMember("response_modes", []string{"jwt"})))
	two := w.Register("client-2", fapitest.All(fapitest.OfEcosystem("au-cdr/fapi2-security"), fapitest.EncryptedTo(recipient, "ECDH-ES")))
	for name, audience := range map[string]any{
		"the token endpoint": w.Issuer + "/token", "the endpoint that is called": w.MTLSIssuer + "/par", "the issuer in an array": []string{w.Issuer},
	} {
		t.Run("accepts "+name+" on FAPI 1.0", func(t *testing.T) {
			r := one.Push(fapitest.Changes(one.Signed(fapitest.Set("response_mode", "jwt")), one.ReplaceAssertion(fapitest.SetClaim("aud", audience))))
			if r.Status != 201 {
				t.Errorf("%d %s", r.Status, r.Raw)
			}
		})
		t.Run("refuses "+name+" on FAPI 2.0", func(t *testing.T) {
			fapitest.WantError(t, two.Push(two.ReplaceAssertion(fapitest.SetClaim("aud", audience))), 401, "invalid_client")
		})
	}
}
