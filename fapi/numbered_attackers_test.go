package fapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
)

// relyingParty is an honest client application: it remembers, for each browser, what it asked for, and accepts a response
// only if it belongs to that browser and comes from the server that it asked (RFC 9700 §4.4, RFC 9207 §2.4).
type relyingParty struct {
	*client
	// pending are the states that were sent, with the browser and the verifier of each.
	pending map[string]startedFlow
}

type startedFlow struct {
	browser  *browser
	verifier string
}

// start pushes a request for a browser, as a click on "sign in" does, and gives the address that the browser is sent to.
func (rp *relyingParty) start(b *browser) (address, state string) {
	rp.w.t.Helper()
	state = random()
	flow := startedFlow{b, random() + random()}
	pushed := rp.push(changes(set("state", state), set("code_challenge", challenge(flow.verifier))))
	if pushed.status != http.StatusCreated {
		rp.w.t.Fatalf("push: %d %s", pushed.status, pushed.raw)
	}
	rp.pending[state] = flow
	return rp.w.authorizeURL(rp.id, pushed.text("request_uri")), state
}

// receive is the redirect URI of the application. It gives the token response, or says why it does not go on.
func (rp *relyingParty) receive(b *browser, q url.Values) (reply, error) {
	rp.w.t.Helper()
	flow, known := rp.pending[q.Get("state")]
	switch {
	case !known || flow.browser != b:
		return reply{}, fmt.Errorf("the state is not one of this browser")
	case q.Get("iss") != rp.w.issuer:
		return reply{}, fmt.Errorf("the response is from %s and not from the server that was asked", q.Get("iss"))
	case q.Get("code") == "":
		return reply{}, fmt.Errorf("the server answered %s", q.Get("error"))
	}
	delete(rp.pending, q.Get("state"))
	return rp.redeem(q.Get("code"), set("code_verifier", flow.verifier)), nil
}

func (w *world) relyingParty(id string, change func(*client, map[string]any)) *relyingParty {
	w.t.Helper()
	return &relyingParty{w.register(id, change), map[string]startedFlow{}}
}

// page opens an address and gives that of the page on which the browser ends up.
func (b *browser) page(t *testing.T, address string) string {
	t.Helper()
	response, err := b.http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("answered %d, Location %s", response.StatusCode, response.Header.Get("Location"))
	}
	return response.Request.URL.String()
}

// sent gives where an address sends a browser, which must be back to a client.
func (b *browser) sent(t *testing.T, address string) url.Values {
	t.Helper()
	status, body, sentTo := b.visit(address)
	if sentTo == nil {
		t.Fatalf("the browser was not sent back: %d %s", status, body)
	}
	return sentTo.Query()
}

// Covers: AM-01, ATTACK-06, ATTACK-08, ATTACK-37, BC-04. The goals: nobody else reaches a person's resources, signs in as
// that person, or makes a person use the attacker's.
func TestAM01PeopleAndBrowsers(t *testing.T) {
	w, p := wholeWorld(t)
	shop := w.relyingParty("shop", wide)
	evil := w.relyingParty("evil", wide)
	alice, mallory := w.browser(), w.browser()
	t.Run("accepts each person to that person's own resources", func(t *testing.T) {
		for subject, b := range map[string]*browser{"sub-alice": alice, "sub-bob": mallory} {
			p.is(subject, byPassword)
			address, _ := shop.start(b)
			issued, err := shop.receive(b, b.sent(t, address))
			if err != nil {
				t.Fatal(err)
			}
			if r := shop.get("/accounts", issued.text("access_token"), nil); r.text("owner") != subject {
				t.Errorf("%s got %s", subject, r.raw)
			}
		}
	})
	p.is("sub-alice", byPassword)
	t.Run("refuses the attacker the code of a person: authorization", func(t *testing.T) {
		address, _ := shop.start(alice)
		stolen := alice.sent(t, address)
		// Through the attacker's own client.
		wantError(t, evil.redeem(stolen.Get("code"), nil), 400, "invalid_grant")
		// Injected into the attacker's own session at the honest client.
		_, state := shop.start(mallory)
		injected := url.Values{"code": stolen["code"], "iss": stolen["iss"], "state": {state}}
		r, err := shop.receive(mallory, injected)
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, r, 400, "invalid_grant")
		// The person's own session still works.
		issued, err := shop.receive(alice, stolen)
		if err != nil {
			t.Fatal(err)
		}
		wantActive(t, issued)
	})
	t.Run("refuses to finish in the attacker's browser what a person began: authentication", func(t *testing.T) {
		p.does("read")
		defer p.does("allow")
		b := w.browser()
		address, _ := shop.start(b)
		interaction := b.page(t, address)
		p.does("allow")
		for _, stranger := range []*browser{mallory, w.browser()} {
			if status, body, sentTo := stranger.visit(interaction); sentTo != nil || status < 400 {
				t.Errorf("answered %d %s, sent to %v", status, body, sentTo)
			}
		}
		if _, err := shop.receive(b, b.sent(t, interaction)); err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses to sign a person in as the attacker: session integrity", func(t *testing.T) {
		p.is("sub-bob", byPassword)
		defer p.is("sub-alice", byPassword)
		address, state := shop.start(mallory)
		attackers := mallory.sent(t, address)
		// The attacker's response, opened in the person's browser: another state, another verifier.
		if _, err := shop.receive(alice, attackers); err == nil {
			t.Error("the response of another browser was taken")
		}
		_, own := shop.start(alice)
		attackers.Set("state", own)
		r, err := shop.receive(alice, attackers)
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, r, 400, "invalid_grant")
		delete(shop.pending, state)
	})
	t.Run("refuses a person who finishes the attacker's request to end in a session of the attacker", func(t *testing.T) {
		// The attacker begins at the honest client and has the person open the address.
		address, _ := shop.start(mallory)
		victims := w.browser()
		q := victims.sent(t, address)
		// The browser brings the code to the client, which never sent this browser away.
		if _, err := shop.receive(victims, q); err == nil {
			t.Error("the response was taken in a browser that did not begin")
		}
	})
}

