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

	"countersign/fapi/fapitest"
	"countersign/mtls"
)

// Covers: AM-03, SP-01, SP-02. The attacker controls the network: nothing is answered without TLS, nor with an old one, and
// the server's certificate is what tells it apart.
func TestAM03NetworkAttacker(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	for name, base := range map[string]string{"the listener for browsers": w.Issuer, "the listener for certificates": w.MTLSIssuer} {
		host := strings.TrimPrefix(base, "https://")
		dial := func(change func(*tls.Config)) error {
			config := &tls.Config{RootCAs: w.Roots}
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
		for name, value := range w.Document() {
			if text, ok := value.(string); ok && !strings.HasPrefix(text, w.Issuer) {
				t.Errorf("%s: %s", name, text)
			}
		}
	})
	t.Run("refuses browsers a way back to plain HTTP", func(t *testing.T) {
		response, _ := w.Request(t, http.MethodGet, w.Issuer+"/authorize", nil, "")
		if !strings.Contains(response.Header.Get("Strict-Transport-Security"), "max-age=") {
			t.Errorf("headers %v", response.Header)
		}
	})
}

// Covers: AM-04, PA-09, ATTACK-05. The attacker reads the authorization request, client_id and request_uri: it is of no use
// to anybody but the browser and the client that it is for.
func TestAM04RequestIsRead(t *testing.T) {
	t.Parallel()
	w, p := fapitest.NewFullWorld(t)
	shop, evil := newRelyingParty(w, "shop", fapitest.AllScopes), newRelyingParty(w, "evil", fapitest.AllScopes)
	victims := w.Browser()
	begin := func(t *testing.T) (address, requestURI string) {
		address, _ = shop.start(victims)
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		return address, u.Query().Get("request_uri")
	}
	t.Run("accepts the user's own browser, though the attacker looked first", func(t *testing.T) {
		address, _ := begin(t)
		p.Does("wait")
		w.Browser().Visit(address)
		p.Does("allow")
		issued, err := shop.receive(victims, victims.Sent(t, address))
		if err != nil {
			t.Fatal(err)
		}
		fapitest.WantOK(t, issued)
	})
	t.Run("refuses it for another client", func(t *testing.T) {
		_, requestURI := begin(t)
		if status, _, sentTo := w.Browser().Visit(w.AuthorizeURL(evil.ID, requestURI)); sentTo != nil || status < 400 {
			t.Errorf("answered %d, sent to %v", status, sentTo)
		}
		fapitest.WantError(t, evil.Push(fapitest.Set("request_uri", requestURI)), 400, "invalid_request")
		fapitest.WantError(t, evil.Redeem(requestURI, nil), 400, "invalid_grant")
	})
	t.Run("refuses the attacker, who answers it, a session at the client", func(t *testing.T) {
		address, _ := begin(t)
		attackers := w.Browser()
		p.Is("sub-bob", fapitest.ACRPassword)
		q := attackers.Sent(t, address)
		p.Is("sub-alice", fapitest.ACRPassword)
		if _, err := shop.receive(attackers, q); err == nil {
			t.Error("the response was taken in the attacker's browser")
		}
		// Nor can the attacker redeem it: neither key nor verifier was in the request.
		fapitest.WantError(t, evil.Redeem(q.Get("code"), nil), 400, "invalid_grant")
		fapitest.WantRedirectError(t, victims.Sent(t, address), "invalid_request_uri") // once answered, it is over
	})
	t.Run("refuses it after its time", func(t *testing.T) {
		address, _ := begin(t)
		w.Clock.Advance(time.Minute)
		fapitest.WantRedirectError(t, w.Browser().Sent(t, address), "invalid_request_uri")
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
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	shop := w.Register("shop", fapitest.AllScopes)
	const elsewhere = "https://token.attacker.example/token"
	collected := func(t *testing.T) (code string, form url.Values, header http.Header) {
		code = shop.Authorize()
		form = url.Values{"client_assertion": {shop.ClientAssertion(nil)}, "code_verifier": {fapitest.CodeVerifier}}
		return code, form, http.Header{"Dpop": {shop.Proof("POST", elsewhere, "", nil)}}
	}
	replay := func(form url.Values) fapitest.Change {
		return func(f url.Values, _ http.Header) {
			for name := range form {
				f[name] = form[name]
			}
		}
	}
	t.Run("accepts the endpoints of the server's own metadata", func(t *testing.T) {
		if got := w.Document()["token_endpoint"]; got != w.Issuer+"/token" {
			t.Errorf("token_endpoint %v", got)
		}
		fapitest.WantOK(t, shop.Redeem(shop.Authorize(), nil))
	})
	t.Run("refuses the proof that was made for another address", func(t *testing.T) {
		code, form, header := collected(t)
		r := shop.Redeem(code, fapitest.Changes(replay(form), fapitest.SetHeader("DPoP", header.Get("DPoP"))))
		fapitest.WantError(t, r, 400, "invalid_dpop_proof")
	})
	t.Run("refuses a proof with the attacker's key", func(t *testing.T) {
		code, form, _ := collected(t)
		attacker := *shop
		attacker.ProofKey = fapitest.NewKey(t, "ES256")
		r := attacker.Redeem(code, replay(form))
		fapitest.WantError(t, r, 400, "invalid_grant")
	})
	t.Run("refuses no proof", func(t *testing.T) {
		code, form, _ := collected(t)
		fapitest.WantError(t, shop.Redeem(code, fapitest.Changes(replay(form), func(_ url.Values, h http.Header) { h.Del("DPoP") })), 400, "invalid_request")
	})
	t.Run("refuses the code of a client with a certificate without that certificate", func(t *testing.T) {
		bank := w.Register("bank", fapitest.TLSClientAuth)
		fapitest.WantError(t, bank.WithCertificate(nil).Redeem(bank.Authorize(), nil), 401, "invalid_client")
		fapitest.WantError(t, bank.WithCertificate(new(fapitest.Authority{}.Issue(t, bank.ID, w.Clock.Now()))).Redeem(bank.Authorize(), nil), 401, "invalid_client")
	})
}

// Covers: AM-06, SP-44, ATTACK-12, ATTACK-13, ATTACK-15. The attacker reads whole requests to a resource: token and proof.
func TestAM06ResourceRequestIsRead(t *testing.T) {
	t.Parallel()
	for name, nonces := range map[string]bool{"with a nonce": true, "without nonces": false} {
		w, _ := fapitest.NewFullWorld(t, func(c *fapitest.Config) { c.RequireDPoPNonce = nonces })
		shop := w.Register("shop", fapitest.AllScopes)
		var nonce string
		if nonces {
			nonce = shop.Push(nil).Header.Get("DPoP-Nonce")
		}
		fresh := func(b fapitest.Claims) {
			if nonces {
				b["nonce"] = nonce
			}
		}
		withNonce := func(path string) fapitest.Change {
			return func(_ url.Values, h http.Header) { h.Set("DPoP", shop.Proof("POST", w.Issuer+path, "", fresh)) }
		}
		pushed := shop.Push(withNonce("/par")).Text("request_uri")
		code := w.Browser().Sent(t, w.AuthorizeURL(shop.ID, pushed)).Get("code")
		issued := shop.Redeem(code, withNonce("/token"))
		fapitest.WantOK(t, issued)
		token := issued.Text("access_token")
		read := shop.Proof("GET", w.Issuer+"/accounts", token, fresh)
		using := func(proof string) func(http.Header) { return func(h http.Header) { h.Set("DPoP", proof) } }
		t.Run("accepts the client's request, "+name, func(t *testing.T) {
			fapitest.WantOK(t, shop.Get("/accounts", token, using(read)))
		})
		t.Run("refuses the same request again, "+name, func(t *testing.T) {
			fapitest.WantError(t, shop.Get("/accounts", token, using(read)), 401, "invalid_dpop_proof")
		})
		t.Run("refuses its proof anywhere else, "+name, func(t *testing.T) {
			unused := shop.Proof("GET", w.Issuer+"/accounts", token, fresh)
			fapitest.WantError(t, shop.Get("/userinfo", token, using(unused)), 401, "invalid_dpop_proof")
			request, err := http.NewRequest(http.MethodPost, w.Issuer+"/userinfo", nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header = http.Header{"Authorization": {"DPoP " + token}, "Dpop": {unused}}
			fapitest.WantError(t, shop.Do(request), 401, "invalid_dpop_proof")
			fapitest.WantError(t, shop.Refresh(issued.Text("refresh_token"), fapitest.SetHeader("DPoP", unused)), 400, "invalid_dpop_proof")
		})
		t.Run("refuses the token with the attacker's key, "+name, func(t *testing.T) {
			attacker := *shop
			attacker.ProofKey = fapitest.NewKey(t, "ES256")
			fapitest.WantError(t, shop.Get("/accounts", token, using(attacker.Proof("GET", w.Issuer+"/accounts", token, fresh))), 401, "invalid_token")
		})
		t.Run("refuses the token as a bearer token, "+name, func(t *testing.T) {
			fapitest.WantError(t, shop.Get("/accounts", token, func(h http.Header) { h.Set("Authorization", "Bearer "+token); h.Del("DPoP") }), 401, "invalid_token")
		})
		t.Run("refuses its proof with another token, "+name, func(t *testing.T) {
			other := shop.Refresh(issued.Text("refresh_token"), withNonce("/token")).Text("access_token")
			unused := shop.Proof("GET", w.Issuer+"/accounts", token, fresh)
			fapitest.WantError(t, shop.Get("/accounts", other, using(unused)), 401, "invalid_dpop_proof")
		})
		t.Run("refuses the token after its short life, "+name, func(t *testing.T) {
			w.Clock.Advance(5 * time.Minute)
			fapitest.WantError(t, shop.Get("/accounts", token, nil), 401, "invalid_token")
		})
		if nonces {
			t.Run("refuses a proof that was made in advance", func(t *testing.T) {
				now := w.Clock.Now().Unix()
				r := shop.Push(fapitest.SetHeader("DPoP", shop.Proof("POST", w.Issuer+"/par", "", func(b fapitest.Claims) { b["nonce"], b["iat"] = fapitest.RandomString(), now })))
				fapitest.WantError(t, r, 400, "use_dpop_nonce")
				if r.Header.Get("DPoP-Nonce") == "" {
					t.Error("no nonce is offered")
				}
			})
		}
	}
	t.Run("refuses a token that is bound to a certificate over another connection", func(t *testing.T) {
		t.Parallel()
		w, _ := fapitest.NewFullWorld(t)
		bank := w.Register("bank", fapitest.TLSClientAuth)
		token := bank.Tokens().Text("access_token")
		fapitest.WantOK(t, bank.Get("/accounts", token, nil))
		stolen := w.ClientCA.Issue(t, bank.ID, w.Clock.Now()) // the same name, another key
		if mtls.Thumbprint(stolen.Leaf) == mtls.Thumbprint(bank.Certificate.Leaf) {
			t.Fatal("the two certificates are one")
		}
		fapitest.WantError(t, bank.WithCertificate(&stolen).Get("/accounts", token, nil), 401, "invalid_token")
		fapitest.WantError(t, bank.WithCertificate(nil).Get("/accounts", token, nil), 401, "invalid_token")
	})
}

// Covers: AM-07, SP-21, SP-33, ATTACK-08. Whoever reads an authorization response is outside of the attacker model; a code is
// short-lived, bound and used once all the same.
func TestAM07ResponseIsRead(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	shop, evil := newRelyingParty(w, "shop", fapitest.AllScopes), newRelyingParty(w, "evil", fapitest.AllScopes)
	victims := w.Browser()
	respond := func(t *testing.T) url.Values {
		address, _ := shop.start(victims)
		return victims.Sent(t, address)
	}
	t.Run("accepts the user's own browser, though the response was read", func(t *testing.T) {
		q := respond(t)
		fapitest.WantError(t, evil.Redeem(q.Get("code"), nil), 400, "invalid_grant")
		issued, err := shop.receive(victims, q)
		if err != nil {
			t.Fatal(err)
		}
		fapitest.WantOK(t, issued)
	})
	t.Run("refuses the code after its use, and ends what it issued", func(t *testing.T) {
		q := respond(t)
		verifier := shop.pending[q.Get("state")].verifier
		issued, err := shop.receive(victims, q)
		if err != nil {
			t.Fatal(err)
		}
		fapitest.WantError(t, shop.Redeem(q.Get("code"), fapitest.Set("code_verifier", verifier)), 400, "invalid_grant")
		fapitest.WantError(t, shop.Get("/accounts", issued.Text("access_token"), nil), 401, "invalid_token")
	})
	t.Run("refuses the code after its time", func(t *testing.T) {
		q := respond(t)
		w.Clock.Advance(time.Minute)
		r, err := shop.receive(victims, q)
		if err != nil {
			t.Fatal(err)
		}
		fapitest.WantError(t, r, 400, "invalid_grant")
	})
	t.Run("refuses the code in another session of the same client", func(t *testing.T) {
		q := respond(t)
		attackers := w.Browser()
		_, state := shop.start(attackers)
		q.Set("state", state)
		r, err := shop.receive(attackers, q)
		if err != nil {
			t.Fatal(err)
		}
		fapitest.WantError(t, r, 400, "invalid_grant")
	})
	t.Run("refuses the code with another key", func(t *testing.T) {
		q := respond(t)
		other := *shop.Client
		other.ProofKey = fapitest.NewKey(t, "ES256")
		fapitest.WantError(t, other.Redeem(q.Get("code"), fapitest.Set("code_verifier", shop.pending[q.Get("state")].verifier)), 400, "invalid_grant")
	})
}
