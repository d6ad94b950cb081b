package registration_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"countersign/examples/directory/standin"
	"countersign/fapi/fapitest"
	"countersign/internal/jose"
)

// refusesSigned sends a request that is a JWT and must be refused with a code; nothing may be kept of it.
func (e *ecosystem) refusesSigned(t *testing.T, signed string, code string) {
	t.Helper()
	before := e.clients()
	fapitest.WantError(t, e.register(e.applicant, signed), http.StatusBadRequest, code)
	if after := e.clients(); after != before {
		t.Errorf("%d clients were kept", after-before)
	}
}

// Covers: LD-13, LD-24, LD-05. In the United Kingdom a registration is a JWT that a key of the software has signed.
func TestLD13SignedRequest(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t, standin.UK, "uk-openbanking", func(c *fapitest.Config) { c.Directories[0].Quota = 10 })
	now := e.Clock.Now()
	set := func(name string, value any) string {
		return e.signedRequest(func(m map[string]any) { m[name] = value })
	}
	claims := func(key jose.PrivateKey) string { // what the software would say, of another key
		return e.applicant.Sign(key, "JWT", fapitest.Claims{
			"iss": application, "aud": e.Issuer, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "jti": fapitest.RandomString(),
			"software_statement": e.statement(nil),
		})
	}
	good := set("x", nil)
	header, rest, _ := strings.Cut(good, ".")
	payload, _, _ := strings.Cut(rest, ".")
	for name, test := range map[string]struct{ signed, code string }{
		"refuses one without a signature":   {header + "." + payload + ".", "invalid_client_metadata"},
		"refuses alg none":                  {"eyJhbGciOiJub25lIn0." + payload + ".", "invalid_client_metadata"},
		"refuses one of another key":        {claims(fapitest.NewKey(t, jose.PS256)), "invalid_client_metadata"},
		"refuses what is no JWT":            {`{"redirect_uris":[]}`, "invalid_client_metadata"},
		"refuses another iss":               {set("iss", "other"), "invalid_client_metadata"},
		"refuses no iss":                    {set("iss", nil), "invalid_client_metadata"},
		"refuses another aud":               {set("aud", "https://bank.example"), "invalid_client_metadata"},
		"refuses no aud":                    {set("aud", nil), "invalid_client_metadata"},
		"refuses no iat":                    {set("iat", nil), "invalid_client_metadata"},
		"refuses an iat ahead":              {set("iat", now.Add(time.Minute).Unix()), "invalid_client_metadata"},
		"refuses no exp":                    {set("exp", nil), "invalid_client_metadata"},
		"refuses an exp that is over":       {set("exp", now.Unix()), "invalid_client_metadata"},
		"refuses an exp of another day":     {set("exp", now.Add(25*time.Hour).Unix()), "invalid_client_metadata"},
		"refuses an nbf ahead":              {set("nbf", now.Add(time.Minute).Unix()), "invalid_client_metadata"},
		"refuses no jti":                    {set("jti", nil), "invalid_client_metadata"},
		"refuses no statement":              {set("software_statement", nil), "invalid_software_statement"},
		"refuses a statement that is wrong": {set("software_statement", "x"), "invalid_software_statement"},
		"refuses a statement without keys":  {set("software_statement", e.statement(with(map[string]any{"software_jwks_endpoint": nil}))), "invalid_software_statement"},
		"refuses other keys in the request": {set("jwks_uri", "https://else.example/jwks"), "invalid_client_metadata"},
		"refuses a redirect URI elsewhere":  {set("redirect_uris", []string{"https://else.example/"}), "invalid_redirect_uri"},
		"refuses a scope of another role":   {set("scope", "openid payments"), "invalid_client_metadata"},
	} {
		t.Run(name, func(t *testing.T) { e.refusesSigned(t, test.signed, test.code) })
	}
	t.Run("refuses keys that cannot be read", func(t *testing.T) {
		e.refusesSigned(t, set("software_statement", e.statement(with(map[string]any{"software_jwks_endpoint": e.directory.Address + "/nothing"}))), "invalid_client_metadata")
	})
	t.Run("refuses JSON", func(t *testing.T) {
		e.refuses(t, e.applicant, e.brazilian(nil), http.StatusUnsupportedMediaType, "invalid_request")
	})
	var registered *fapitest.Client
	var used string
	t.Run("accepts one, with all redirect URIs of the statement", func(t *testing.T) {
		used = set("aud", []string{"bank-1", "https://else.example"}) // what the directory calls the server
		r := e.applicant.SendJSON(http.MethodPost, e.MTLSIssuer+"/register", "", used, as("application/jose; charset=utf-8"))
		registered = e.registered(r)
		if uris, _ := r.Body["redirect_uris"].([]any); len(uris) != 2 || r.Text("scope") != "openid accounts" {
			t.Errorf("%s", r.Raw)
		}
		for _, name := range []string{"iss", "aud", "iat", "exp", "jti"} {
			if _, ok := r.Body[name]; ok {
				t.Errorf("the registration has the request's %s", name)
			}
		}
		fapitest.WantOK(t, registered.ClientCredentials(nil))
	})
	t.Run("refuses the same one again", func(t *testing.T) {
		e.refusesSigned(t, used, "invalid_software_statement")
	})
	t.Run("refuses the same jti with another statement", func(t *testing.T) {
		e.registered(e.register(e.applicant, set("jti", "once")))
		e.refusesSigned(t, set("jti", "once"), "invalid_client_metadata")
	})
}

