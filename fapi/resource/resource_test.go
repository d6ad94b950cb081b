package resource_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
)

// Covers: SP-41. The access token is in the header, once, and nowhere else.
func TestSP41TokenInHeader(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	for name, alter := range map[string]func(*fapitest.Client, map[string]any){"DPoP": nil, "certificate": fapitest.TLSClientAuth} {
		c := w.Register("client by "+name, alter)
		token := c.Tokens().Text("access_token")
		noHeader := func(h http.Header) { h.Del("Authorization") }
		for _, path := range []string{"/accounts", "/userinfo"} {
			t.Run("accepts the header, by "+name+" at "+path, func(t *testing.T) { fapitest.Good("", nil).Check(t, c.Get(path, token, nil)) })
			t.Run("refuses the address, by "+name+" at "+path, func(t *testing.T) {
				fapitest.WantError(t, c.Get(path+"?access_token="+token, token, noHeader), 400, "invalid_request")
			})
			t.Run("refuses the address beside the header, by "+name+" at "+path, func(t *testing.T) {
				fapitest.WantError(t, c.Get(path+"?access_token="+token, token, nil), 400, "invalid_request")
			})
			t.Run("refuses no token, by "+name+" at "+path, func(t *testing.T) {
				fapitest.WantError(t, c.Get(path, token, noHeader), 401, "invalid_token")
			})
			t.Run("refuses two headers, by "+name+" at "+path, func(t *testing.T) {
				fapitest.WantError(t, c.Get(path, token, func(h http.Header) { h.Add("Authorization", h.Get("Authorization")) }), 400, "invalid_request")
			})
		}
		t.Run("refuses the body, by "+name, func(t *testing.T) {
			r := c.Post("/userinfo", url.Values{"access_token": {token}}, nil)
			fapitest.WantError(t, r, 401, "invalid_token")
		})
	}
}

// Covers: SP-42, AT-03, ATTACK-53. A resource believes no token that is forged, changed, over, or revoked.
func TestSP42TokenChecked(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	code := c.Authorize()
	issued := c.Redeem(code, nil)
	token := issued.Text("access_token")
	parts, changed, forged := forgeries(t, token)
	try := func(title, token, code string) {
		t.Run(title, func(t *testing.T) {
			r := c.Get("/accounts", token, nil)
			if code == "" {
				fapitest.Good("", nil).Check(t, r)
				return
			}
			fapitest.WantError(t, r, 401, code)
		})
	}
	try("accepts a token of this server", token, "")
	try("refuses an ID token", issued.Text("id_token"), "invalid_token")
	try("refuses a refresh token", issued.Text("refresh_token"), "invalid_token")
	try("refuses changed claims", changed, "invalid_token")
	try("refuses a stranger's signature", forged, "invalid_token")
	try("refuses half a signature", token[:len(token)-20], "invalid_token")
	try("refuses no signature", parts[0]+"."+parts[1]+".", "invalid_token")
	try("refuses what is no token", "token", "invalid_token")
	fresh := c.Refresh(issued.Text("refresh_token"), nil).Text("access_token")
	w.Clock.Advance(5*time.Minute - time.Second)
	try("accepts it a second before its end", token, "")
	w.Clock.Advance(time.Second)
	try("refuses it at its end", token, "invalid_token")
	try("refuses another of the same age", fresh, "invalid_token")
	late := c.Refresh(issued.Text("refresh_token"), nil).Text("access_token")
	try("accepts a new one", late, "")
	w.RevokeGrantOf(t, late)
	try("refuses it at once when the grant is revoked", late, "invalid_token")
}

