package consents_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/internal/audit"
	"countersign/internal/jose"
	"countersign/internal/jose/detached"
	"countersign/store"
)

const (
	ukFunds3   = "/open-banking/v3.1/cbpii/funds-confirmation-consents"
	ukFunds4   = "/open-banking/v4.0/cbpii/funds-confirmation-consents"
	ukPayments = "/open-banking/v4.0/pisp/domestic-payment-consents"

	ukFundsBody = `{"Data":{"DebtorAccount":{"SchemeName":"UK.OBIE.IBAN","Identification":"GB76LOYD30949301273801"},"ExpirationDateTime":"2099-05-02T00:00:00+00:00"}}`
	ukPayBody   = `{"Data":{"Initiation":{"InstructionIdentification":"ACME412","EndToEndIdentification":"FRESCO.21302.GFX.20","InstructedAmount":{"Amount":"165.88","Currency":"GBP"},"CreditorAccount":{"SchemeName":"UK.OBIE.SortCodeAccountNumber","Identification":"08080021325698","Name":"Smith & <Sons>"},"RemittanceInformation":{"Unstructured":["Internal ops code 5120101"]}}},"Risk":{"PaymentContextCode":"EcommerceMerchantInitiatedPayment"}}`

	openBanking     = "http://openbanking.org.uk/"
	signatureHeader = "x-jws-signature"
)

// Covers: LX-11. UK funds confirmation consents, versions 3.1 and 4.0: created, read and deleted with the scope fundsconfirmations.
func TestLX11FundsConfirmation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *fapitest.Config) { c.Scopes = append(c.Scopes, fundsScope) })
	a := register(t, w, "one", ofUK, "openid fundsconfirmations")
	other := register(t, w, "two", ofUK, "openid accounts")
	for path, codes := range map[string][3]string{
		ukFunds3: {"AwaitingAuthorisation", "UK.OBIE.Field.Missing", "UK.OBIE.Field.Unexpected"}, ukFunds4: {"AWAU", "U004", "U005"},
	} {
		t.Run("accepts a consent at "+path, func(t *testing.T) {
			r := a.call("POST", path, ukFundsBody, nil)
			named, _ := member(r.Body, "Data.ConsentId").(string)
			if r.Status != 201 || !strings.HasPrefix(named, "fcc-") || member(r.Body, "Data.Status") != codes[0] ||
				member(r.Body, "Data.DebtorAccount.Identification") != "GB76LOYD30949301273801" || member(r.Body, "Data.ExpirationDateTime") != "2099-05-02T00:00:00+00:00" {
				t.Fatalf("%d %s", r.Status, r.Raw)
			}
			if read := a.call("GET", below(path, named), "", nil); read.Status != 200 || member(read.Body, "Data.ConsentId") != named {
				t.Errorf("%d %s", read.Status, read.Raw)
			}
			if gone := a.call("DELETE", below(path, named), "", nil); gone.Status != 204 {
				t.Errorf("%d %s", gone.Status, gone.Raw)
			}
		})
		t.Run("refuses a token without the scope at "+path, func(t *testing.T) { other.want(other.call("POST", path, ukFundsBody, nil), 403, "") })
		t.Run("refuses no account at "+path, func(t *testing.T) { a.want(a.call("POST", path, `{"Data":{}}`, nil), 400, codes[1]) })
		t.Run("refuses what nobody is shown at "+path, func(t *testing.T) {
			a.want(a.call("POST", path, strings.Replace(ukFundsBody, `"SchemeName"`, `"Proxy":{},"SchemeName"`, 1), nil), 400, codes[2])
		})
	}
}

// detached signs a body as UK Open Banking has it; alter changes the JOSE header's members.
func (a *app) detached(key jose.PrivateKey, body string, alter func(map[string]any)) string {
	a.t.Helper()
	members := map[string]any{
		openBanking + "iat": a.World.Clock.Now().Unix(), openBanking + "iss": theirs + "/" + a.ID, openBanking + "tan": "openbanking.org.uk",
	}
	if alter != nil {
		alter(members)
	}
	signed, err := detached.Sign(a.t.Context(), key.SigningKey(), "JOSE", members, json.RawMessage(body))
	if err != nil {
		a.t.Fatal(err)
	}
	return detached.Of(signed)
}