// A key that the directory has revoked is not used for longer because a registration request asked for the keys first.
func TestKeysOfSignedRequest(t *testing.T) {
	t.Parallel()
	var keys atomic.Value
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		w.Header().Set("Cache-Control", "max-age=86400")
		_, _ = io.WriteString(w, `{"keys":[`+keys.Load().(string)+`]}`)
	}))
	t.Cleanup(site.Close)
	e := newEcosystem(t, standin.UK, "uk-openbanking", func(c *fapitest.Config) {
		c.OutboundRoots = c.OutboundRoots.Clone()
		c.OutboundRoots.AddCert(site.Certificate())
	})
	keys.Store(string(e.key.PublicJWK()))
	registered := e.registered(e.register(e.applicant, e.signedRequest(func(m map[string]any) {
		m["software_statement"] = e.statement(with(map[string]any{"software_jwks_endpoint": site.URL}))
	})))
	t.Run("accepts the key while it is there", func(t *testing.T) {
		fapitest.WantOK(t, registered.ClientCredentials(nil))
	})
	t.Run("refuses it some minutes after it was revoked", func(t *testing.T) {
		keys.Store(string(fapitest.NewKey(t, jose.PS256).PublicJWK()))
		e.Clock.Advance(6 * time.Minute)
		fapitest.WantError(t, registered.ClientCredentials(nil), http.StatusUnauthorized, "invalid_client")
	})
}

// Covers: LD-14, LD-25. In Australia a software product has one registration, with the scope of its statement.
func TestLD14OnePerSoftware(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t, standin.CDR, "au-cdr")
	encrypted := func(m map[string]any) {
		m["id_token_encrypted_response_alg"], m["id_token_encrypted_response_enc"] = "RSA-OAEP", "A256GCM"
	}
	e.software.JWKS = json.RawMessage(`{"keys":[` + string(e.key.PublicJWK()) + `,` + string(fapitest.NewRecipient(t, jose.RSAOAEP).Public) + `]}`)
	e.directory.SetSoftware(e.software)
	sent := func(change func(map[string]any)) string {
		return e.signedRequest(func(m map[string]any) {
			encrypted(m)
			if change != nil {
				change(m)
			}
		})
	}
	t.Run("refuses a statement of 11 minutes ago", func(t *testing.T) {
		old := e.statement(func(m map[string]any) { m["iat"] = e.Clock.Now().Add(-11 * time.Minute).Unix() })
		e.refusesSigned(t, sent(with(map[string]any{"software_statement": old})), "invalid_software_statement")
	})
	t.Run("refuses a scope that the statement has not", func(t *testing.T) {
		e.refusesSigned(t, sent(with(map[string]any{"scope": "openid bank:transactions:read"})), "invalid_client_metadata")
	})
	var r fapitest.Reply
	t.Run("accepts one", func(t *testing.T) {
		r = e.register(e.applicant, sent(nil))
		e.registered(r)
		if r.Text("client_name") != e.software.Name || !strings.Contains(r.Text("scope"), "bank:accounts.basic:read") {
			t.Errorf("%s", r.Raw)
		}
	})
	t.Run("refuses a second one", func(t *testing.T) {
		e.refusesSigned(t, sent(nil), "invalid_software_statement")
	})
	t.Run("accepts one once the first is deleted", func(t *testing.T) {
		m := managed{Client: e.applicant, token: r.Text("registration_access_token"), address: r.Text("registration_client_uri")}
		if r := m.delete(); r.Status != http.StatusNoContent {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		e.registered(e.register(e.applicant, sent(nil)))
	})
}

// Covers: LD-27. In Australia a registration is managed with an access token of the client's own.
func TestLD27ManagementToken(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t, standin.CDR, "au-cdr")
	r := e.register(e.applicant, e.signedRequest(nil))
	c := e.registered(r)
	m := managed{Client: c, token: tokenFor(t, c, "cdr:registration"), address: r.Text("registration_client_uri"), id: c.ID}
	t.Run("accepts it", func(t *testing.T) {
		read := m.read()
		fapitest.WantOK(t, read)
		if _, there := read.Body["registration_access_token"]; there || read.Text("client_id") != c.ID {
			t.Errorf("%s", read.Raw)
		}
	})
	t.Run("refuses it with another certificate", func(t *testing.T) {
		other := m
		other.Client = c.WithCertificate(e.certificate("other", "OFBBR-other"))
		fapitest.WantError(t, other.read(), http.StatusUnauthorized, "invalid_token")
	})
	t.Run("refuses one of another scope", func(t *testing.T) {
		other := m
		other.token = tokenFor(t, c, "bank:accounts.basic:read")
		fapitest.WantError(t, other.read(), http.StatusUnauthorized, "invalid_token")
	})
	t.Run("refuses one of another client", func(t *testing.T) {
		e.software.ID = "another"
		e.directory.SetSoftware(e.software)
		second := e.registered(e.register(e.applicant, e.signedRequest(with(map[string]any{"iss": "another"}))))
		other := m
		other.token = tokenFor(t, second, "cdr:registration")
		fapitest.WantError(t, other.read(), http.StatusUnauthorized, "invalid_token")
	})
	t.Run("refuses one in a profile that does not know it", func(t *testing.T) {
		brazilian := newEcosystem(t, standin.Brazil, brazil)
		r := brazilian.applicant.RegisteredSelf("", brazilian.brazilian(nil))
		c := brazilian.registered(r)
		other := managed{Client: c, token: tokenFor(t, c, "accounts"), address: r.Text("registration_client_uri"), id: c.ID}
		fapitest.WantError(t, other.read(), http.StatusUnauthorized, "invalid_token")
	})
}
