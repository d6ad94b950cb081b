package fapi_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"countersign/internal/jose"
	"countersign/mtls"
)

// TestAttack31RegistrationAbuse: registration gives nobody more than the operator meant to give.
func TestAttack31RegistrationAbuse(t *testing.T) {
	w := newWorld(t, offersRegistration)
	token := w.initialToken("Mallory", 50)
	c := w.applicant(nil)
	key := newKey(t, jose.ES256)
	for name, change := range map[string]func(map[string]any){
		"a scope beyond its role":                 func(m map[string]any) { m["scope"] = "openid payments" },
		"a scope that does not exist":             func(m map[string]any) { m["scope"] = "openid everything" },
		"a type of authorization beyond its role": func(m map[string]any) { m["authorization_details_types"] = []string{"payment_initiation"} },
		"the tokens of a resource server":         func(m map[string]any) { m["resource_identifiers"], m["grant_types"] = []string{w.issuer}, []string{} },
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
			r := c.enrol(token, enrolment(key, change))
			if r.status != http.StatusBadRequest || r.text("error") != "invalid_client_metadata" && r.text("error") != "invalid_redirect_uri" {
				t.Errorf("%d %s", r.status, r.raw)
			}
		})
	}
	t.Run("refuses to name itself, its profile, its organisation or its version", func(t *testing.T) {
		r := c.enrolled(token, enrolment(key, func(m map[string]any) {
			m["client_id"], m["profile"], m["organisation"], m["version"], m["disabled"] = "operators", "none", "Bank", 7, false
			m["registration_access_token"], m["client_id_issued_at"] = "mine", 1
		}))
		record, err := w.store.Client(t.Context(), r.text("client_id"))
		if err != nil || record.ID == "operators" || record.Profile != "fapi2-security" || record.Organisation != "Mallory" || record.Version != 1 {
			t.Errorf("stored %+v, %v", record, err)
		}
		if r.text("registration_access_token") == "mine" || r.body["client_id_issued_at"] == 1.0 {
			t.Errorf("%s", r.raw)
		}
	})
	t.Run("refuses the scope at the registered client too", func(t *testing.T) {
		played := w.played(c.enrolled(token, enrolment(key, nil)), key)
		played.scope = "openid payments"
		wantError(t, played.push(nil), http.StatusBadRequest, "invalid_scope")
	})
	t.Run("refuses a registration in the browser of somebody with a certificate", func(t *testing.T) {
		// A page can make a browser send such a request, certificate and all, without asking first (CORS).
		body, err := json.Marshal(enrolment(key, nil))
		if err != nil {
			t.Fatal(err)
		}
		victim := w.organisation("Victim")
		r := victim.send(http.MethodPost, w.mtls+"/register", "", string(body), func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") })
		wantError(t, r, http.StatusUnsupportedMediaType, "invalid_request")
		if r := victim.send(http.MethodOptions, w.mtls+"/register", "", nil, nil); r.header.Get("Access-Control-Allow-Origin") != "" {
			t.Error("the preflight request is answered")
		}
	})
	t.Run("accepts what the role allows", func(t *testing.T) {
		c.enrolled(token, enrolment(key, nil))
	})
}

