package consents_test

import (
	"crypto/x509"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"countersign/internal/random"
	"countersign/signer"
	"countersign/store"
)

// Covers: LC-50. Who signed a request, for whom and when is checked, and it counts once.
func TestLC50Messages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pay := register(t, w, "pay", ofBrazil, "openid payments")
	read := register(t, w, "read", ofKSA, "openid accounts")
	stranger := fapitest.NewKey(t, jose.PS256)
	set := fapitest.SetClaim
	now := w.Clock.Now().Unix()
	type attempt struct {
		alter  func(fapitest.Claims)
		status int
		code   string
	}
	for name, one := range map[string]attempt{
		"another issuer":              {set("iss", ours), 403, "INVALID_CLIENT"},
		"the client as the issuer":    {set("iss", "pay"), 403, "INVALID_CLIENT"},
		"no issuer":                   {set("iss", nil), 403, "INVALID_CLIENT"},
		"another audience":            {set("aud", w.Issuer), 403, "INVALID_CLIENT"},
		"no audience":                 {set("aud", nil), 403, "INVALID_CLIENT"},
		"no jti":                      {set("jti", nil), 403, "INVALID_CLIENT"},
		"a jti that is no UUID":       {set("jti", "1"), 403, "INVALID_CLIENT"},
		"no iat":                      {set("iat", nil), 403, "INVALID_CLIENT"},
		"an iat of six minutes ago":   {set("iat", now-361), 403, "INVALID_CLIENT"},
		"an iat of tomorrow":          {set("iat", now+86400), 403, "INVALID_CLIENT"},
		"an exp that is over":         {set("exp", now), 403, "INVALID_CLIENT"},
		"claims of other types":       {set("iat", "now"), 400, "BAD_SIGNATURE"},
		"a member beside the content": {set("colour", "blue"), 422, "PARAMETRO_INVALIDO"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			pay.want(pay.call("POST", payments, pay.message(payments, payBody, one.alter), keyed(random.UUID())), one.status, one.code)
		})
	}
	for name, one := range map[string]attempt{
		"another issuer":             {set("iss", "pay"), 400, "KSAOB.JWS.InvalidClaim"},
		"another audience":           {set("aud", []string{w.MTLSIssuer + ksa}), 400, "KSAOB.JWS.InvalidClaim"},
		"no exp":                     {set("exp", nil), 400, "KSAOB.JWS.InvalidClaim"},
		"no nbf":                     {set("nbf", nil), 400, "KSAOB.JWS.InvalidClaim"},
		"a message of two hours ago": {fapitest.ChangeClaims(set("nbf", now-7200), set("iat", nil)), 400, "KSAOB.JWS.InvalidClaim"},
		"no message":                 {set("message", nil), 400, "KSAOB.Resource.InvalidFormat"},
		"a message that is a text":   {set("message", "hello"), 400, "KSAOB.Body.InvalidFormat"},
	} {
		t.Run("refuses "+name+", KSA", func(t *testing.T) {
			read.want(read.call("POST", ksa, read.message(ksa, ksaBody, one.alter), nil), one.status, one.code)
		})
	}
	t.Run("accepts the audience as an array", func(t *testing.T) {
		r := pay.call("POST", payments, pay.message(payments, payBody, set("aud", []string{w.MTLSIssuer + payments})), keyed(random.UUID()))
		if r.Status != 201 {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
	for name, one := range map[string]struct {
		body         string
		status       int
		code, ofRead string
	}{
		"a signature of somebody else": {pay.Sign(stranger, "JWT", fapitest.UnverifiedClaims(t, pay.message(payments, payBody, nil))), 400, "BAD_SIGNATURE", "KSAOB.JWS.InvalidSignature"},
		"the typ of an access token":   {pay.Sign(pay.Key, "at+jwt", fapitest.UnverifiedClaims(t, pay.message(payments, payBody, nil))), 400, "BAD_SIGNATURE", "KSAOB.JWS.Malformed"},
		"no signature":                 {"eyJhbGciOiJub25lIn0.e30.", 400, "BAD_SIGNATURE", "KSAOB.JWS.Malformed"},
		"no JWT":                       {"a.b.c", 400, "BAD_SIGNATURE", "KSAOB.JWS.Malformed"},
		"JSON":                         {payBody, 415, "TIPO_NAO_SUPORTADO", ""},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			pay.want(pay.call("POST", payments, one.body, keyed(random.UUID())), one.status, one.code)
			read.want(read.call("POST", ksa, one.body, nil), one.status, one.ofRead)
		})
	}
	t.Run("refuses no typ where one is required", func(t *testing.T) {
		body := pay.Sign(pay.Key, "", fapitest.UnverifiedClaims(t, pay.message(payments, payBody, nil)))
		pay.want(pay.call("POST", payments, body, keyed(random.UUID())), 400, "BAD_SIGNATURE")
	})
	t.Run("refuses a request that was sent before", func(t *testing.T) {
		body := pay.message(payments, payBody, nil)
		if r := pay.call("POST", payments, body, keyed("once-1")); r.Status != 201 {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		pay.want(pay.call("POST", payments, body, keyed("once-2")), 403, "INVALID_CLIENT")
		pay.want(pay.call("POST", payments, body, keyed("once-1")), 403, "INVALID_CLIENT")
		again := read.message(ksa, ksaBody, nil)
		if r := read.call("POST", ksa, again, nil); r.Status != 201 {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		read.want(read.call("POST", ksa, again, nil), 400, "KSAOB.JWS.InvalidClaim")
	})
	t.Run("refuses an organisation that no authority vouches for", func(t *testing.T) {
		strange := fapitest.NewAuthority(t, "Another CA", w.Clock.Now())
		own := register(t, w, "own", ofBrazil, "openid payments", func(c *fapitest.Client, _ map[string]any) {
			c.Certificate = new(strange.IssueAs(t, w.Clock.Now(), func(template *x509.Certificate) { template.Subject.OrganizationalUnit = []string{theirs} }))
		})
		own.want(own.call("POST", payments, own.message(payments, payBody, nil), keyed("k")), 403, "INVALID_CLIENT")
	})
}

// Covers: LC-51. Nothing signed leaves that is not recorded, and nothing is kept of what cannot be.
func TestLC51Evidence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := register(t, w, "one", ofKSA, "openid accounts")
	id := a.created(ksa, ksaBody, nil)
	t.Run("refuses to answer while the HSM is away, and keeps nothing", func(t *testing.T) {
		w.Backend.Fail(signer.ErrUnavailable)
		r := a.call("POST", ksa, a.message(ksa, ksaBody, nil), nil)
		a.want(r, 503, "KSAOB.GenericRecoverableError")
		if r.Header.Get("Retry-After") == "" || r.Header.Get("Content-Type") == "application/jwt" {
			t.Errorf("%v", r.Header)
		}
		w.Backend.Fail(nil)
		lodged, err := w.Store.ListLodgedConsents(t.Context(), store.ConsentFilter{ClientID: "one"}, store.Page{Limit: 10})
		if err != nil || len(lodged) != 1 || lodged[0].ID != id {
			t.Errorf("%v %v", lodged, err)
		}
	})
}