// Covers: AM-02, SP-18, BC-02, ATTACK-01, ATTACK-04. The attacker runs a client, or an authorization server at which the
// same client is registered with the same key.
func TestAM02WebAttacker(t *testing.T) {
	honest, _ := wholeWorld(t)
	attackers, _ := wholeWorld(t) // the attacker's authorization server
	shop := honest.relyingParty("shop", wide)
	there := *shop.client // the same client, as the attacker's server knows it
	there.w = attackers
	t.Run("accepts an assertion at the server that it is for", func(t *testing.T) {
		if r := shop.push(nil); r.status != http.StatusCreated {
			t.Fatalf("answered %d %s", r.status, r.raw)
		}
	})
	t.Run("refuses an assertion that the client made for the attacker's server", func(t *testing.T) {
		collected := there.clientAssertion(nil)
		wantError(t, shop.push(set("client_assertion", collected)), 401, "invalid_client")
	})
	t.Run("refuses an assertion for an address that the attacker's metadata names", func(t *testing.T) {
		// The attacker's metadata says that its token endpoint is the honest one; some clients take that for aud.
		for _, audience := range []any{
			honest.issuer + "/token", honest.issuer + "/par", honest.mtls, honest.mtls + "/token", honest.issuer + "/", []any{honest.issuer},
			[]any{attackers.issuer, honest.issuer}, []any{honest.issuer, honest.issuer + "/token"},
		} {
			wantError(t, shop.push(shop.asserting(claim("aud", audience))), 401, "invalid_client")
		}
	})
	t.Run("refuses a proof that the client made for the attacker's server", func(t *testing.T) {
		collected := there.proof("POST", attackers.issuer+"/par", "", nil)
		wantError(t, shop.push(setHeader("DPoP", collected)), 400, "invalid_dpop_proof")
	})
	t.Run("refuses a token of the attacker's server", func(t *testing.T) {
		copied := attackers.register("shop", func(c *client, m map[string]any) {
			wide(c, m)
			c.key, c.proofKey = shop.key, shop.proofKey
			m["jwks"] = keySet(c.key.PublicJWK())
		})
		foreign := copied.tokens()
		wantActive(t, copied.get("/userinfo", foreign.text("access_token"), nil))
		// Both servers of this test sign with one key, so that only the claims are left to tell them apart.
		wantError(t, shop.get("/userinfo", foreign.text("access_token"), nil), 401, "invalid_token")
		wantError(t, shop.refresh(foreign.text("refresh_token"), nil), 400, "invalid_grant")
		wantError(t, shop.push(set("id_token_hint", foreign.text("id_token"))), 400, "invalid_request")
		wantInactive(t, honest.resourceServer("self", honest.issuer, attackers.issuer).introspect(foreign.text("access_token"), nil))
	})
	t.Run("refuses a mix-up: the response names the server that made it", func(t *testing.T) {
		b := honest.browser()
		address, _ := shop.start(b)
		q := b.sent(t, address)
		deceived := relyingParty{&there, shop.pending} // believes that it talks to the attacker's server
		if _, err := deceived.receive(b, q); err == nil {
			t.Error("a response of the honest server was taken to the attacker's token endpoint")
		}
		if issued, err := shop.receive(b, q); err != nil || issued.status != http.StatusOK {
			t.Errorf("the right server: %v %s", err, issued.raw)
		}
	})
	t.Run("refuses the attacker's client a request of another", func(t *testing.T) {
		evil := honest.relyingParty("evil", wide)
		b := honest.browser()
		address, _ := shop.start(b)
		stolen, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		status, _, sentTo := b.visit(honest.authorizeURL(evil.id, stolen.Query().Get("request_uri")))
		if sentTo != nil || status < 400 {
			t.Errorf("answered %d, sent to %v", status, sentTo)
		}
	})
}