// Covers: DR-06. The token of a client that registered with a certificate is worth nothing
// without the certificate of its organisation.
func TestAttack32StolenRegistrationToken(t *testing.T) {
	w := newWorld(t, offersRegistration)
	key, mallorys := newKey(t, jose.ES256), newKey(t, jose.ES256)
	owner := w.organisation("Insurance")
	m := owner.manages("", enrolment(key, nil))
	takeover := enrolment(mallorys, func(body map[string]any) { body["client_id"] = m.id })
	stranger := newAuthority(t, "Client CA", w.clock.Now()).issue(t, "Insurance", w.clock.Now())
	atMTLS := w.applicant(nil)
	atMTLS.atMTLS = true
	for name, thief := range map[string]*client{
		"another organisation's certificate": w.organisation("Mallory"),
		"a longer name":                      w.organisation("Insurance Mallory"),
		"a certificate of another authority": w.applicant(&stranger),
		"no certificate":                     atMTLS,
		"the other listener":                 w.applicant(nil),
	} {
		for _, method := range []string{http.MethodPut, http.MethodGet, http.MethodDelete} {
			t.Run(fmt.Sprintf("refuses %s with %s", method, name), func(t *testing.T) {
				wantUnauthorised(t, thief.send(method, thief.base()+"/register/"+m.id, m.token, takeover, nil))
			})
		}
	}
	if logs := w.logs.String(); !strings.Contains(logs, "without the certificate of its organisation") || strings.Contains(logs, m.token) {
		t.Error("the theft is not in the log, or the token is")
	}
	t.Run("accepts the organisation with another certificate of the same name", func(t *testing.T) {
		again := w.organisation("insurance") // names are compared without regard to case
		if r := again.send(http.MethodGet, m.address, m.token, nil, nil); r.status != http.StatusOK {
			t.Errorf("%d %s", r.status, r.raw)
		}
	})
	t.Run("accepts the keys that were there before", func(t *testing.T) {
		if r := w.played(m.read(), key).push(nil); r.status != http.StatusCreated {
			t.Errorf("%d %s", r.status, r.raw)
		}
		wantError(t, w.played(m.read(), mallorys).push(nil), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("refuses the certificate without the token", func(t *testing.T) {
		wantUnauthorised(t, owner.send(http.MethodGet, m.address, "", nil, nil))
		wantUnauthorised(t, owner.send(http.MethodGet, m.address, random(), nil, nil))
	})
}

// TestDR03SectorIdentifier: a sector is what its host vouches for (OpenID Connect Core §8.1).
func TestDR03SectorIdentifier(t *testing.T) {
	var fetched atomic.Int32
	certificate, roots := serverCertificate(t)
	host := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fetched.Add(1)
		switch r.URL.Path {
		case "/good":
			fmt.Fprint(w, `["https://other.example/","https://client.example/callback"]`)
		case "/other":
			fmt.Fprint(w, `["https://other.example/","https://client.example/callback/"]`)
		case "/object":
			fmt.Fprint(w, `{"redirect_uris":["https://client.example/callback"]}`)
		case "/redirect":
			http.Redirect(w, r, "/good", http.StatusFound)
		default:
			http.NotFound(w, r)
		}
	}))
	host.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, false)
	host.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	host.StartTLS()
	t.Cleanup(host.Close)
	w := newWorld(t, offersRegistration, func(c *fapiConfig, _ *autoInteractor) {
		c.OutboundRoots = roots
	})
	token := w.initialToken("Bank", 20)
	c := w.applicant(nil)
	at := func(path string) map[string]any {
		return enrolment(newKey(t, jose.ES256), func(m map[string]any) { m["sector_identifier_uri"] = host.URL + path })
	}
	t.Run("accepts a list with every redirect URI", func(t *testing.T) {
		if r := c.enrolled(token, at("/good")); r.text("sector_identifier_uri") != host.URL+"/good" {
			t.Errorf("%s", r.raw)
		}
	})
	for path, code := range map[string]string{
		"/other": "invalid_redirect_uri", "/object": "invalid_client_metadata", "/redirect": "invalid_client_metadata", "/absent": "invalid_client_metadata",
	} {
		t.Run("refuses "+path, func(t *testing.T) { wantError(t, c.enrol(token, at(path)), http.StatusBadRequest, code) })
	}
	t.Run("refuses an update to a list without the redirect URI", func(t *testing.T) {
		m := c.manages(token, at("/good"))
		wantError(t, m.replace(func(m map[string]any) { m["redirect_uris"] = []string{"https://client.example/elsewhere"} }), http.StatusBadRequest, "invalid_redirect_uri")
	})
	t.Run("refuses without fetching when nobody may register or something else is wrong", func(t *testing.T) {
		before := fetched.Load()
		wantUnauthorised(t, c.enrol(random(), at("/good")))
		wrong := at("/good")
		delete(wrong, "client_name")
		wantError(t, c.enrol(token, wrong), http.StatusBadRequest, "invalid_client_metadata")
		if after := fetched.Load(); after != before {
			t.Errorf("fetched %d times", after-before)
		}
	})
	t.Run("refuses a host whose certificate is not trusted", func(t *testing.T) {
		other := newWorld(t, offersRegistration)
		wantError(t, other.applicant(nil).enrol(other.initialToken("Bank", 1), at("/good")), http.StatusBadRequest, "invalid_client_metadata")
	})
}
