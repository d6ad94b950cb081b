package fapi_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/mtls"
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

// Covers: AM-03, SP-01, SP-02. The attacker controls the network: nothing is answered without TLS, nor with an old one, and
// the server's certificate is what tells it apart.
func TestAM03NetworkAttacker(t *testing.T) {
	w, _ := wholeWorld(t)
	for name, base := range map[string]string{"the listener for browsers": w.issuer, "the listener for certificates": w.mtls} {
		host := strings.TrimPrefix(base, "https://")
		dial := func(change func(*tls.Config)) error {
			config := &tls.Config{RootCAs: w.roots}
			if change != nil {
				change(config)
			}
			connection, err := tls.Dial("tcp", host, config)
			if err == nil {
				err = connection.Close()
			}
			return err
		}
		t.Run("accepts TLS 1.2 and 1.3 at "+name, func(t *testing.T) {
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				if err := dial(func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version }); err != nil {
					t.Errorf("%s: %v", tls.VersionName(version), err)
				}
			}
		})
		t.Run("refuses older versions at "+name, func(t *testing.T) {
			for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
				if err := dial(func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version }); err == nil {
					t.Errorf("%s was spoken", tls.VersionName(version))
				}
			}
		})
		t.Run("refuses plain HTTP at "+name, func(t *testing.T) {
			connection, err := net.Dial("tcp", host)
			if err != nil {
				t.Fatal(err)
			}
			defer connection.Close()
			if _, err := fmt.Fprintf(connection, "GET /.well-known/openid-configuration HTTP/1.1\r\nHost: %s\r\n\r\n", host); err != nil {
				t.Fatal(err)
			}
			response, err := http.ReadResponse(bufio.NewReader(connection), nil)
			if err != nil {
				return // the connection was closed: as good
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusBadRequest || response.Header.Get("Content-Type") == "application/json" {
				t.Errorf("answered %d %v", response.StatusCode, response.Header)
			}
		})
	}
	t.Run("refuses to be mistaken: every address that it tells is https and its own", func(t *testing.T) {
		for name, value := range w.document() {
			if text, ok := value.(string); ok && !strings.HasPrefix(text, w.issuer) {
				t.Errorf("%s: %s", name, text)
			}
		}
	})
	t.Run("refuses browsers a way back to plain HTTP", func(t *testing.T) {
		response, _ := w.ask(t, http.MethodGet, w.issuer+"/authorize", nil, "")
		if !strings.Contains(response.Header.Get("Strict-Transport-Security"), "max-age=") {
			t.Errorf("headers %v", response.Header)
		}
	})
}

// Covers: AM-04, PA-09, ATTACK-05. The attacker reads the authorization request, client_id and request_uri: it is of no use
// to anybody but the browser and the client that it is for.
func TestAM04RequestIsRead(t *testing.T) {
	w, p := wholeWorld(t)
	shop, evil := w.relyingParty("shop", wide), w.relyingParty("evil", wide)
	victims := w.browser()
	begin := func(t *testing.T) (address, requestURI string) {
		address, _ = shop.start(victims)
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		return address, u.Query().Get("request_uri")
	}
	t.Run("accepts the person's own browser, though the attacker looked first", func(t *testing.T) {
		address, _ := begin(t)
		p.does("wait")
		w.browser().visit(address)
		p.does("allow")
		issued, err := shop.receive(victims, victims.sent(t, address))
		if err != nil {
			t.Fatal(err)
		}
		wantActive(t, issued)
	})
	t.Run("refuses it for another client", func(t *testing.T) {
		_, requestURI := begin(t)
		if status, _, sentTo := w.browser().visit(w.authorizeURL(evil.id, requestURI)); sentTo != nil || status < 400 {
			t.Errorf("answered %d, sent to %v", status, sentTo)
		}
		wantError(t, evil.push(set("request_uri", requestURI)), 400, "invalid_request")
		wantError(t, evil.redeem(requestURI, nil), 400, "invalid_grant")
	})
	t.Run("refuses the attacker, who answers it, a session at the client", func(t *testing.T) {
		address, _ := begin(t)
		attackers := w.browser()
		p.is("sub-bob", byPassword)
		q := attackers.sent(t, address)
		p.is("sub-alice", byPassword)
		if _, err := shop.receive(attackers, q); err == nil {
			t.Error("the response was taken in the attacker's browser")
		}
		// Nor can the attacker redeem it: neither key nor verifier was in the request.
		wantError(t, evil.redeem(q.Get("code"), nil), 400, "invalid_grant")
		wantSent(t, victims.sent(t, address), "invalid_request_uri") // once answered, it is over
	})
	t.Run("refuses it after its time", func(t *testing.T) {
		address, _ := begin(t)
		w.clock.Advance(time.Minute)
		wantSent(t, w.browser().sent(t, address), "invalid_request_uri")
	})
	t.Run("refuses to tell what was pushed", func(t *testing.T) {
		address, _ := begin(t)
		for _, secret := range []string{"code_challenge", "nonce", "scope", "redirect_uri", "state"} {
			if strings.Contains(address, secret) {
				t.Errorf("the address tells %s: %s", secret, address)
			}
		}
	})
}

