package consents_test

import (
	"net/http"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/store"
)

// Covers: LC-43. Open Insurance Brasil: keys are required, what is not served is left out, and errors say when.
func TestLC43Insurance(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := register(t, w, "one", ofInsurance, "openid consents resources")
	t.Run("accepts a consent", func(t *testing.T) {
		r := a.call("POST", insurers, insuranceBody, keyed("k"))
		id, _ := member(r.Body, "data.consentId").(string)
		if r.Status != 201 || member(r.Body, "meta.totalRecords") != 1.0 || member(r.Body, "data.expirationDateTime") != "2099-02-01T23:59:59Z" || !strings.HasPrefix(id, "urn:bank:") {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		if gone := a.call("DELETE", below(insurers, id), "", nil); gone.Status != 204 {
			t.Errorf("%d %s", gone.Status, gone.Raw)
		}
		a.want(a.call("DELETE", below(insurers, id), "", nil), 422, "NAO_INFORMADO")
	})
	t.Run("refuses no key", func(t *testing.T) {
		r := a.call("POST", insurers, insuranceBody, nil)
		a.want(r, 400, "PARAMETRO_NAO_INFORMADO")
		if member(r.Body, "errors.requestDateTime") == nil {
			t.Errorf("%s", r.Raw)
		}
	})
	t.Run("refuses data without resources", func(t *testing.T) {
		a.want(a.call("POST", insurers, strings.Replace(insuranceBody, `,"RESOURCES_READ"`, "", 1), keyed("l")), 400, "PERMISSOES_INCOMPLETAS")
	})
	t.Run("refuses what is not served", func(t *testing.T) {
		body := strings.Replace(insuranceBody, `"CUSTOMERS_PERSONAL_IDENTIFICATIONS_READ","RESOURCES_READ"`, `"QUOTE_AUTO_READ"`, 1)
		a.want(a.call("POST", insurers, body, keyed("m")), 422, "NAO_INFORMADO")
	})
}

// Covers: LC-44. KSA: signed requests and answers, and an end by PATCH that fits the state.
func TestLC44SaudiArabia(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := register(t, w, "one", ofKSA, "openid accounts")
	patch := func(id, status string) fapitest.Reply {
		return a.call("PATCH", below(ksa, id), a.message(ksa, `{"Data":{"ConsentStatus":"`+status+`","RevokedBy":"KSAOB.TPP"}}`, nil), nil)
	}
	t.Run("accepts a consent", func(t *testing.T) {
		r := a.call("POST", ksa, a.message(ksa, ksaBody, nil), func(h http.Header) { h.Set("Accept", "application/jwt") })
		_, claims := w.Verify(r.Raw)
		id, _ := member(claims, "message.Data.ConsentId").(string)
		audience, _ := claims["aud"].([]any)
		if r.Status != 201 || claims["iss"] != w.Issuer || len(audience) != 1 || audience[0] != "one" || claims["exp"] == nil || claims["nbf"] == nil || claims["sub"] != nil ||
			!strings.HasPrefix(id, "aac-") || member(claims, "message.Data.ConsentStatus") != "AwaitingAuthorization" || member(claims, "message.Risk") == nil || member(claims, "message.Meta") == nil {
			t.Fatalf("%d %v", r.Status, claims)
		}
		read := a.answer(a.call("GET", below(ksa, id), "", nil))
		if member(read, "Data.ConsentId") != id || read["Risk"] != nil || member(read, "Data.NationalIdentificationNumber") != nil {
			t.Errorf("%v", read)
		}
		a.want(patch(id, "Finished"), 400, "KSAOB.Consent.BusinessRuleViolation")
		if r := patch(id, "Rejected"); r.Status != 204 || r.Raw != "" {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
		if after := a.answer(a.call("GET", below(ksa, id), "", nil)); member(after, "Data.ConsentStatus") != "Rejected" {
			t.Errorf("%v", after)
		}
		a.want(patch(id, "Rejected"), 400, "KSAOB.Consent.BusinessRuleViolation")
	})
	t.Run("refuses a patch of something else", func(t *testing.T) {
		id := a.created(ksa, ksaBody, nil)
		a.want(a.call("PATCH", below(ksa, id), a.message(ksa, `{"Data":{"ConsentStatus":"Authorized"}}`, nil), nil), 400, "KSAOB.Resource.InvalidFormat")
		a.want(a.call("PATCH", below(ksa, id), a.message(ksa, `{"Subscription":{"Webhook":{}}}`, nil), nil), 400, "KSAOB.Resource.InvalidFormat")
		a.want(a.call("PATCH", below(ksa, "aac-1"), a.message(ksa, `{"Data":{"ConsentStatus":"Rejected"}}`, nil), nil), 400, "KSAOB.Resource.InvalidResourceId")
	})
	t.Run("refuses a client that wants JSON", func(t *testing.T) {
		a.want(a.call("POST", ksa, a.message(ksa, ksaBody, nil), func(h http.Header) { h.Set("Accept", "application/json") }), 406, "")
	})
	t.Run("refuses what is wrong, with a signature", func(t *testing.T) {
		r := a.call("GET", below(ksa, "aac-1"), "", nil)
		a.want(r, 400, "KSAOB.Resource.InvalidResourceId")
		if r.Header.Get("Content-Type") != "application/jwt" {
			t.Errorf("%v", r.Header)
		}
	})
	t.Run("accepts JSON of clients of FAPI 1.0", func(t *testing.T) {
		old := register(t, w, "old", ofKSAJSON, "openid accounts")
		id := old.created(ksaJSON, `{"Data":{"Permissions":["ReadAccountsBasic"]}}`, nil)
		if r := old.call("GET", below(ksaJSON, id), "", nil); r.Status != 200 || member(r.Body, "Data.ConsentId") != id {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
		old.want(old.call("POST", ksa, old.message(ksa, ksaBody, nil), nil), 403, "KSAOB.AccessToken.InvalidScope")
	})
}

// Covers: LC-45. Australia: a client ends the arrangement that it names with the tokens of it, and nobody else's.
func TestLC45Australia(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := register(t, w, "one", ofAustralia, "openid accounts")
	other := register(t, w, "two", ofAustralia, "openid accounts")
	british := register(t, w, "three", ofUK, "openid accounts")
	claims := fapitest.UnverifiedClaims(t, a.token)
	token := store.IssuedDigest(claims["jti"].(string))
	grant, err := w.Store.AccessGrant(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	revoke := func(c *app, id string) fapitest.Reply {
		return c.Post("/arrangements/revoke", map[string][]string{"cdr_arrangement_id": {id}}, nil)
	}
	const invalid = "urn:au-cds:error:cds-all:Authorisation/InvalidArrangement"
	for name, one := range map[string]struct {
		client *app
		id     string
	}{"another client's": {other, grant.ID}, "one of another ecosystem": {british, grant.ID}, "one that there is not": {a, "x"}, "no name": {a, ""}} {
		t.Run("refuses "+name, func(t *testing.T) {
			if r := revoke(one.client, one.id); r.Status != 422 || member(r.Body, "errors.code") != invalid {
				t.Errorf("%d %s", r.Status, r.Raw)
			}
		})
	}
	t.Run("accepts its own, once", func(t *testing.T) {
		if r := revoke(a, grant.ID); r.Status != 204 || r.Raw != "" {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
		if r := revoke(a, grant.ID); r.Status != 422 || member(r.Body, "errors.code") != invalid {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
		if _, err := w.Store.AccessGrant(t.Context(), token); err == nil {
			t.Error("its token is valid")
		}
	})
	t.Run("refuses a client that does not authenticate", func(t *testing.T) {
		r := a.Post("/arrangements/revoke", map[string][]string{"cdr_arrangement_id": {grant.ID}}, a.ReplaceAssertion(fapitest.SetClaim("aud", "x")))
		fapitest.WantError(t, r, 401, "invalid_client")
	})
	t.Run("accepts that discovery names the endpoint", func(t *testing.T) {
		if got := w.Document()["cdr_arrangement_revocation_endpoint"]; got != w.Issuer+"/arrangements/revoke" {
			t.Errorf("%v", got)
		}
	})
}
