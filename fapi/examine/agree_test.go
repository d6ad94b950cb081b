package examine_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"countersign/fapi/examine"
	"countersign/fapi/fapitest"
	"countersign/internal/oauth"
)

// TestNM140Agree: whatever is examined is accepted exactly when the server accepts it, and is refused in its words.
// Covers: NM-140.
func TestNM140Agree(t *testing.T) {
	w := fapitest.NewWorld(t, fapitest.AllProfiles)
	e, now := examiner(t, w), w.Clock.Now()
	c := w.Register("client-1", nil)
	other := w.Register("client-2", fapitest.SetMember("token_endpoint_auth_signing_alg", "PS256"))
	byCertificate := w.Register("client-3", fapitest.TLSClientAuth)
	older := w.Register("client-4", fapitest.FAPI1Advanced)
	send := func(c *fapitest.Client, raw string) fapitest.Reply {
		return c.Push(func(form url.Values, _ http.Header) {
			form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
			form.Set("client_assertion", raw)
		})
	}
	assertion := func(t *testing.T, what string, c *fapitest.Client, raw string) {
		t.Helper()
		report, err := e.Assertion(t.Context(), c.ID, raw, "/par")
		agree(t, what, report, err, send(c, raw))
	}
	t.Run("accepts a client assertion as the server does", func(t *testing.T) {
		raw := c.ClientAssertion(nil)
		report, err := e.Assertion(t.Context(), "", raw, "/par")
		if err != nil || !report.Accepted || report.Client != c.ID {
			t.Errorf("%+v, %v", report, err)
		}
		for range 2 { // examining it uses nothing; the second time it was used
			assertion(t, "used", c, raw)
		}
		for _, aud := range []any{w.Issuer + "/token", w.Issuer + "/par", w.MTLSIssuer + "/token", []string{w.Issuer}, w.Issuer + "/other"} {
			assertion(t, fmt.Sprintf("aud %v", aud), c, c.ClientAssertion(fapitest.SetClaim("aud", aud)))
			raw := older.ClientAssertion(fapitest.SetClaim("aud", aud))
			report, err := e.Assertion(t.Context(), older.ID, raw, "/token")
			answer := older.Redeem("none", fapitest.Set("client_assertion", raw))
			if authenticated := answer.Text("error") == oauth.InvalidGrant; err != nil || report.Accepted != authenticated {
				t.Errorf("aud %v: %+v, %v, and the server %s", aud, report, err, answer.Raw)
			}
		}
	})
	t.Run("refuses a client assertion as the server does", func(t *testing.T) {
		for _, name := range []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti"} {
			for _, value := range values(now) {
				assertion(t, fmt.Sprint(name, " ", value), c, c.ClientAssertion(fapitest.SetClaim(name, value)))
			}
		}
		for i, raw := range mutants(c.ClientAssertion(nil), 60) {
			if raw == "" {
				continue // none was sent
			}
			assertion(t, fmt.Sprint("mutant ", i), c, raw)
		}
		for _, of := range []*fapitest.Client{other, byCertificate} { // another algorithm; another method
			assertion(t, of.ID, of, of.Sign(of.Key, "", fapitest.Claims{"iss": of.ID, "sub": of.ID, "aud": w.Issuer, "jti": "x" + of.ID, "exp": now.Add(time.Minute).Unix()}))
		}
		for name, value := range map[string]any{
			"x5c": []string{"MIIB"}, "crit": []string{"exp"}, "b64": false, "jku": "https://a.example", "jwk": map[string]any{}, "typ": "dpop+jwt",
			"kid": "unknown", "alg": "none", "enc": "A256GCM",
		} {
			header := map[string]any{"alg": "ES256"}
			header[name] = value
			body := fapitest.Claims{"iss": c.ID, "sub": c.ID, "aud": w.Issuer, "jti": fapitest.RandomString(), "exp": now.Add(time.Minute).Unix()}
			assertion(t, "header "+name, c, fapitest.HandSigned(t, header, body, fapitest.ES256(t, c.Key)))
		}
	})
	t.Run("refuses what is malformed as the server does", func(t *testing.T) {
		tried := 0
		for _, raw := range malformed(t) {
			if raw != "" && len(raw) < 60<<10 && utf8.ValidString(raw) && !strings.Contains(raw, "\x00") { // others fit into no form
				tried++
				assertion(t, fmt.Sprintf("%.60q", raw), c, raw)
			}
		}
		sign := fapitest.ES256(t, c.Key)
		for _, header := range headers(t) {
			tried++
			body, err := json.Marshal(fapitest.Claims{"iss": c.ID, "sub": c.ID, "aud": w.Issuer, "jti": fapitest.RandomString(), "exp": now.Add(time.Minute).Unix()})
			if err != nil {
				t.Fatal(err)
			}
			input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(body)
			assertion(t, "header "+header, c, input+"."+base64.RawURLEncoding.EncodeToString(sign([]byte(input))))
		}
		if tried < 200 {
			t.Errorf("%d were tried", tried)
		}
	})
	t.Run("refuses DPoP proofs, or accepts them, as the server does", func(t *testing.T) {
		proof := func(what string, c *fapitest.Client, raw string) {
			t.Helper()
			report, err := e.Proof(t.Context(), c.ID, raw, examine.Proven{Method: "POST", URL: c.Base() + "/par"})
			agree(t, what, report, err, c.Push(fapitest.SetHeader("DPoP", raw)))
		}
		good := c.Proof("POST", w.Issuer+"/par", "", nil)
		for range 2 {
			proof("used", c, good)
		}
		for _, htu := range []string{
			strings.ToUpper(w.Issuer) + "/par", w.Issuer + "/par?a=b#c", w.Issuer + "/%70ar", w.Issuer + "/token", w.MTLSIssuer + "/par", w.Issuer + "/../par",
		} {
			proof("htu "+htu, c, c.Proof("POST", htu, "", nil))
		}
		for _, name := range []string{"htm", "htu", "iat", "jti", "nonce", "ath", "exp"} {
			for _, value := range values(now) {
				proof(fmt.Sprint(name, " ", value), c, c.Proof("POST", w.Issuer+"/par", "", fapitest.SetClaim(name, value)))
			}
		}
		for i, raw := range mutants(c.Proof("POST", w.Issuer+"/par", "", nil), 60) {
			if raw == "" || strings.Contains(raw, " ") {
				continue // no header, or another one
			}
			proof(fmt.Sprint("mutant ", i), c, raw)
		}
		proof("a client without", older, older.Proof("POST", older.Base()+"/par", "", nil))
		proof("an assertion", c, c.ClientAssertion(nil))
	})
}

