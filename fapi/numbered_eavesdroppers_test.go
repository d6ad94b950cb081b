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
