package consents_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/audit"
	"countersign/internal/jose"
)

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