// TestNM141RequestObjects: request objects and what is in them are held to the rules of the server.
// Covers: NM-141.
func TestNM141RequestObjects(t *testing.T) {
	w, _ := fapitest.NewFullWorld(t, fapitest.AllProfiles)
	e, now := examiner(t, w), w.Clock.Now()
	register := func(id string, more fapitest.ClientOption) *fapitest.Client {
		return w.Register(id, fapitest.All(fapitest.AllScopes, fapitest.OfProfile("fapi2-message-signing"), more))
	}
	c := register("client-1", nil)
	plain := w.Register("client-2", nil)
	only := register("client-3", fapitest.SetMember("request_object_signing_alg", "PS256"))
	object := func(t *testing.T, what string, c *fapitest.Client, raw string) *examine.Report {
		t.Helper()
		report, err := e.RequestObject(t.Context(), c.ID, raw, false)
		answer := c.Push(func(form url.Values, _ http.Header) {
			for name := range form {
				if !strings.HasPrefix(name, "client_") {
					delete(form, name)
				}
			}
			form.Set("request", raw)
		})
		agree(t, what, report, err, answer)
		return report
	}
	signed := func(c *fapitest.Client, alter func(fapitest.Claims)) string {
		return c.Sign(c.Key, "oauth-authz-req+jwt", c.RequestObjectClaims(c.AuthorizationForm(), alter))
	}
	t.Run("accepts a request object as the server does", func(t *testing.T) {
		report := object(t, "good", c, signed(c, nil))
		var rules []string
		for _, f := range report.Findings {
			rules = append(rules, f.Rule)
		}
		for _, rule := range []string{"signature", "aud", "redirect_uri", "scope", "code_challenge", "acr_values"} {
			if !slices.Contains(rules, rule) {
				t.Errorf("nothing is said of %s", rule)
			}
		}
		text, err := json.Marshal(report)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"state-1", "nonce-1", fapitest.CodeChallenge(fapitest.CodeVerifier)} {
			if strings.Contains(string(text), secret) {
				t.Errorf("the report has %q", secret)
			}
		}
		object(t, "details", c, signed(c, fapitest.SetClaim("authorization_details", json.RawMessage("["+fapitest.ExampleDetail(t, "payment_initiation")+"]"))))
	})
	native := register("client-4", fapitest.SetMember("redirect_uris", []string{"http://127.0.0.1/cb"}))
	t.Run("accepts the port of a native app as the server does", func(t *testing.T) {
		for _, address := range []string{"http://127.0.0.1/cb", "http://127.0.0.1:51234/cb", "http://127.0.0.1:51234/other", "http://localhost:51234/cb"} {
			object(t, address, native, signed(native, fapitest.SetClaim("redirect_uri", address)))
		}
	})
	t.Run("refuses a request object as the server does", func(t *testing.T) {
		for _, name := range []string{
			"iss", "sub", "aud", "exp", "nbf", "iat", "client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "code_challenge",
			"code_challenge_method", "authorization_details", "acr_values", "claims", "prompt", "max_age", "resource", "dpop_jkt", "request", "request_uri",
			"id_token_hint", "login_hint", "client_assertion", "grant_id",
		} {
			for i, value := range values(now) {
				if i%3 == len(name)%3 || name == "exp" || name == "nbf" {
					object(t, fmt.Sprintf("%s %d %.20v", name, i, value), c, signed(c, fapitest.SetClaim(name, value)))
				}
			}
		}
		for i, raw := range mutants(signed(c, nil), 40) {
			if raw != "" {
				object(t, fmt.Sprint("mutant ", i), c, raw)
			}
		}
		object(t, "refused at all", plain, signed(plain, nil))
		object(t, "another algorithm", only, signed(only, nil))
		object(t, "typ", c, c.Sign(c.Key, "dpop+jwt", c.RequestObjectClaims(c.AuthorizationForm(), nil)))
		object(t, "another key", c, c.Sign(c.ProofKey, "", c.RequestObjectClaims(c.AuthorizationForm(), nil)))
		essential := json.RawMessage(`{"id_token":{"acr":{"essential":true,"values":["urn:nobody:has"]}}}`)
		report := object(t, "essential acr", c, signed(c, fapitest.SetClaim("claims", essential)))
		if report.Error != oauth.UnmetAuthentication {
			t.Errorf("%+v", report)
		}
	})
}

