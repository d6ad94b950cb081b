package fapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
)

// Covers: AM-01, ATTACK-06, ATTACK-08, ATTACK-37, BC-04. The goals: nobody else reaches a user's resources, signs in as
// that user, or makes a user use the attacker's.
func TestAM01PeopleAndBrowsers(t *testing.T) {
	t.Parallel()
	w, p := fapitest.NewFullWorld(t)
	shop := newRelyingParty(w, "shop", fapitest.AllScopes)
	evil := newRelyingParty(w, "evil", fapitest.AllScopes)
	alice, mallory := w.Browser(), w.Browser()
	t.Run("accepts each user to that user's own resources", func(t *testing.T) {
		for subject, b := range map[string]*fapitest.Browser{"sub-alice": alice, "sub-bob": mallory} {
			p.Is(subject, fapitest.ACRPassword)
			address, _ := shop.start(b)
			issued, err := shop.receive(b, b.Sent(t, address))
			if err != nil {
				t.Fatal(err)
			}
			if r := shop.Get("/accounts", issued.Text("access_token"), nil); r.Text("owner") != subject {
				t.Errorf("%s got %s", subject, r.Raw)
			}
		}
	})
	p.Is("sub-alice", fapitest.ACRPassword)
	t.Run("refuses the attacker the code of a user: authorization", func(t *testing.T) {
		address, _ := shop.start(alice)
		stolen := alice.Sent(t, address)
		// Through the attacker's own client.
		fapitest.WantError(t, evil.Redeem(stolen.Get("code"), nil), 400, "invalid_grant")
		// Injected into the attacker's own session at the honest client.
		_, state := shop.start(mallory)
		injected := url.Values{"code": stolen["code"], "iss": stolen["iss"], "state": {state}}
		r, err := shop.receive(mallory, injected)
		if err != nil {
			t.Fatal(err)
		}
		fapitest.WantError(t, r, 400, "invalid_grant")
		// The user's own session still works.
		issued, err := shop.receive(alice, stolen)
		if err != nil {
			t.Fatal(err)
		}
		fapitest.WantOK(t, issued)
	})
	t.Run("refuses to finish in the attacker's browser what a user began: authentication", func(t *testing.T) {
		p.Does("read")
		defer p.Does("allow")
		b := w.Browser()
		address, _ := shop.start(b)
		interaction := b.Page(t, address)
		p.Does("allow")
		for _, stranger := range []*fapitest.Browser{mallory, w.Browser()} {
			if status, body, sentTo := stranger.Visit(interaction); sentTo != nil || status < 400 {
				t.Errorf("answered %d %s, sent to %v", status, body, sentTo)
			}
		}
		if _, err := shop.receive(b, b.Sent(t, interaction)); err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses to sign a user in as the attacker: session integrity", func(t *testing.T) {
		p.Is("sub-bob", fapitest.ACRPassword)
		defer p.Is("sub-alice", fapitest.ACRPassword)
		address, state := shop.start(mallory)
		attackers := mallory.Sent(t, address)
		// The attacker's response, opened in the user's browser: another state, another verifier.
		if _, err := shop.receive(alice, attackers); err == nil {
			t.Error("the response of another browser was taken")
		}
		_, own := shop.start(alice)
		attackers.Set("state", own)
		r, err := shop.receive(alice, attackers)
		if err != nil {
			t.Fatal(err)
		}
		fapitest.WantError(t, r, 400, "invalid_grant")
		delete(shop.pending, state)
	})
	t.Run("refuses a user who finishes the attacker's request to end in a session of the attacker", func(t *testing.T) {
		// The attacker begins at the honest client and has the user open the address.
		address, _ := shop.start(mallory)
		victims := w.Browser()
		q := victims.Sent(t, address)
		// The browser brings the code to the client, which never sent this browser away.
		if _, err := shop.receive(victims, q); err == nil {
			t.Error("the response was taken in a browser that did not begin")
		}
	})
}

