package consents_test

import (
	"crypto/x509"
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/audit"
	"countersign/internal/jose"
	"countersign/internal/random"
	"countersign/signer"
	"countersign/store"
)

// Covers: LC-40, LC-49. UK account access consents, versions 3.1 and 4.0: created, read and deleted by their client, with the standard's
// states and errors; what it deleted is gone, and another client's is not its own.
func TestLC40UnitedKingdom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := register(t, w, "one", ofUK, "openid accounts")
	other := register(t, w, "two", ofUK, "openid accounts")
	for path, codes := range map[string]map[string]string{
		uk3: {"awaiting": "AwaitingAuthorisation", "not found": "UK.OBIE.Resource.NotFound", "missing": "UK.OBIE.Field.Missing", "format": "UK.OBIE.Resource.InvalidFormat", "invalid": "UK.OBIE.Field.Invalid", "header": "UK.OBIE.Header.Invalid"},
		uk4: {"awaiting": "AWAU", "not found": "U011", "missing": "U004", "format": "U010", "invalid": "U002", "header": "U006"},
	} {
		t.Run("accepts a consent at "+path, func(t *testing.T) {
			id := random.UUID()
			r := a.call("POST", path, ukBody, func(h http.Header) { h.Set("x-fapi-interaction-id", id) })
			named, _ := member(r.Body, "Data.ConsentId").(string)
			if r.Status != 201 || r.Header.Get("x-fapi-interaction-id") != id || !strings.HasPrefix(named, "aac-") || member(r.Body, "Data.Status") != codes["awaiting"] ||
				member(r.Body, "Data.ExpirationDateTime") != "2099-05-02T00:00:00+00:00" || r.Header.Get("Content-Type") != "application/json; charset=utf-8" {
				t.Fatalf("%d %s", r.Status, r.Raw)
			}
			self, _ := member(r.Body, "Links.Self").(string)
			if self != w.MTLSIssuer+below(path, named) {
				t.Errorf("at %s", self)
			}
			read := a.call("GET", below(path, named), "", nil)
			if read.Status != 200 || member(read.Body, "Data.ConsentId") != named || member(read.Body, "Risk") == nil {
				t.Errorf("%d %s", read.Status, read.Raw)
			}
			other.want(other.call("GET", below(path, named), "", nil), 403, "")
			other.want(other.call("DELETE", below(path, named), "", nil), 403, "")
			if gone := a.call("DELETE", below(path, named), "", nil); gone.Status != 204 || gone.Raw != "" {
				t.Errorf("%d %s", gone.Status, gone.Raw)
			}
			a.want(a.call("GET", below(path, named), "", nil), 400, codes["not found"])
			a.want(a.call("DELETE", below(path, named), "", nil), 400, codes["not found"])
		})
		t.Run("accepts that one whose time is over is deleted, at "+path, func(t *testing.T) {
			old := a.created(path, ukBody, nil)
			w.Clock.Advance(25 * time.Hour)
			a.token, other.token = a.newToken(), other.newToken()
			if r := a.call("DELETE", below(path, old), "", nil); r.Status != 204 {
				t.Errorf("%d %s", r.Status, r.Raw)
			}
		})
		for name, one := range map[string]struct {
			method, path, body string
			change             func(http.Header)
			status             int
			code               string
		}{
			"one that there is not":                 {"GET", below(path, "aac-1"), "", nil, 400, codes["not found"]},
			"a name that is too long":               {"GET", below(path, strings.Repeat("a", 300)), "", nil, 400, codes["not found"]},
			"no Risk":                               {"POST", path, `{"Data":{"Permissions":["ReadAccountsBasic"]}}`, nil, 400, codes["missing"]},
			"half a body":                           {"POST", path, `{"Data":`, nil, 400, codes["format"]},
			"a body that is too large":              {"POST", path, `{"Data":"` + strings.Repeat("x", 70000) + `"}`, nil, 400, codes["format"]},
			"permissions that do not go together":   {"POST", path, strings.Replace(ukBody, "ReadAccountsBasic", "ReadBalances", 1), nil, 400, codes["invalid"]},
			"an id of the interaction that is none": {"POST", path, ukBody, func(h http.Header) { h.Set("x-fapi-interaction-id", "7") }, 400, codes["header"]},
			"a form":                                {"POST", path, "a=b", func(h http.Header) { h.Set("Content-Type", "application/x-www-form-urlencoded") }, 415, ""},
			"another character set":                 {"POST", path, ukBody, func(h http.Header) { h.Set("Content-Type", "application/json; charset=latin1") }, 415, ""},
			"a client that wants XML":               {"GET", below(path, "aac-1"), "", func(h http.Header) { h.Set("Accept", "application/xml") }, 406, ""},
			"no token":                              {"POST", path, ukBody, func(h http.Header) { h.Del("Authorization") }, 401, ""},
			"a token that is none":                  {"POST", path, ukBody, func(h http.Header) { h.Set("Authorization", "Bearer x") }, 401, ""},
		} {
			t.Run("refuses "+name+" at "+path, func(t *testing.T) {
				a.want(a.call(one.method, one.path, one.body, one.change), one.status, one.code)
			})
		}
	}
	t.Run("accepts an idempotency key, and ignores it", func(t *testing.T) {
		if first, second := a.created(uk4, ukBody, keyed("k")), a.created(uk4, ukBody, keyed("k")); first == second {
			t.Error("one consent")
		}
	})
	t.Run("accepts a call without x-fapi-interaction-id, and answers with one", func(t *testing.T) {
		r := a.call("POST", uk4, ukBody, func(h http.Header) { h.Del("x-fapi-interaction-id") })
		if r.Status != 201 || len(r.Header.Get("x-fapi-interaction-id")) != 36 {
			t.Errorf("%d %v", r.Status, r.Header)
		}
	})
	t.Run("refuses a method that there is not", func(t *testing.T) {
		if r := a.call("PUT", below(uk4, "aac-1"), ukBody, nil); r.Status != 405 || !strings.Contains(r.Header.Get("Allow"), "DELETE") {
			t.Errorf("%d %v", r.Status, r.Header)
		}
	})
}