// TestNM142Certificates: certificates are held to the rules of the server.
// Covers: NM-142.
func TestNM142Certificates(t *testing.T) {
	w := fapitest.NewWorld(t)
	e, now := examiner(t, w), w.Clock.Now()
	c, own := w.Register("client-1", fapitest.TLSClientAuth), w.Register("client-2", fapitest.SelfSignedTLSClientAuth)
	reversed := w.Register("client-3", fapitest.All(fapitest.TLSClientAuth, fapitest.SetMember("tls_client_auth_subject_dn", "C = DE, O = Example, CN = client-3")))
	byKey := w.Register("client-4", nil)
	foreign := fapitest.NewAuthority(t, "Another CA", now)
	check := func(t *testing.T, what string, c *fapitest.Client, certificate tls.Certificate) *examine.Report {
		t.Helper()
		var encoded []byte
		for _, der := range certificate.Certificate {
			encoded = append(encoded, pemOf(der)...)
		}
		report, err := e.Certificate(t.Context(), c.ID, encoded, true)
		answer := c.WithCertificate(&certificate).Push(nil)
		if err != nil || report.Accepted != (answer.Status == http.StatusCreated) {
			t.Errorf("%s: %+v, %v, and the server: %s", what, report, err, answer.Raw)
		}
		if !report.Accepted && oauth.Printable(report.Text) != answer.Text("error_description") {
			t.Errorf("%s: the report says %q, and the server %s", what, report.Text, answer.Raw)
		}
		for _, f := range report.Findings {
			if f.Section == "" || !f.Accepted && f.Remedy == "" {
				t.Errorf("%s: nothing explains %+v", what, f)
			}
		}
		return report
	}
	alter := func(by fapitest.Authority, change func(*x509.Certificate)) tls.Certificate {
		return by.IssueAs(t, now, func(template *x509.Certificate) {
			template.Subject.CommonName = "client-1"
			change(template)
		})
	}
	nothing := func(*x509.Certificate) {}
	t.Run("accepts a certificate as the server does", func(t *testing.T) {
		check(t, "its own", c, *c.Certificate)
		check(t, "its own, self-signed", own, *own.Certificate)
		check(t, "without a usage", c, alter(w.ClientCA, func(c *x509.Certificate) { c.ExtKeyUsage = nil }))
		check(t, "that binds only", byKey, w.ClientCA.Issue(t, "anybody", now))
	})
	t.Run("refuses a certificate as the server does", func(t *testing.T) {
		for what, certificate := range map[string]tls.Certificate{
			"another subject": w.ClientCA.Issue(t, "client-2", now), "another authority": alter(foreign, nothing), "self-signed": fapitest.Authority{}.Issue(t, "client-1", now),
			"expired":     alter(w.ClientCA, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }),
			"not yet":     alter(w.ClientCA, func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) }),
			"for servers": alter(w.ClientCA, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
			"for keys":    alter(w.ClientCA, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }),
			"for two reasons": alter(w.ClientCA, func(c *x509.Certificate) {
				c.Subject.CommonName, c.ExtKeyUsage = "x", []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
			}),
		} {
			report := check(t, what, c, certificate)
			refused := 0
			for _, f := range report.Findings {
				if !f.Accepted {
					refused++
				}
			}
			if what == "for two reasons" && refused != 2 {
				t.Errorf("%s: %+v", what, report.Findings)
			}
		}
		check(t, "another key", own, fapitest.Authority{}.Issue(t, "client-2", now))
		report := check(t, "written the other way round", reversed, w.ClientCA.IssueAs(t, now, func(c *x509.Certificate) {
			c.Subject.CommonName, c.Subject.Organization, c.Subject.Country = "client-3", []string{"Example"}, []string{"DE"}
		}))
		if !strings.Contains(fmt.Sprint(report.Findings), "register it as CN=client-3,O=Example,C=DE") {
			t.Errorf("what to register is not said: %+v", report.Findings)
		}
	})
}