// Covers: AM-02, SP-18, BC-02, ATTACK-01, ATTACK-04. The attacker runs a client, or an authorization server at which the
// same client is registered with the same key.
func TestAM02WebAttacker(t *testing.T) {
	t.Parallel()
	honest, _ := fapitest.NewFullWorld(t)
	attackers, _ := fapitest.NewFullWorld(t) // the attacker's authorization server
	shop := newRelyingParty(honest, "shop", fapitest.AllScopes)
	there := *shop.Client // the same client, as the attacker's server knows it
	there.World = attackers
	t.Run("accepts an assertion at the server that it is for", func(t *testing.T) {
		if r := shop.Push(nil); r.Status != http.StatusCreated {
			t.Fatalf("answered %d %s", r.Status, r.Raw)
		}
	})
	t.Run("refuses an assertion that the client made for the attacker's server", func(t *testing.T) {
		collected := there.ClientAssertion(nil)
		fapitest.WantError(t, shop.Push(fapitest.Set("client_assertion", collected)), 401, "invalid_client")
	})
	t.Run("refuses an assertion for an address that the attacker's metadata names", func(t *testing.T) {
		// The attacker's metadata says that its token endpoint is the honest one; some clients take that for aud.
		for _, audience := range []any{
			honest.Issuer + "/token", honest.Issuer + "/par", honest.MTLSIssuer, honest.MTLSIssuer + "/token", honest.Issuer + "/", []any{honest.Issuer},
			[]any{attackers.Issuer, honest.Issuer}, []any{honest.Issuer, honest.Issuer + "/token"},
		} {
			fapitest.WantError(t, shop.Push(shop.ReplaceAssertion(fapitest.SetClaim("aud", audience))), 401, "invalid_client")
		}
	})
	t.Run("refuses a proof that the client made for the attacker's server", func(t *testing.T) {
		collected := there.Proof("POST", attackers.Issuer+"/par", "", nil)
		fapitest.WantError(t, shop.Push(fapitest.SetHeader("DPoP", collected)), 400, "invalid_dpop_proof")
	})
	t.Run("refuses a token of the attacker's server", func(t *testing.T) {
		copied := attackers.Register("shop", func(c *fapitest.Client, m map[string]any) {
			fapitest.AllScopes(c, m)
			c.Key, c.ProofKey = shop.Key, shop.ProofKey
			m["jwks"] = fapitest.KeySet(c.Key.PublicJWK())
		})
		foreign := copied.Tokens()
		fapitest.WantOK(t, copied.Get("/userinfo", foreign.Text("access_token"), nil))
		// Both servers of this test sign with one key, so that only the claims are left to tell them apart.
		fapitest.WantError(t, shop.Get("/userinfo", foreign.Text("access_token"), nil), 401, "invalid_token")
		fapitest.WantError(t, shop.Refresh(foreign.Text("refresh_token"), nil), 400, "invalid_grant")
		fapitest.WantError(t, shop.Push(fapitest.Set("id_token_hint", foreign.Text("id_token"))), 400, "invalid_request")
		fapitest.WantInactive(t, honest.ResourceServer("self", honest.Issuer, attackers.Issuer).Introspect(foreign.Text("access_token"), nil))
	})
	t.Run("refuses a mix-up: the response names the server that made it", func(t *testing.T) {
		b := honest.Browser()
		address, _ := shop.start(b)
		q := b.Sent(t, address)
		deceived := relyingParty{Client: &there, pending: shop.pending} // believes that it talks to the attacker's server
		if _, err := deceived.receive(b, q); err == nil {
			t.Error("a response of the honest server was taken to the attacker's token endpoint")
		}
		if issued, err := shop.receive(b, q); err != nil || issued.Status != http.StatusOK {
			t.Errorf("the right server: %v %s", err, issued.Raw)
		}
	})
	t.Run("refuses the attacker's client a request of another", func(t *testing.T) {
		evil := newRelyingParty(honest, "evil", fapitest.AllScopes)
		b := honest.Browser()
		address, _ := shop.start(b)
		stolen, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		status, _, sentTo := b.Visit(honest.AuthorizeURL(evil.ID, stolen.Query().Get("request_uri")))
		if sentTo != nil || status < 400 {
			t.Errorf("answered %d, sent to %v", status, sentTo)
		}
	})
}

