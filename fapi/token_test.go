package fapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/internal/jose"
	"countersign/signer"
)

// TestRedeem lists how a code is refused without being harmed: after each refusal its own client still redeems it.
func TestRedeem(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	other := w.register("client-2", nil)
	set := func(name, value string) func(url.Values, http.Header) {
		return func(form url.Values, _ http.Header) { form.Set(name, value) }
	}
	otherKey := *c
	otherKey.proofKey = newKey(t, jose.ES256)
	tests := map[string]struct {
		by     *client
		change func(url.Values, http.Header)
		status int
		code   string
	}{
		"by another client":          {other, nil, 400, "invalid_grant"},
		"with another DPoP key":      {&otherKey, nil, 400, "invalid_grant"},
		"without a proof":            {c, func(_ url.Values, h http.Header) { h.Del("DPoP") }, 400, "invalid_request"},
		"without a verifier":         {c, set("code_verifier", ""), 400, "invalid_grant"},
		"with another verifier":      {c, set("code_verifier", strings.Repeat("x", 43)), 400, "invalid_grant"},
		"with the challenge itself":  {c, set("code_verifier", challenge(verifier)), 400, "invalid_grant"},
		"with another redirect_uri":  {c, set("redirect_uri", "https://client.example/other"), 400, "invalid_grant"},
		"without a redirect_uri":     {c, set("redirect_uri", ""), 400, "invalid_grant"},
		"without a client assertion": {c, set("client_assertion", ""), 401, "invalid_client"},
		"without a grant_type":       {c, set("grant_type", ""), 400, "invalid_request"},
		"as the password grant":      {c, set("grant_type", "password"), 400, "unsupported_grant_type"},
		"as client_credentials":      {c, set("grant_type", "client_credentials"), 400, "unauthorized_client"},
		"with no code":               {c, set("code", ""), 400, "invalid_request"},
		"with an invented code":      {c, set("code", random()), 400, "invalid_grant"},
		"with the code given twice":  {c, func(f url.Values, _ http.Header) { f.Add("code", f.Get("code")) }, 400, "invalid_request"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			code := c.authorize()
			wantError(t, test.by.redeem(code, test.change), test.status, test.code)
			if r := c.redeem(code, nil); r.status != http.StatusOK {
				t.Errorf("the code was harmed: %d %s", r.status, r.raw)
			}
		})
	}
}

// TestCodeWearsOut shows that a code's own client cannot guess at it for ever.
func TestCodeWearsOut(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	code := c.authorize()
	for range 5 {
		wantError(t, c.redeem(code, func(f url.Values, _ http.Header) { f.Set("code_verifier", strings.Repeat("x", 43)) }), 400, "invalid_grant")
	}
	wantError(t, c.redeem(code, nil), 400, "invalid_grant")
}

// TestCodeReuse: the second use is refused and ends what the first one bought.
func TestCodeReuse(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	code := c.authorize()
	issued := c.redeem(code, nil)
	if issued.status != http.StatusOK {
		t.Fatal(issued.raw)
	}
	// Another client that got hold of the spent code revokes nothing.
	wantError(t, w.register("client-2", nil).redeem(code, nil), 400, "invalid_grant")
	if r := c.get("/accounts", issued.text("access_token"), nil); r.status != http.StatusOK {
		t.Fatalf("a stranger revoked the grant: %d %s", r.status, r.raw)
	}
	wantError(t, c.redeem(code, nil), 400, "invalid_grant")
	wantError(t, c.get("/accounts", issued.text("access_token"), nil), 401, "invalid_token")
	wantError(t, c.refresh(issued.text("refresh_token"), nil), 400, "invalid_grant")
}

// TestCodeRace redeems one code many times at once: one answer has tokens, and they are revoked.
func TestCodeRace(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	code := c.authorize()
	var wait sync.WaitGroup
	replies := make([]reply, 16)
	for i := range replies {
		wait.Go(func() { replies[i] = c.redeem(code, nil) })
	}
	wait.Wait()
	var winners []reply
	for _, r := range replies {
		if r.status == http.StatusOK {
			winners = append(winners, r)
		} else {
			wantError(t, r, 400, "invalid_grant")
		}
	}
	if len(winners) != 1 {
		t.Fatalf("%d of %d redemptions of one code succeeded", len(winners), len(replies))
	}
	wantError(t, c.get("/accounts", winners[0].text("access_token"), nil), 401, "invalid_token")
}

