package token_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"countersign/signer"
)

func TestPlainOAuthHasNoIDToken(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", func(c *fapitest.Client, m map[string]any) {
		c.Scope = "accounts"
		m["scope"] = c.Scope
	})
	issued := c.Tokens()
	if issued.Body["id_token"] != nil {
		t.Error("an ID token without the scope openid")
	}
	r := c.Get("/userinfo", issued.Text("access_token"), nil)
	fapitest.WantError(t, r, http.StatusForbidden, "insufficient_scope")
}

// Covers: DP-10. The token response and the token say that it is bound, and to which key.
func TestDP10TokenType(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	issued := c.Tokens()
	for name, r := range map[string]fapitest.Reply{"a code": issued, "a refresh token": c.Refresh(issued.Text("refresh_token"), nil)} {
		t.Run("accepts "+name+" for token_type DPoP and cnf jkt", func(t *testing.T) {
			_, access := w.Verify(r.Text("access_token"))
			bound, _ := access["cnf"].(map[string]any)
			if r.Text("token_type") != "DPoP" || bound["jkt"] != c.ProofKey.Key().Thumbprint() {
				t.Errorf("token_type %s, cnf %v", r.Text("token_type"), access["cnf"])
			}
		})
	}
	mutual := w.Register("client-2", fapitest.TLSClientAuth)
	t.Run("refuses that type to a token that is bound to a certificate", func(t *testing.T) {
		if issued := mutual.Tokens(); issued.Text("token_type") != "Bearer" {
			t.Errorf("token_type %s", issued.Text("token_type"))
		}
	})
	fapitest.TryAll(t, mutual.Push, fapitest.Bad("a proof of a client that registered a certificate", func(_ url.Values, h http.Header) {
		h.Set("DPoP", mutual.Proof("POST", w.MTLSIssuer+"/par", "", nil))
	}, 400, "invalid_request"))
}

// Covers: DP-12. A token request without a proof is an invalid request; one with a bad proof says so.
func TestDP12NoProof(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	noProof := func(_ url.Values, h http.Header) { h.Del("DPoP") }
	fapitest.TryAll(t, func(change fapitest.Change) fapitest.Reply { return c.Redeem(c.Authorize(), change) },
		fapitest.Good("a proof", nil), fapitest.Bad("no proof with a code", noProof, 400, "invalid_request"),
		fapitest.Bad("a bad proof with a code", fapitest.SetHeader("DPoP", "a.b.c"), 400, "invalid_dpop_proof"))
	refreshToken := c.Tokens().Text("refresh_token")
	fapitest.TryAll(t, func(change fapitest.Change) fapitest.Reply { return c.Refresh(refreshToken, change) },
		fapitest.Good("a proof with a refresh token", nil), fapitest.Bad("no proof with a refresh token", noProof, 400, "invalid_request"),
		fapitest.Bad("a bad proof with a refresh token", fapitest.SetHeader("DPoP", "a.b.c"), 400, "invalid_dpop_proof"))
	fapitest.TryAll(t, c.Push, fapitest.Good("no proof at PAR", noProof))
}

// TestRedeem lists how a code is refused without being harmed: after each refusal its own client still redeems it.
func TestRedeem(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	other := w.Register("client-2", nil)
	set := func(name, value string) func(url.Values, http.Header) {
		return func(form url.Values, _ http.Header) { form.Set(name, value) }
	}
	otherKey := *c
	otherKey.ProofKey = fapitest.NewKey(t, jose.ES256)
	tests := map[string]struct {
		by     *fapitest.Client
		change func(url.Values, http.Header)
		status int
		code   string
	}{
		"by another client":          {other, nil, 400, "invalid_grant"},
		"with another DPoP key":      {&otherKey, nil, 400, "invalid_grant"},
		"without a proof":            {c, func(_ url.Values, h http.Header) { h.Del("DPoP") }, 400, "invalid_request"},
		"without a verifier":         {c, set("code_verifier", ""), 400, "invalid_grant"},
		"with another verifier":      {c, set("code_verifier", strings.Repeat("x", 43)), 400, "invalid_grant"},
		"with the challenge itself":  {c, set("code_verifier", fapitest.CodeChallenge(fapitest.CodeVerifier)), 400, "invalid_grant"},
		"with another redirect_uri":  {c, set("redirect_uri", "https://client.example/other"), 400, "invalid_grant"},
		"without a redirect_uri":     {c, set("redirect_uri", ""), 400, "invalid_grant"},
		"without a client assertion": {c, set("client_assertion", ""), 401, "invalid_client"},
		"without a grant_type":       {c, set("grant_type", ""), 400, "invalid_request"},
		"as the password grant":      {c, set("grant_type", "password"), 400, "unsupported_grant_type"},
		"as client_credentials":      {c, set("grant_type", "client_credentials"), 400, "unauthorized_client"},
		"with no code":               {c, set("code", ""), 400, "invalid_request"},
		"with an invented code":      {c, set("code", fapitest.RandomString()), 400, "invalid_grant"},
		"with the code given twice":  {c, func(f url.Values, _ http.Header) { f.Add("code", f.Get("code")) }, 400, "invalid_request"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			code := c.Authorize()
			fapitest.WantError(t, test.by.Redeem(code, test.change), test.status, test.code)
			if r := c.Redeem(code, nil); r.Status != http.StatusOK {
				t.Errorf("the code was harmed: %d %s", r.Status, r.Raw)
			}
		})
	}
}

// TestDeadHSM: a signer that fails burns no code.
func TestDeadHSM(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	code := c.Authorize()
	w.Backend.Fail(signer.ErrUnavailable)
	r := c.Redeem(code, nil)
	fapitest.WantError(t, r, http.StatusServiceUnavailable, "temporarily_unavailable")
	if r.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	w.Backend.Fail(nil)
	if r := c.Redeem(code, nil); r.Status != http.StatusOK {
		t.Fatalf("the code was burnt: %d %s", r.Status, r.Raw)
	}
}

// TestCertificateChanges: a refresh with a new valid certificate binds the new token to it (RFC 8705 §4).
func TestCertificateChanges(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", fapitest.TLSClientAuth)
	issued := c.Tokens()
	renewed := *c
	fapitest.TLSClientAuth(&renewed, map[string]any{})
	renewed.HTTP = w.Transport(&renewed)
	fresh := renewed.Refresh(issued.Text("refresh_token"), nil)
	if fresh.Status != http.StatusOK {
		t.Fatalf("refresh: %d %s", fresh.Status, fresh.Raw)
	}
	if r := renewed.Get("/accounts", fresh.Text("access_token"), nil); r.Status != http.StatusOK {
		t.Errorf("new token, new certificate: %d %s", r.Status, r.Raw)
	}
	fapitest.WantError(t, c.Get("/accounts", fresh.Text("access_token"), nil), 401, "invalid_token")
	fapitest.WantError(t, renewed.Get("/accounts", issued.Text("access_token"), nil), 401, "invalid_token")
}