// Covers: AM-05. A client that was made to send its token request to the attacker's token endpoint hands over code, verifier,
// assertion and proof. They are of no use at the honest one; and the metadata of the honest server leads nowhere else.
func TestAM05FalseTokenEndpoint(t *testing.T) {
	w, _ := wholeWorld(t)
	shop := w.register("shop", wide)
	const elsewhere = "https://token.attacker.example/token"
	collected := func(t *testing.T) (code string, form url.Values, header http.Header) {
		code = shop.authorize()
		form = url.Values{"client_assertion": {shop.clientAssertion(nil)}, "code_verifier": {verifier}}
		return code, form, http.Header{"Dpop": {shop.proof("POST", elsewhere, "", nil)}}
	}
	replay := func(form url.Values) change {
		return func(f url.Values, _ http.Header) {
			for name := range form {
				f[name] = form[name]
			}
		}
	}
	t.Run("accepts the endpoints of the server's own metadata", func(t *testing.T) {
		if got := w.document()["token_endpoint"]; got != w.issuer+"/token" {
			t.Errorf("token_endpoint %v", got)
		}
		wantActive(t, shop.redeem(shop.authorize(), nil))
	})
	t.Run("refuses the proof that was made for another address", func(t *testing.T) {
		code, form, header := collected(t)
		r := shop.redeem(code, changes(replay(form), setHeader("DPoP", header.Get("DPoP"))))
		wantError(t, r, 400, "invalid_dpop_proof")
	})
	t.Run("refuses a proof with the attacker's key", func(t *testing.T) {
		code, form, _ := collected(t)
		attacker := *shop
		attacker.proofKey = newKey(t, "ES256")
		r := attacker.redeem(code, replay(form))
		wantError(t, r, 400, "invalid_grant")
	})
	t.Run("refuses no proof", func(t *testing.T) {
		code, form, _ := collected(t)
		wantError(t, shop.redeem(code, changes(replay(form), func(_ url.Values, h http.Header) { h.Del("DPoP") })), 400, "invalid_request")
	})
	t.Run("refuses the code of a client with a certificate without that certificate", func(t *testing.T) {
		bank := w.register("bank", withCertificate)
		wantError(t, bank.showing(nil).redeem(bank.authorize(), nil), 401, "invalid_client")
		wantError(t, bank.showing(ptr(authority{}.issue(t, bank.id, w.clock.Now()))).redeem(bank.authorize(), nil), 401, "invalid_client")
	})
}