func TestCodeExpires(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	early, late := c.authorize(), c.authorize()
	w.clock.Advance(59 * time.Second)
	if r := c.redeem(early, nil); r.status != http.StatusOK {
		t.Fatalf("after 59 s: %d %s", r.status, r.raw)
	}
	w.clock.Advance(time.Second)
	wantError(t, c.redeem(late, nil), 400, "invalid_grant")
}

// TestDeadHSM: a signer that fails burns no code.
func TestDeadHSM(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	code := c.authorize()
	w.backend.fail(signer.ErrUnavailable)
	r := c.redeem(code, nil)
	wantError(t, r, http.StatusServiceUnavailable, "temporarily_unavailable")
	if r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	w.backend.fail(nil)
	if r := c.redeem(code, nil); r.status != http.StatusOK {
		t.Fatalf("the code was burnt: %d %s", r.status, r.raw)
	}
}

func TestRefresh(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	token := c.tokens().text("refresh_token")
	wantError(t, w.register("client-2", nil).refresh(token, nil), 400, "invalid_grant")
	wantError(t, c.refresh(token, func(f url.Values, _ http.Header) { f.Del("client_assertion") }), 401, "invalid_client")
	wantError(t, c.refresh(token, func(_ url.Values, h http.Header) { h.Del("DPoP") }), 400, "invalid_request")
	wantError(t, c.refresh(token, func(f url.Values, _ http.Header) { f.Set("scope", "openid payments") }), 400, "invalid_scope")
	wantError(t, c.refresh(random(), nil), 400, "invalid_grant")
	narrowed := c.refresh(token, func(f url.Values, _ http.Header) { f.Set("scope", "openid") })
	if narrowed.status != http.StatusOK || narrowed.text("scope") != "openid" {
		t.Fatalf("narrowed: %d %s", narrowed.status, narrowed.raw)
	}
	wantError(t, c.get("/accounts", narrowed.text("access_token"), nil), 403, "insufficient_scope")

	// A confidential client may change its DPoP key (RFC 9449 §5); the new token is bound to the new one.
	rotated := *c
	rotated.proofKey = newKey(t, jose.ES256)
	fresh := rotated.refresh(token, nil)
	if r := rotated.get("/accounts", fresh.text("access_token"), nil); r.status != http.StatusOK {
		t.Errorf("after the key changed: %d %s", r.status, r.raw)
	}
	wantError(t, c.get("/accounts", fresh.text("access_token"), nil), 401, "invalid_token")

	user, err := w.store.User(t.Context(), "sub-alice")
	if err != nil {
		t.Fatal(err)
	}
	user.Disabled = true
	if err := w.store.PutUser(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	wantError(t, c.refresh(token, nil), 400, "invalid_grant")
}

func TestRefreshTokenEndsWithItsGrant(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	token := c.tokens().text("refresh_token")
	w.clock.Advance(90 * 24 * time.Hour)
	wantError(t, c.refresh(token, nil), 400, "invalid_grant")
}

// TestNoRefreshTokenWithoutItsGrantType: least privilege (FAPI 2.0 Security Profile §5.3.2.1-14).
func TestNoRefreshTokenWithoutItsGrantType(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", func(_ *client, m map[string]any) { m["grant_types"] = []string{"authorization_code"} })
	issued := c.tokens()
	if issued.body["refresh_token"] != nil {
		t.Error("a refresh token for a client that registered none")
	}
	wantError(t, c.refresh(random(), nil), 400, "unauthorized_client")
}

// TestCertificateChanges: a refresh with a new valid certificate binds the new token to it (RFC 8705 §4).
func TestCertificateChanges(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", withCertificate)
	issued := c.tokens()
	renewed := *c
	withCertificate(&renewed, map[string]any{})
	renewed.http = w.transport(&renewed)
	fresh := renewed.refresh(issued.text("refresh_token"), nil)
	if fresh.status != http.StatusOK {
		t.Fatalf("refresh: %d %s", fresh.status, fresh.raw)
	}
	if r := renewed.get("/accounts", fresh.text("access_token"), nil); r.status != http.StatusOK {
		t.Errorf("new token, new certificate: %d %s", r.status, r.raw)
	}
	wantError(t, c.get("/accounts", fresh.text("access_token"), nil), 401, "invalid_token")
	wantError(t, renewed.get("/accounts", issued.text("access_token"), nil), 401, "invalid_token")
}
