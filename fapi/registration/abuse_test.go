package registration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
)

// TestAttack31RegistrationAbuse: registration gives nobody more than the operator meant to give.
func TestAttack31RegistrationAbuse(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithRegistration)
	token := w.InitialToken("Mallory", 50)
	c := w.Applicant(nil)
	key := fapitest.NewKey(t, jose.ES256)
	for name, change := range map[string]func(map[string]any){
		"a scope beyond its role":                 func(m map[string]any) { m["scope"] = "openid payments" },
		"scopes of which none exists":             func(m map[string]any) { m["scope"] = "everything" },
		"a type of authorization beyond its role": func(m map[string]any) { m["authorization_details_types"] = []string{"payment_initiation"} },
		"the tokens of a resource server":         func(m map[string]any) { m["resource_identifiers"], m["grant_types"] = []string{w.Issuer}, []string{} },
		"a redirect to a script":                  func(m map[string]any) { m["redirect_uris"] = []string{"javascript:alert(1)"} },
		"a redirect to a wildcard scheme":         func(m map[string]any) { m["redirect_uris"] = []string{"com.bank.app:/callback"} },
		"a redirect in plain text":                func(m map[string]any) { m["redirect_uris"] = []string{"http://bank.example/callback"} },
		"a redirect with user information": func(m map[string]any) {
			m["redirect_uris"] = []string{"https://bank.example@mallory.example/"}
		},
		"a key that everybody can know": func(m map[string]any) {
			m["jwks"] = json.RawMessage(`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`)
		},
		"keys from the inner network": func(m map[string]any) {
			delete(m, "jwks")
			m["jwks_uri"] = "https://10.0.0.1/jwks"
		},
		"a name that turns the text around": func(m map[string]any) { m["client_name"] = "Bank\u0000" },
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			r := c.RegisterSelf(token, fapitest.RegistrationRequest(key, change))
			if r.Status != http.StatusBadRequest || r.Text("error") != "invalid_client_metadata" && r.Text("error") != "invalid_redirect_uri" {
				t.Errorf("%d %s", r.Status, r.Raw)
			}
		})
	}
	t.Run("refuses to name itself, its profile, its organisation or its version", func(t *testing.T) {
		r := c.RegisteredSelf(token, fapitest.RegistrationRequest(key, func(m map[string]any) {
			m["client_id"], m["profile"], m["organisation"], m["version"], m["disabled"] = "operators", "none", "Bank", 7, false
			m["registration_access_token"], m["client_id_issued_at"] = "mine", 1
		}))
		record, err := w.Store.Client(t.Context(), r.Text("client_id"))
		if err != nil || record.ID == "operators" || record.Profile != "fapi2-security" || record.Organisation != "Mallory" || record.Version != 1 {
			t.Errorf("stored %+v, %v", record, err)
		}
		if r.Text("registration_access_token") == "mine" || r.Body["client_id_issued_at"] == 1.0 {
			t.Errorf("%s", r.Raw)
		}
	})
	t.Run("refuses the scope at the registered client too", func(t *testing.T) {
		played := played(w, c.RegisteredSelf(token, fapitest.RegistrationRequest(key, nil)), key)
		played.Scope = "openid payments"
		fapitest.WantError(t, played.Push(nil), http.StatusBadRequest, "invalid_scope")
	})
	t.Run("refuses a registration in the browser of somebody with a certificate", func(t *testing.T) {
		// A page can make a browser send such a request, certificate and all, without asking first (CORS).
		body, err := json.Marshal(fapitest.RegistrationRequest(key, nil))
		if err != nil {
			t.Fatal(err)
		}
		victim := organisation(w, "Victim")
		r := victim.SendJSON(http.MethodPost, w.MTLSIssuer+"/register", "", string(body), func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") })
		fapitest.WantError(t, r, http.StatusUnsupportedMediaType, "invalid_request")
		if r := victim.SendJSON(http.MethodOptions, w.MTLSIssuer+"/register", "", nil, nil); r.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Error("the preflight request is answered")
		}
	})
	t.Run("accepts what the role allows", func(t *testing.T) {
		c.RegisteredSelf(token, fapitest.RegistrationRequest(key, nil))
	})
}

// Covers: DR-06. The token of a client that registered with a certificate is worth nothing
// without the certificate of its organisation.
func TestAttack32StolenRegistrationToken(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithRegistration)
	key, mallorys := fapitest.NewKey(t, jose.ES256), fapitest.NewKey(t, jose.ES256)
	owner := organisation(w, "Insurance")
	m := manages(owner, "", fapitest.RegistrationRequest(key, nil))
	takeover := fapitest.RegistrationRequest(mallorys, func(body map[string]any) { body["client_id"] = m.id })
	stranger := fapitest.NewAuthority(t, "Client CA", w.Clock.Now()).Issue(t, "Insurance", w.Clock.Now())
	atMTLS := w.Applicant(nil)
	atMTLS.AtMTLS = true
	for name, thief := range map[string]*fapitest.Client{
		"another organisation's certificate": organisation(w, "Mallory"),
		"a longer name":                      organisation(w, "Insurance Mallory"),
		"a certificate of another authority": w.Applicant(&stranger),
		"no certificate":                     atMTLS,
		"the other listener":                 w.Applicant(nil),
	} {
		for _, method := range []string{http.MethodPut, http.MethodGet, http.MethodDelete} {
			t.Run(fmt.Sprintf("refuses %s with %s", method, name), func(t *testing.T) {
				fapitest.WantUnauthorized(t, thief.SendJSON(method, thief.Base()+"/register/"+m.id, m.token, takeover, nil))
			})
		}
	}
	if logs := w.Logs.String(); !strings.Contains(logs, "without the certificate of its organisation") || strings.Contains(logs, m.token) {
		t.Error("the theft is not in the log, or the token is")
	}
	t.Run("accepts the organisation with another certificate of the same name", func(t *testing.T) {
		again := organisation(w, "insurance") // names are compared without regard to case
		if r := again.SendJSON(http.MethodGet, m.address, m.token, nil, nil); r.Status != http.StatusOK {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
	t.Run("accepts the keys that were there before", func(t *testing.T) {
		if r := played(w, m.read(), key).Push(nil); r.Status != http.StatusCreated {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
		fapitest.WantError(t, played(w, m.read(), mallorys).Push(nil), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("refuses the certificate without the token", func(t *testing.T) {
		fapitest.WantUnauthorized(t, owner.SendJSON(http.MethodGet, m.address, "", nil, nil))
		fapitest.WantUnauthorized(t, owner.SendJSON(http.MethodGet, m.address, fapitest.RandomString(), nil, nil))
	})
}