// Covers: AM-06, SP-44, ATTACK-12, ATTACK-13, ATTACK-15. The attacker reads whole requests to a resource: token and proof.
func TestAM06ResourceRequestIsRead(t *testing.T) {
	for name, nonces := range map[string]bool{"with a nonce": true, "without nonces": false} {
		w, _ := wholeWorld(t, func(c *fapiConfig, _ *autoInteractor) { c.RequireDPoPNonce = nonces })
		shop := w.register("shop", wide)
		var nonce string
		if nonces {
			nonce = shop.push(nil).header.Get("DPoP-Nonce")
		}
		fresh := func(b claims) {
			if nonces {
				b["nonce"] = nonce
			}
		}
		withNonce := func(path string) change {
			return func(_ url.Values, h http.Header) { h.Set("DPoP", shop.proof("POST", w.issuer+path, "", fresh)) }
		}
		pushed := shop.push(withNonce("/par")).text("request_uri")
		code := w.browser().sent(t, w.authorizeURL(shop.id, pushed)).Get("code")
		issued := shop.redeem(code, withNonce("/token"))
		wantActive(t, issued)
		token := issued.text("access_token")
		read := shop.proof("GET", w.issuer+"/accounts", token, fresh)
		using := func(proof string) func(http.Header) { return func(h http.Header) { h.Set("DPoP", proof) } }
		t.Run("accepts the client's request, "+name, func(t *testing.T) {
			wantActive(t, shop.get("/accounts", token, using(read)))
		})
		t.Run("refuses the same request again, "+name, func(t *testing.T) {
			wantError(t, shop.get("/accounts", token, using(read)), 401, "invalid_dpop_proof")
		})
		t.Run("refuses its proof anywhere else, "+name, func(t *testing.T) {
			unused := shop.proof("GET", w.issuer+"/accounts", token, fresh)
			wantError(t, shop.get("/userinfo", token, using(unused)), 401, "invalid_dpop_proof")
			request, err := http.NewRequest(http.MethodPost, w.issuer+"/userinfo", nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header = http.Header{"Authorization": {"DPoP " + token}, "Dpop": {unused}}
			wantError(t, shop.do(request), 401, "invalid_dpop_proof")
			wantError(t, shop.refresh(issued.text("refresh_token"), setHeader("DPoP", unused)), 400, "invalid_dpop_proof")
		})
		t.Run("refuses the token with the attacker's key, "+name, func(t *testing.T) {
			attacker := *shop
			attacker.proofKey = newKey(t, "ES256")
			wantError(t, shop.get("/accounts", token, using(attacker.proof("GET", w.issuer+"/accounts", token, fresh))), 401, "invalid_token")
		})
		t.Run("refuses the token as a bearer token, "+name, func(t *testing.T) {
			wantError(t, shop.get("/accounts", token, func(h http.Header) { h.Set("Authorization", "Bearer "+token); h.Del("DPoP") }), 401, "invalid_token")
		})
		t.Run("refuses its proof with another token, "+name, func(t *testing.T) {
			other := shop.refresh(issued.text("refresh_token"), withNonce("/token")).text("access_token")
			unused := shop.proof("GET", w.issuer+"/accounts", token, fresh)
			wantError(t, shop.get("/accounts", other, using(unused)), 401, "invalid_dpop_proof")
		})
		t.Run("refuses the token after its short life, "+name, func(t *testing.T) {
			w.clock.Advance(5 * time.Minute)
			wantError(t, shop.get("/accounts", token, nil), 401, "invalid_token")
		})
		if nonces {
			t.Run("refuses a proof that was made in advance", func(t *testing.T) {
				now := w.clock.Now().Unix()
				r := shop.push(setHeader("DPoP", shop.proof("POST", w.issuer+"/par", "", func(b claims) { b["nonce"], b["iat"] = random(), now })))
				wantError(t, r, 400, "use_dpop_nonce")
				if r.header.Get("DPoP-Nonce") == "" {
					t.Error("no nonce is offered")
				}
			})
		}
	}
	t.Run("refuses a token that is bound to a certificate over another connection", func(t *testing.T) {
		w, _ := wholeWorld(t)
		bank := w.register("bank", withCertificate)
		token := bank.tokens().text("access_token")
		wantActive(t, bank.get("/accounts", token, nil))
		stolen := w.clientCA.issue(t, bank.id, w.clock.Now()) // the same name, another key
		if mtls.Thumbprint(stolen.Leaf) == mtls.Thumbprint(bank.certificate.Leaf) {
			t.Fatal("the two certificates are one")
		}
		wantError(t, bank.showing(&stolen).get("/accounts", token, nil), 401, "invalid_token")
		wantError(t, bank.showing(nil).get("/accounts", token, nil), 401, "invalid_token")
	})
}

// Covers: AM-07, SP-21, SP-33, ATTACK-08. Whoever reads an authorization response is outside of the attacker model; a code is
// short-lived, bound and used once all the same.
func TestAM07ResponseIsRead(t *testing.T) {
	w, _ := wholeWorld(t)
	shop, evil := w.relyingParty("shop", wide), w.relyingParty("evil", wide)
	victims := w.browser()
	respond := func(t *testing.T) url.Values {
		address, _ := shop.start(victims)
		return victims.sent(t, address)
	}
	t.Run("accepts the person's own browser, though the response was read", func(t *testing.T) {
		q := respond(t)
		wantError(t, evil.redeem(q.Get("code"), nil), 400, "invalid_grant")
		issued, err := shop.receive(victims, q)
		if err != nil {
			t.Fatal(err)
		}
		wantActive(t, issued)
	})
	t.Run("refuses the code after its use, and ends what it bought", func(t *testing.T) {
		q := respond(t)
		verifier := shop.pending[q.Get("state")].verifier
		issued, err := shop.receive(victims, q)
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, shop.redeem(q.Get("code"), set("code_verifier", verifier)), 400, "invalid_grant")
		wantError(t, shop.get("/accounts", issued.text("access_token"), nil), 401, "invalid_token")
	})
	t.Run("refuses the code after its time", func(t *testing.T) {
		q := respond(t)
		w.clock.Advance(time.Minute)
		r, err := shop.receive(victims, q)
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, r, 400, "invalid_grant")
	})
	t.Run("refuses the code in another session of the same client", func(t *testing.T) {
		q := respond(t)
		attackers := w.browser()
		_, state := shop.start(attackers)
		q.Set("state", state)
		r, err := shop.receive(attackers, q)
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, r, 400, "invalid_grant")
	})
	t.Run("refuses the code with another key", func(t *testing.T) {
		q := respond(t)
		other := *shop.client
		other.proofKey = newKey(t, "ES256")
		wantError(t, other.redeem(q.Get("code"), set("code_verifier", shop.pending[q.Get("state")].verifier)), 400, "invalid_grant")
	})
}