// Covers: LC-41, LC-46. Open Finance Brasil: consents with names of the institution's, x-fapi-interaction-id required, permissions and
// errors as the text has them, and deletion that is told from one that was before.
func TestLC41Brazil(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := register(t, w, "one", ofBrazil, "openid consents accounts resources")
	other := register(t, w, "two", ofBrazil, "openid consents accounts resources")
	t.Run("accepts a consent", func(t *testing.T) {
		r := a.call("POST", brazil, brazilBody, nil)
		id, _ := member(r.Body, "data.consentId").(string)
		permissions, _ := member(r.Body, "data.permissions").([]any)
		if r.Status != 201 || !strings.HasPrefix(id, "urn:bank:") || member(r.Body, "data.status") != "AWAITING_AUTHORISATION" || len(permissions) != 3 || member(r.Body, "meta.requestDateTime") == nil {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		if strings.Contains(r.Raw, "11111111111") {
			t.Errorf("says whose it is: %s", r.Raw)
		}
		if read := a.call("GET", below(brazil, id), "", nil); read.Status != 200 || member(read.Body, "data.consentId") != id {
			t.Errorf("%d %s", read.Status, read.Raw)
		}
		other.want(other.call("GET", below(brazil, id), "", nil), 403, "FORBIDDEN")
		if gone := a.call("DELETE", below(brazil, id), "", nil); gone.Status != 204 {
			t.Errorf("%d %s", gone.Status, gone.Raw)
		}
		after := a.call("GET", below(brazil, id), "", nil)
		if member(after.Body, "data.status") != "REJECTED" || member(after.Body, "data.rejection.rejectedBy") != "USER" || member(after.Body, "data.rejection.reason.code") != "CUSTOMER_MANUALLY_REJECTED" {
			t.Errorf("%s", after.Raw)
		}
		a.want(a.call("DELETE", below(brazil, id), "", nil), 422, "CONSENTIMENTO_EM_STATUS_REJEITADO")
	})
	t.Run("accepts that nobody decides, which rejects it after an hour", func(t *testing.T) {
		id := a.created(brazil, brazilBody, nil)
		w.Clock.Advance(time.Hour)
		a.token = a.newToken()
		if r := a.call("GET", below(brazil, id), "", nil); member(r.Body, "data.rejection.reason.code") != "CONSENT_EXPIRED" || member(r.Body, "data.status") != "REJECTED" {
			t.Errorf("%s", r.Raw)
		}
	})
	for name, one := range map[string]struct {
		method, path, body string
		change             func(http.Header)
		status             int
		code               string
	}{
		"no x-fapi-interaction-id":            {"POST", brazil, brazilBody, func(h http.Header) { h.Del("x-fapi-interaction-id") }, 400, "PARAMETRO_NAO_INFORMADO"},
		"no x-fapi-interaction-id to read":    {"GET", below(brazil, "urn:bank:1"), "", func(h http.Header) { h.Del("x-fapi-interaction-id") }, 400, "PARAMETRO_NAO_INFORMADO"},
		"an x-fapi-interaction-id of no UUID": {"POST", brazil, brazilBody, func(h http.Header) { h.Set("x-fapi-interaction-id", "x") }, 400, "PARAMETRO_INVALIDO"},
		"one that there is not":               {"GET", below(brazil, "urn:bank:1"), "", nil, 404, "NAO_ENCONTRADO"},
		"no user":                             {"POST", brazil, `{"data":{"permissions":["RESOURCES_READ"]}}`, nil, 400, "PARAMETRO_NAO_INFORMADO"},
		"a permission that there is not":      {"POST", brazil, strings.Replace(brazilBody, "ACCOUNTS_READ", "MINDS_READ", 1), nil, 400, "PARAMETRO_INVALIDO"},
		"a group that is not whole":           {"POST", brazil, strings.Replace(brazilBody, `"ACCOUNTS_BALANCES_READ",`, "", 1), nil, 422, "COMBINACAO_PERMISSOES_INCORRETA"},
		"no token":                            {"POST", brazil, brazilBody, func(h http.Header) { h.Del("Authorization") }, 401, "UNAUTHORIZED"},
	} {
		t.Run("refuses "+name, func(t *testing.T) { a.want(a.call(one.method, one.path, one.body, one.change), one.status, one.code) })
	}
}

// Covers: LC-42, LC-51. Brazil's payment consents: request and answer are signed by the organisations, and kept as evidence.
func TestLC42Payments(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fapitest.WithAuditChain)
	a := register(t, w, "one", ofBrazil, "openid payments")
	var id string
	events := w.NewEvidence(t, func() {
		r := a.call("POST", payments, a.message(payments, payBody, nil), keyed("k-1"))
		if r.Status != 201 || r.Header.Get("Content-Type") != "application/jwt" {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		header, claims := w.Verify(r.Raw)
		id, _ = member(claims, "data.consentId").(string)
		if header.Type != "JWT" || header.Algorithm != jose.PS256 || claims["iss"] != ours || claims["aud"] != theirs || claims["jti"] == nil || claims["iat"] == nil ||
			member(claims, "data.loggedUser.document.identification") != "11111111111" || member(claims, "data.payment.amount") != "100.12" || id == "" {
			t.Errorf("%+v %v", header, claims)
		}
	})
	fapitest.WantKinds(t, events, audit.ConsentRequest, audit.ConsentResponse, audit.SecurityEvent)
	if last := events[2]; last.Detail["event"] != "lodged_consent_created" || last.Detail["consent"] != id {
		t.Errorf("%+v", last)
	}
	for _, e := range events {
		if e.Kind == audit.ConsentRequest && (e.Message.Withheld == nil || strings.Contains(string(e.Message.Withheld.Claims["data"]), "58764789000")) {
			t.Errorf("kept as %+v", e.Message)
		}
	}
	t.Run("accepts that it is read", func(t *testing.T) {
		r := a.call("GET", below(payments, id), "", nil)
		if claims := a.answer(r); r.Status != 200 || member(claims, "data.consentId") != id || claims["aud"] != theirs || member(claims, "data.status") != "AWAITING_AUTHORISATION" {
			t.Errorf("%d %v", r.Status, claims)
		}
	})
	t.Run("refuses to delete it", func(t *testing.T) {
		if r := a.call("DELETE", below(payments, id), "", nil); r.Status != 405 {
			t.Errorf("%d", r.Status)
		}
	})
	t.Run("refuses what is wrong in it, with a signature", func(t *testing.T) {
		r := a.call("POST", payments, a.message(payments, strings.Replace(payBody, "100.12", "100", 1), nil), keyed("k-2"))
		a.want(r, 422, "PARAMETRO_INVALIDO")
		if r.Header.Get("Content-Type") != "application/jwt" {
			t.Errorf("%v", r.Header)
		}
	})
}

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

// Covers: LC-47. An idempotency key makes one consent, whichever node it comes to and however often; another content is refused, and
// another client's key is another key.
func TestLC47IdempotencyKeys(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewPostgresWorld(t, nil, offer)
	a := register(t, w, "one", ofBrazil, "openid payments")
	other := register(t, w, "two", ofBrazil, "openid payments")
	nodes := []*app{a, a.at(w.Node(nil))}
	t.Run("accepts one key at two nodes at once, and makes one consent", func(t *testing.T) {
		var calls []func() fapitest.Reply
		for i := range 12 {
			body := a.message(payments, payBody, nil)
			calls = append(calls, func() fapitest.Reply { return nodes[i%2].call("POST", payments, body, keyed("the key")) })
		}
		named := map[any]bool{}
		for _, r := range fapitest.Concurrently(calls...) {
			if r.Status != 201 {
				t.Fatalf("%d %s", r.Status, r.Raw)
			}
			named[member(a.answer(r), "data.consentId")] = true
		}
		if len(named) != 1 || named[nil] {
			t.Errorf("%v", named)
		}
		if mine, yours := a.created(payments, payBody, keyed("the key")), other.created(payments, payBody, keyed("the key")); !named[mine] || named[yours] {
			t.Errorf("%s and %s of %v", mine, yours, named)
		}
		lodged, err := w.Store.ListLodgedConsents(t.Context(), store.ConsentFilter{ClientID: "one"}, store.Page{Limit: 100})
		if err != nil || len(lodged) != 1 {
			t.Errorf("%d consents, %v", len(lodged), err)
		}
	})
	t.Run("refuses another content under the key", func(t *testing.T) {
		body := a.message(payments, strings.Replace(payBody, "100.12", "100.13", 1), nil)
		nodes[1].want(nodes[1].call("POST", payments, body, keyed("the key")), 422, "ERRO_IDEMPOTENCIA")
	})
	t.Run("accepts the same content in another order", func(t *testing.T) {
		moved := strings.Replace(payBody, `"currency":"BRL","amount":"100.12"`, `"amount":"100.12", "currency":"BRL"`, 1)
		if first, second := a.created(payments, payBody, keyed("order")), a.created(payments, moved, keyed("order")); first != second {
			t.Errorf("%s, %s", first, second)
		}
	})
	for name, key := range map[string]func(http.Header){
		"no key":     nil,
		"a long key": keyed(strings.Repeat("k", 41)),
		"two keys":   func(h http.Header) { h["X-Idempotency-Key"] = []string{"a", "b"} },
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			code := "PARAMETRO_INVALIDO"
			if key == nil {
				code = "PARAMETRO_NAO_INFORMADO"
			}
			a.want(a.call("POST", payments, a.message(payments, payBody, nil), key), 400, code)
		})
	}
}