// Covers: AM-01. Nobody else reaches a user's resources, signs in as that user, or makes a user use the attacker's.
func TestAM01Goals(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c, attacker := w.Register("client-1", nil), w.Register("attacker", nil)
	issued := c.Tokens()
	t.Run("accepts a user's own client", func(t *testing.T) {
		if r := c.Get("/accounts", issued.Text("access_token"), nil); r.Status != 200 || r.Text("owner") != "sub-alice" {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
	t.Run("refuses a stolen access token", func(t *testing.T) {
		fapitest.WantError(t, attacker.Get("/accounts", issued.Text("access_token"), nil), 401, "invalid_token")
	})
	t.Run("refuses a stolen refresh token", func(t *testing.T) {
		fapitest.WantError(t, attacker.Refresh(issued.Text("refresh_token"), nil), 400, "invalid_grant")
	})
	t.Run("refuses a stolen code", func(t *testing.T) {
		fapitest.WantError(t, attacker.Redeem(c.Authorize(), nil), 400, "invalid_grant")
	})
	t.Run("refuses a stolen code that its client is made to redeem in the attacker's session", func(t *testing.T) {
		fapitest.WantError(t, c.Redeem(c.Authorize(), fapitest.Set("code_verifier", strings.Repeat("a", 43))), 400, "invalid_grant")
	})
	t.Run("refuses the attacker's code in the victim's session", func(t *testing.T) {
		session := fapitest.Set("code_challenge", fapitest.CodeChallenge(strings.Repeat("a", 43)))
		fapitest.WantError(t, c.Redeem(c.Redirected(t, session).Query().Get("code"), nil), 400, "invalid_grant")
	})
}

// Covers: AM-02, ATTACK-01. What a client shows to a server of the attacker's opens nothing here.
func TestAM02AttackersServer(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	const evil = "https://attacker.example"
	fapitest.TryAll(t, c.Push, fapitest.Good("what was made for this server", nil),
		fapitest.Bad("an assertion that was made for the attacker's", c.ReplaceAssertion(fapitest.SetClaim("aud", evil)), 401, "invalid_client"),
		fapitest.Bad("one that was made for both", c.ReplaceAssertion(fapitest.SetClaim("aud", []string{evil, w.Issuer})), 401, "invalid_client"),
		fapitest.Bad("a proof that was made for the attacker's", func(_ url.Values, h http.Header) { h.Set("DPoP", c.Proof("POST", evil+"/par", "", nil)) }, 400, "invalid_dpop_proof"))
	token := c.Tokens().Text("access_token")
	t.Run("refuses a proof that was made for the attacker's resource", func(t *testing.T) {
		fapitest.WantError(t, c.Get("/accounts", token, func(h http.Header) { h.Set("DPoP", c.Proof("GET", evil+"/accounts", token, nil)) }), 401, "invalid_dpop_proof")
	})
	t.Run("refuses a token of the attacker's server in this one's name", func(t *testing.T) {
		_, body := w.Verify(token)
		forged := c.Sign(fapitest.NewKey(t, jose.ES256), "at+jwt", body)
		fapitest.WantError(t, c.Get("/accounts", forged, nil), 401, "invalid_token")
	})
	t.Run("accepts responses that tell the servers apart", func(t *testing.T) {
		if got := c.Redirected(t, nil).Query().Get("iss"); got != w.Issuer || got == evil {
			t.Errorf("iss %s", got)
		}
	})
}