// Covers: LX-12. UK domestic payment consents: the body is signed by a detached JWS, and so is the answer as it is sent; who signed,
// when, and whose keys verify it are checked, and an idempotency key makes one consent however often it comes.
func TestLX12DomesticPayments(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fapitest.WithAuditChain)
	a := register(t, w, "pay", ofUK, "openid payments")
	send := func(body, signature, key string) fapitest.Reply {
		return a.call("POST", ukPayments, body, func(h http.Header) {
			h.Set("x-idempotency-key", key)
			if signature != "" {
				h.Set(signatureHeader, signature)
			}
		})
	}
	verified := func(r fapitest.Reply) {
		t.Helper()
		_, document, _ := w.Browser().Visit(w.Issuer + "/jwks")
		keys, err := jose.ParseKeySet([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		token, err := detached.Parse(r.Header.Get(signatureHeader), []byte(r.Raw), []string{jose.PS256},
			func(name string) bool { return strings.HasPrefix(name, openBanking) })
		if err != nil {
			t.Fatal(err)
		}
		if err := token.VerifyWith(keys); err != nil || string(token.Critical[openBanking+"iss"]) != `"`+ours+`"` || len(token.Critical) != 3 {
			t.Errorf("%v, %v", token.Header, err)
		}
	}
	var named string
	first := a.detached(a.Key, ukPayBody, nil)
	t.Run("accepts a payment, and signs what it answers", func(t *testing.T) {
		r := send(ukPayBody, first, "one")
		named, _ = member(r.Body, "Data.ConsentId").(string)
		if r.Status != 201 || !strings.HasPrefix(named, "dpc-") || member(r.Body, "Data.Status") != "AWAU" || member(r.Body, "Data.Initiation.CreditorAccount.Name") != "Smith & <Sons>" ||
			member(r.Body, "Risk.PaymentContextCode") != "EcommerceMerchantInitiatedPayment" || r.Header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		verified(r)
		read := a.call("GET", below(ukPayments, named), "", nil)
		if read.Status != 200 || member(read.Body, "Data.ConsentId") != named {
			t.Fatalf("%d %s", read.Status, read.Raw)
		}
		verified(read)
	})
	t.Run("accepts it again under its key, as the consent that it made", func(t *testing.T) {
		if r := send(ukPayBody, first, "one"); r.Status != 201 || member(r.Body, "Data.ConsentId") != named {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
	t.Run("accepts that both messages are evidence, without what is about people", func(t *testing.T) {
		kinds := map[audit.Kind]int{}
		for _, e := range w.NewEvidence(t, func() { send(ukPayBody, first, "one") }) {
			kinds[e.Kind]++
			if strings.Contains(fapitest.JSON(e), "Smith") {
				t.Errorf("%+v", e)
			}
		}
		if kinds[audit.ConsentRequest] != 1 || kinds[audit.ConsentResponse] != 1 {
			t.Errorf("%v", kinds)
		}
	})
	changed := strings.Replace(ukPayBody, "165.88", "1165.88", 1)
	set := func(name string, value any) func(map[string]any) {
		return func(m map[string]any) {
			if m[openBanking+name] = value; value == nil {
				delete(m, openBanking+name)
			}
		}
	}
	now := w.Clock.Now().Unix()
	for name, one := range map[string]struct {
		body, signature string
		code            string
	}{
		"another content under the key":         {changed, a.detached(a.Key, changed, nil), "U006"},
		"no signature":                          {ukPayBody, "", "U019"},
		"a signature of another body":           {changed, first, "U015"},
		"a signature of somebody else":          {ukPayBody, a.detached(fapitest.NewKey(t, jose.PS256), ukPayBody, nil), "U015"},
		"one that is not detached":              {ukPayBody, a.Sign(a.Key, "JOSE", fapitest.Claims{}), "U018"},
		"what is none":                          {ukPayBody, "..", "U018"},
		"another algorithm":                     {ukPayBody, a.detached(fapitest.NewKey(t, jose.ES256), ukPayBody, nil), "U018"},
		"no time":                               {ukPayBody, a.detached(a.Key, ukPayBody, set("iat", nil)), "U018"},
		"a member more in crit":                 {ukPayBody, a.detached(a.Key, ukPayBody, func(m map[string]any) { m["b64"] = false }), "U018"},
		"one of ours more in crit":              {ukPayBody, a.detached(a.Key, ukPayBody, set("x", 1)), "U018"},
		"a time of tomorrow":                    {ukPayBody, a.detached(a.Key, ukPayBody, set("iat", now+86400)), "U016"},
		"a time of the day before":              {ukPayBody, a.detached(a.Key, ukPayBody, set("iat", now-86401)), "U016"},
		"a time that is none":                   {ukPayBody, a.detached(a.Key, ukPayBody, set("iat", "now")), "U016"},
		"another organisation":                  {ukPayBody, a.detached(a.Key, ukPayBody, set("iss", ours+"/pay")), "U016"},
		"another software":                      {ukPayBody, a.detached(a.Key, ukPayBody, set("iss", theirs+"/other")), "U016"},
		"the organisation alone":                {ukPayBody, a.detached(a.Key, ukPayBody, set("iss", theirs)), "U016"},
		"another trust anchor":                  {ukPayBody, a.detached(a.Key, ukPayBody, set("tan", "aspsp.example")), "U016"},
		"what nobody is shown":                  {strings.Replace(ukPayBody, `"CreditorAccount"`, `"LocalInstrument":"x","CreditorAccount"`, 1), "", ""},
		"a refund account that nobody is asked": {strings.Replace(ukPayBody, `"Initiation"`, `"ReadRefundAccount":"Yes","Initiation"`, 1), "", ""},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			key, signature, code := "one", one.signature, one.code
			if code == "" { // signed, and wrong in itself
				key, signature, code = name[:16], a.detached(a.Key, one.body, nil), map[bool]string{true: "U005", false: "U002"}[strings.Contains(one.body, "LocalInstrument")]
			}
			r := send(one.body, signature, key)
			a.want(r, 400, code)
			if r.Header.Get(signatureHeader) != "" {
				t.Error("the refusal has a signature of something else")
			}
		})
	}
	t.Run("refuses no key", func(t *testing.T) {
		a.want(a.call("POST", ukPayments, ukPayBody, func(h http.Header) { h.Set(signatureHeader, first) }), 400, "U007")
	})
	t.Run("refuses to keep more than the one that was created", func(t *testing.T) {
		lodged, err := w.Store.ListLodgedConsents(t.Context(), store.ConsentFilter{ClientID: "pay"}, store.Page{Limit: 10})
		if err != nil || len(lodged) != 1 || lodged[0].ID != named || !lodged[0].Once {
			t.Errorf("%+v, %v", lodged, err)
		}
	})
}