// Covers: LC-48. A consent API is for the clients of its ecosystem, with a token of their own for it, bound to their certificate.
func TestLC48Tokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := register(t, w, "one", ofUK, "openid accounts")
	thief := register(t, w, "thief", ofUK, "openid accounts")
	stranger := register(t, w, "stranger", "fapi2-security", "accounts")
	poor := register(t, w, "poor", ofBrazil, "openid accounts")
	t.Run("accepts its own", func(t *testing.T) { a.created(uk4, ukBody, nil) })
	t.Run("refuses another's token", func(t *testing.T) {
		stolen := &app{Client: thief.Client, t: t, token: a.token}
		stolen.want(stolen.call("POST", uk4, ukBody, nil), 401, "")
	})
	t.Run("refuses a bound token outside the mTLS listener", func(t *testing.T) {
		request, err := http.NewRequest("POST", w.Issuer+uk4, strings.NewReader(ukBody))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+a.token)
		request.Header.Set("Content-Type", "application/json")
		a.want(a.Do(request), 401, "")
	})
	t.Run("refuses a client of another ecosystem", func(t *testing.T) { stranger.want(stranger.call("POST", uk4, ukBody, nil), 403, "") })
	t.Run("refuses a token without the scope", func(t *testing.T) {
		poor.want(poor.call("POST", brazil, brazilBody, nil), 403, "FORBIDDEN")
	})
	t.Run("refuses a token that has expired", func(t *testing.T) {
		w.Clock.Advance(time.Hour)
		r := a.call("POST", uk4, ukBody, nil)
		a.want(r, 401, "")
		if !strings.Contains(r.Header.Get("WWW-Authenticate"), "invalid_token") {
			t.Errorf("%v", r.Header)
		}
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

// Covers: LC-55. Nobody piles up consents that await a decision, nor calls without end.
func TestLC55Limits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *fapitest.Config) { c.Limits.ClientPerSecond, c.Limits.ClientBurst = 1, 5 })
	a := register(t, w, "one", ofBrazil, "openid consents")
	t.Run("refuses call after call", func(t *testing.T) {
		var last fapitest.Reply
		for range 10 {
			last = a.call("GET", below(brazil, "urn:bank:1"), "", nil)
		}
		a.want(last, 429, "LIMITE_EXCEDIDO")
		if last.Header.Get("Retry-After") == "" {
			t.Errorf("%v", last.Header)
		}
	})
}