// Covers: SP-43. Errors are those of RFC 6750 §3.1, and the scheme may be written in any case.
func TestSP43Sufficiency(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	issued := c.Tokens()
	token := issued.Text("access_token")
	for _, scheme := range []string{"DPoP", "dpop", "DPOP", "dPoP"} {
		t.Run("accepts the scheme "+scheme, func(t *testing.T) {
			fapitest.Good("", nil).Check(t, c.Get("/accounts", token, func(h http.Header) { h.Set("Authorization", scheme+" "+token) }))
		})
	}
	mutual := w.Register("client-2", fapitest.TLSClientAuth)
	bound := mutual.Tokens().Text("access_token")
	for _, scheme := range []string{"Bearer", "bearer", "BEARER"} {
		t.Run("accepts the scheme "+scheme+" with a certificate", func(t *testing.T) {
			fapitest.Good("", nil).Check(t, mutual.Get("/accounts", bound, func(h http.Header) { h.Set("Authorization", scheme+" "+bound) }))
		})
	}
	narrow := c.Refresh(issued.Text("refresh_token"), fapitest.Set("scope", "openid")).Text("access_token")
	t.Run("refuses too little scope with 403", func(t *testing.T) {
		r := c.Get("/accounts", narrow, nil)
		fapitest.WantError(t, r, 403, "insufficient_scope")
		if challenge := r.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="insufficient_scope"`) {
			t.Errorf("WWW-Authenticate %q", challenge)
		}
	})
	t.Run("refuses a bad token with 401", func(t *testing.T) {
		r := c.Get("/accounts", "bad", nil)
		fapitest.WantError(t, r, 401, "invalid_token")
		if challenge := r.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="invalid_token"`) {
			t.Errorf("WWW-Authenticate %q", challenge)
		}
	})
	t.Run("refuses no token with 401 and no error code in the challenge", func(t *testing.T) {
		r := c.Get("/accounts", "", func(h http.Header) { h.Del("Authorization") })
		if challenge := r.Header.Get("WWW-Authenticate"); r.Status != 401 || challenge == "" || strings.Contains(challenge, "error=") {
			t.Errorf("%d, WWW-Authenticate %q", r.Status, challenge)
		}
	})
	for name, value := range map[string]string{"another scheme": "Basic YTpi", "a scheme without a token": "DPoP", "a scheme and blanks": "DPoP  "} {
		t.Run("refuses "+name, func(t *testing.T) {
			if r := c.Get("/accounts", token, func(h http.Header) { h.Set("Authorization", value) }); r.Status != 400 && r.Status != 401 || r.Text("error") == "" {
				t.Errorf("%d %s", r.Status, r.Raw)
			}
		})
	}
}

// Covers: SP-44, AM-06, MT-06, DP-09, ATTACK-15. A token is of no use without its key.
func TestSP44SenderConstraintChecked(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	token := c.Tokens().Text("access_token")
	thief := *c
	thief.ProofKey = fapitest.NewKey(t, jose.ES256)
	address := w.Issuer + "/accounts"
	header := func(alter func(http.Header)) func(fapitest.Change) fapitest.Reply {
		return func(fapitest.Change) fapitest.Reply { return c.Get("/accounts", token, alter) }
	}
	fapitest.TryAll(t, header(nil), fapitest.Good("the key that the token is bound to", nil))
	fapitest.TryAll(t, func(fapitest.Change) fapitest.Reply { return thief.Get("/accounts", token, nil) }, fapitest.Bad("another key", nil, 401, "invalid_token"))
	fapitest.TryAll(t, header(func(h http.Header) { h.Del("DPoP") }), fapitest.Bad("no proof", nil, 401, "invalid_dpop_proof"))
	fapitest.TryAll(t, header(func(h http.Header) { h.Set("Authorization", "Bearer "+token) }), fapitest.Bad("the token as a bearer token with a proof", nil, 401, "invalid_token"))
	fapitest.TryAll(t, header(func(h http.Header) { h.Set("Authorization", "Bearer "+token); h.Del("DPoP") }), fapitest.Bad("the token as a bearer token", nil, 401, "invalid_token"))
	used := c.Proof("GET", address, token, nil)
	fapitest.TryAll(t, header(func(h http.Header) { h.Set("DPoP", used) }), fapitest.Good("a new proof", nil), fapitest.Bad("the proof that was read on the way", nil, 401, "invalid_dpop_proof"))
	fapitest.TryAll(t, header(func(h http.Header) { h.Set("DPoP", c.Proof("GET", w.Issuer+"/userinfo", token, nil)) }), fapitest.Bad("a proof for another resource", nil, 401, "invalid_dpop_proof"))
	fapitest.TryAll(t, header(func(h http.Header) { h.Set("DPoP", c.Proof("GET", address, "another token", nil)) }), fapitest.Bad("a proof for another token", nil, 401, "invalid_dpop_proof"))

	mutual := w.Register("client-2", fapitest.TLSClientAuth)
	bound := mutual.Tokens().Text("access_token")
	other, none := *mutual, *mutual
	certificate := w.ClientCA.Issue(t, mutual.ID, w.Clock.Now())
	other.Certificate = &certificate
	other.HTTP = w.Transport(&other)
	none.Certificate, none.AtMTLS = nil, true
	none.HTTP = w.Transport(&none)
	elsewhere := none
	elsewhere.AtMTLS = false
	fapitest.TryAll(t, func(fapitest.Change) fapitest.Reply { return mutual.Get("/accounts", bound, nil) }, fapitest.Good("the certificate that the token is bound to", nil))
	for name, sender := range map[string]*fapitest.Client{"another certificate of the same client": &other, "no certificate": &none, "the listener without certificates": &elsewhere} {
		fapitest.TryAll(t, func(fapitest.Change) fapitest.Reply { return sender.Get("/accounts", bound, nil) }, fapitest.Bad(name, nil, 401, "invalid_token"))
	}
	fapitest.TryAll(t, func(fapitest.Change) fapitest.Reply {
		return mutual.Get("/accounts", bound, func(h http.Header) {
			h.Set("Authorization", "DPoP "+bound)
			h.Set("DPoP", mutual.Proof("GET", w.MTLSIssuer+"/accounts", bound, nil))
		})
	}, fapitest.Bad("a proof in place of the certificate", nil, 401, "invalid_token"))
}