// Covers: LC-54. Whatever a client sends, the answer is none that blames the server.
func TestLC54Robust(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	apps := map[string]*app{
		uk4: register(t, w, "uk", ofUK, "openid accounts"), brazil: register(t, w, "brazil", ofBrazil, "openid consents payments"),
		insurers: register(t, w, "insurers", ofInsurance, "openid consents"), ksa: register(t, w, "ksa", ofKSA, "openid accounts"),
	}
	apps[payments] = apps[brazil]
	good := map[string]string{uk4: ukBody, brazil: brazilBody, insurers: insuranceBody, ksa: ksaBody, payments: payBody}
	odd := []string{
		"", "{}", "[]", "null", "0", `"x"`, "{", `{"Data":null,"Risk":null,"data":null,"message":null}`, `{"Data":[],"Risk":[],"data":[]}`,
		`{"Data":{"Permissions":null},"data":{"permissions":null}}`, `{"Data":{"Permissions":{}},"Risk":{},"data":{"permissions":{}}}`, "\xff\xfe", "{\"a\":\"\\ud800\"}",
		`{"Data":{"Permissions":["` + strings.Repeat("x", 5000) + `"]},"Risk":{}}`, strings.Repeat("[", 5000), `{"data":{"expirationDateTime":"0000-00-00T00:00:00Z"}}`,
		`{"` + strings.Repeat("y", 5000) + `":1}`, `{"Data":1e999999}`, "a.b.c", "..", "eyJhbGciOiJQUzI1NiJ9..", "\x00",
	}
	for path, a := range apps {
		bodies := append([]string{good[path]}, odd...)
		for i := range len(good[path]) / 7 { // cut off, and with a byte that is another
			bodies = append(bodies, good[path][:i*7], good[path][:i*7]+"\x01"+good[path][min(i*7+1, len(good[path])):])
		}
		if path == ksa || path == payments {
			for _, body := range odd {
				bodies = append(bodies, a.Sign(a.Key, "JWT", fapitest.Claims{"iss": a.ID, "aud": w.Issuer, "data": body, "message": body, "iat": w.Clock.Now().Unix(), "exp": 1e300, "nbf": 0}))
			}
		}
		for _, body := range bodies {
			for _, target := range []string{path, below(path, "urn:bank:1"), path + "/%00", path + "/a%2Fb", path + "/" + strings.Repeat("z", 3000)} {
				for _, method := range []string{"GET", "POST", "DELETE", "PATCH"} {
					if target != path && (body != "" && method != "PATCH") || target == path && method != "POST" {
						continue
					}
					r := a.call(method, target, body, func(h http.Header) {
						h.Set("x-idempotency-key", random.UUID())
						if path != ksa && path != payments {
							h.Set("Content-Type", "application/json")
						} else {
							h.Set("Content-Type", "application/jwt")
						}
					})
					if r.Status >= 500 || r.Status < 200 {
						t.Errorf("%s %s with %.80q: %d %s", method, target, body, r.Status, r.Raw)
					}
				}
			}
		}
		for _, header := range []string{"Accept", "Content-Type", "x-idempotency-key", "x-fapi-interaction-id", "Authorization", "x-fapi-auth-date"} {
			for _, value := range []string{"", "\u00ff", ";", "*/*;q=x", "a/b;c", strings.Repeat("h", 3000), "application/json;;", "*/*;q=0"} {
				if r := a.call("POST", path, good[path], func(h http.Header) { h.Set(header, value) }); r.Status >= 500 {
					t.Errorf("%s: %.40q: %d %s", header, value, r.Status, r.Raw)
				}
			}
		}
	}
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