// TestResourceWithDPoP lists what a DPoP-bound token needs at a resource (RFC 9449 §7, FAPI 2.0 §5.3.4).
func TestResourceWithDPoP(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	token := c.Tokens().Text("access_token")
	address := w.Issuer + "/accounts"
	proof := func(change func(fapitest.Claims)) func(http.Header) {
		return func(h http.Header) { h.Set("DPoP", c.Proof("GET", address, token, change)) }
	}
	set := func(name string, value any) func(http.Header) {
		return proof(func(b fapitest.Claims) { b[name] = value })
	}
	unset := func(name string) func(http.Header) { return proof(func(b fapitest.Claims) { delete(b, name) }) }
	now := w.Clock.Now()
	tests := map[string]struct {
		change func(http.Header)
		status int
		code   string
	}{
		"as it is":                    {nil, 200, ""},
		"scheme in capitals":          {func(h http.Header) { h.Set("Authorization", "DPOP "+token) }, 200, ""},
		"scheme in small letters":     {func(h http.Header) { h.Set("Authorization", "dpop "+token) }, 200, ""},
		"iat 10 seconds ahead":        {set("iat", now.Add(10*time.Second).Unix()), 200, ""},
		"iat 10 seconds ago":          {set("iat", now.Add(-10*time.Second).Unix()), 200, ""},
		"nbf and exp beside":          {proof(func(b fapitest.Claims) { b["nbf"], b["exp"] = now.Unix(), now.Add(time.Minute).Unix() }), 200, ""},
		"htu with query and fragment": {set("htu", address+"?a=1#b"), 200, ""},
		"no token":                    {func(h http.Header) { h.Del("Authorization") }, 401, "invalid_token"},
		"as Bearer":                   {func(h http.Header) { h.Set("Authorization", "Bearer "+token) }, 401, "invalid_token"},
		"as Bearer without a proof":   {func(h http.Header) { h.Set("Authorization", "Bearer "+token); h.Del("DPoP") }, 401, "invalid_token"},
		"no proof":                    {func(h http.Header) { h.Del("DPoP") }, 401, "invalid_dpop_proof"},
		"two proofs":                  {func(h http.Header) { h.Add("DPoP", h.Get("DPoP")) }, 401, "invalid_dpop_proof"},
		"a proof that is no JWT":      {func(h http.Header) { h.Set("DPoP", "x") }, 401, "invalid_dpop_proof"},
		"another method":              {set("htm", "POST"), 401, "invalid_dpop_proof"},
		"another address":             {set("htu", w.Issuer+"/userinfo"), 401, "invalid_dpop_proof"},
		"iat an hour ago":             {set("iat", now.Add(-time.Hour).Unix()), 401, "invalid_dpop_proof"},
		"iat an hour ahead":           {set("iat", now.Add(time.Hour).Unix()), 401, "invalid_dpop_proof"},
		"ath of another token":        {set("ath", fapitest.CodeChallenge("other")), 401, "invalid_dpop_proof"},
		"no ath":                      {unset("ath"), 401, "invalid_dpop_proof"},
		"no jti":                      {unset("jti"), 401, "invalid_dpop_proof"},
		"no htm":                      {unset("htm"), 401, "invalid_dpop_proof"},
		"no htu":                      {unset("htu"), 401, "invalid_dpop_proof"},
		"no iat":                      {unset("iat"), 401, "invalid_dpop_proof"},
		"another key": {func(h http.Header) {
			o := *c
			o.ProofKey = fapitest.NewKey(t, jose.ES256)
			h.Set("DPoP", o.Proof("GET", address, token, nil))
		}, 401, "invalid_token"},
		"two Authorization headers": {func(h http.Header) { h.Add("Authorization", "DPoP "+token) }, 400, "invalid_request"},
		"another scheme":            {func(h http.Header) { h.Set("Authorization", "Basic YTpi") }, 401, "invalid_token"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := c.Get("/accounts", token, test.change)
			if test.status == http.StatusOK {
				if r.Status != http.StatusOK || r.Header.Get("Date") == "" {
					t.Fatalf("answered %d %s", r.Status, r.Raw)
				}
				return
			}
			fapitest.WantError(t, r, test.status, test.code)
			if test.status == http.StatusUnauthorized && !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), `DPoP algs=`) {
				t.Errorf("WWW-Authenticate %q", r.Header.Get("WWW-Authenticate"))
			}
		})
	}
	t.Run("the same proof twice", func(t *testing.T) {
		same := c.Proof("GET", address, token, nil)
		change := func(h http.Header) { h.Set("DPoP", same) }
		if r := c.Get("/accounts", token, change); r.Status != http.StatusOK {
			t.Fatal(r.Raw)
		}
		fapitest.WantError(t, c.Get("/accounts", token, change), 401, "invalid_dpop_proof")
	})
	t.Run("the token in the address", func(t *testing.T) {
		r := c.Get("/accounts?access_token="+token, token, func(h http.Header) { h.Del("Authorization"); h.Del("DPoP") })
		fapitest.WantError(t, r, 400, "invalid_request")
	})
	t.Run("after its time", func(t *testing.T) {
		w.Clock.Advance(5 * time.Minute)
		fapitest.WantError(t, c.Get("/accounts", token, nil), 401, "invalid_token")
	})
}

// forgeries gives the parts of an access token, it with a scope more under the same signature, and that signed by another key.
func forgeries(t *testing.T, token string) (parts []string, changed, forged string) {
	t.Helper()
	parts = strings.Split(token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var body fapitest.Claims
	if err := json.Unmarshal(payload, &body); err != nil {
		t.Fatal(err)
	}
	body["scope"] = "openid accounts payments"
	claims, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	forged, err = jose.Sign(t.Context(), fapitest.NewKey(t, jose.ES256).SigningKey(), "at+jwt", body)
	if err != nil {
		t.Fatal(err)
	}
	return parts, parts[0] + "." + base64.RawURLEncoding.EncodeToString(claims) + "." + parts[2], forged
}

// TestForeignTokens presents what is no access token of this server, or was tampered with.
func TestForeignTokens(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	issued := c.Tokens()
	token := issued.Text("access_token")
	parts, changed, forged := forgeries(t, token)
	for name, foreign := range map[string]string{
		"the ID token":            issued.Text("id_token"),
		"the refresh token":       issued.Text("refresh_token"),
		"a client assertion":      c.ClientAssertion(nil),
		"claims changed":          changed,
		"signed by somebody else": forged,
		"no signature":            parts[0] + "." + parts[1] + ".",
		"alg none":                "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + parts[1] + ".",
		"many dots":               strings.Repeat(".", 4000),
	} {
		t.Run(name, func(t *testing.T) { fapitest.WantError(t, c.Get("/accounts", foreign, nil), 401, "invalid_token") })
	}
}

func TestResourceWithCertificate(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", fapitest.TLSClientAuth)
	token := c.Tokens().Text("access_token")
	other := *c
	fapitest.TLSClientAuth(&other, map[string]any{})
	other.HTTP = w.Transport(&other)
	fapitest.WantError(t, other.Get("/accounts", token, nil), 401, "invalid_token")
	none := *c
	none.Certificate = nil
	none.HTTP = w.Transport(&none)
	fapitest.WantError(t, none.Get("/accounts", token, nil), 401, "invalid_token") // the listener without certificates
	fapitest.WantError(t, c.Get("/accounts", token, func(h http.Header) { h.Set("Authorization", "DPoP "+token) }), 401, "invalid_token")
	// A header that an ingress might send proves nothing on a listener that terminates TLS itself.
	encoded := base64.StdEncoding.EncodeToString(c.Certificate.Leaf.Raw)
	fapitest.WantError(t, none.Get("/accounts", token, func(h http.Header) { h.Set("Client-Cert", ":"+encoded+":") }), 401, "invalid_token")
}
