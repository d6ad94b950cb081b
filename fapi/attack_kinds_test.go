package fapi_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"countersign/internal/audit"
	"countersign/internal/auditlog"
	"countersign/signer"
	"countersign/store"
)

// consumer is a place that takes a JWT.
type consumer struct {
	// kind is what it takes; typs are the values of typ that say so, in any case and also with "application/" before.
	kind string
	typs []string
	// adapt changes claims that fit every kind into those that fit here.
	adapt func(claims)
	// send tells whether it took the JWT, and checks the refusal otherwise.
	send func(t *testing.T, token string) bool
}

// consumers lists every place of the server that takes a JWT from outside. jwt is an access token that stands.
func consumers(c *client, self *client, jwt string) map[string]consumer {
	refused := func(t *testing.T, r reply, status int, code string) bool {
		t.Helper()
		if r.status < 300 {
			return true
		}
		wantError(t, r, status, code)
		return false
	}
	fresh := func(body claims) { body["jti"] = random() }
	proving := func(method, path string) func(claims) {
		return func(body claims) {
			fresh(body)
			body["htm"], body["htu"] = method, c.w.issuer+path
			body["ath"] = challenge(jwt) // the same hash (RFC 9449 §4.2)
		}
	}
	asRequest := consumer{"none", nil, nil, func(t *testing.T, token string) bool {
		return refused(t, c.push(set("request", token)), 400, "request_not_supported")
	}}
	if c.messages {
		asRequest = consumer{"request object", []string{"", "JWT", "oauth-authz-req+jwt"}, func(body claims) {
			delete(body, "sub")
			body["nbf"] = c.w.clock.Now().Unix()
			for name := range c.request() {
				body[name] = c.request().Get(name)
			}
		}, func(t *testing.T, token string) bool {
			r := c.push(set("request", token))
			if r.text("error") == "invalid_request" { // a signed backchannel request, which has no response_type
				return refused(t, r, 400, "invalid_request")
			}
			return refused(t, r, 400, "invalid_request_object")
		}}
	}
	// Whoever signs requests to resources is a client of its own, with the same keys.
	over := c.w.register("http-"+random(), all(signsHTTP, func(h *client, m map[string]any) {
		public, err := signer.PublicJWK(sharedKeys(c.w.t)[0])
		if err != nil {
			c.w.t.Fatal(err)
		}
		h.key, m["jwks"] = c.key, keySet(c.key.PublicJWK(), public)
	}))
	overToken := over.tokens().text("access_token")
	assertions, accessTokens, proofs := []string{"", "JWT", "client-authentication+jwt"}, []string{"at+jwt"}, []string{"dpop+jwt"}
	return map[string]consumer{
		"as a client assertion at PAR": {"assertion", assertions, fresh, func(t *testing.T, token string) bool {
			return refused(t, c.push(set("client_assertion", token)), 401, "invalid_client")
		}},
		"as a client assertion for revocation": {"assertion", assertions, fresh, func(t *testing.T, token string) bool {
			return refused(t, c.revoke("unknown", set("client_assertion", token)), 401, "invalid_client")
		}},
		"as a proof at PAR": {"proof for PAR", proofs, proving("POST", "/par"), func(t *testing.T, token string) bool {
			return refused(t, c.push(setHeader("DPoP", token)), 400, "invalid_dpop_proof")
		}},
		"as a proof at a resource": {"proof for a resource", proofs, proving("GET", "/accounts"), func(t *testing.T, token string) bool {
			r := c.get("/accounts", jwt, func(h http.Header) { h.Set("DPoP", token) })
			// A proof that stands, of another key than the token's, is refused for that alone.
			if strings.Contains(r.text("error_description"), "another key") {
				return true
			}
			return refused(t, r, 401, "invalid_dpop_proof")
		}},
		"as an access token": {"access token", accessTokens, nil, func(t *testing.T, token string) bool {
			return refused(t, c.get("/accounts", token, nil), 401, "invalid_token")
		}},
		"as an access token at UserInfo": {"access token", accessTokens, nil, func(t *testing.T, token string) bool {
			return refused(t, c.get("/userinfo", token, nil), 401, "invalid_token")
		}},
		"for introspection": {"access token", accessTokens, nil, func(t *testing.T, token string) bool {
			r := self.introspect(token, nil)
			if r.body["active"] != true {
				wantInactive(t, r)
			}
			return r.body["active"] == true
		}},
		"as a hint at a person": {"ID token", []string{"JWT"}, nil, func(t *testing.T, token string) bool {
			return refused(t, c.push(set("id_token_hint", token)), 400, "invalid_request")
		}},
		"as a refresh token": {"refresh token", nil, nil, func(t *testing.T, token string) bool {
			return refused(t, c.refresh(token, nil), 400, "invalid_grant")
		}},
		"as a code": {"code", nil, nil, func(t *testing.T, token string) bool {
			return refused(t, c.redeem(token, nil), 400, "invalid_grant")
		}},
		"as a request object": asRequest,
		"as a backchannel request": {"backchannel request", []string{"", "JWT", "oauth-authz-req+jwt"}, func(body claims) {
			delete(body, "sub")
			fresh(body)
			body["nbf"], body["iat"], body["exp"] = c.w.clock.Now().Unix(), c.w.clock.Now().Unix(), c.w.clock.Now().Unix()+300
			body["login_hint"] = "alice"
		}, func(t *testing.T, token string) bool {
			return refused(t, c.post("/backchannel", url.Values{"request": {token}}, nil), 400, "invalid_request")
		}},
		"as a checkpoint of the audit log": {"checkpoint", []string{audit.CheckpointType}, nil, func(t *testing.T, token string) bool {
			keys, err := auditlog.Keys(t.Context(), c.w.store)
			if err != nil {
				t.Fatal(err)
			}
			_, err = audit.ReadCheckpoint(token, keys)
			return err == nil
		}},
		"as the signature of an HTTP message": {"signature of an HTTP message", nil, nil, func(t *testing.T, token string) bool {
			// The signature of a JWS is made over something that no signature base begins with.
			value := token[strings.LastIndexByte(token, '.')+1:]
			return refused(t, over.get("/accounts", overToken, func(h http.Header) {
				h.Set("Signature-Input", `sig=("@method" "@target-uri" "authorization" "dpop");created=`+strconv.FormatInt(c.w.clock.Now().Unix(), 10)+`;tag="fapi-2-request"`)
				if decoded, err := decode64(value); err == nil {
					h.Set("Signature", "sig=:"+base64.StdEncoding.EncodeToString(decoded)+":")
				}
			}), 401, "invalid_request")
		}},
		"as a token to revoke": {"none", nil, nil, func(t *testing.T, token string) bool {
			// What is no access token is as good as revoked, or an ID token; jwt goes on to stand (RFC 7009 §2.2).
			if r := c.revoke(token, nil); r.status != http.StatusOK {
				wantError(t, r, 400, "unsupported_token_type")
			}
			return c.get("/accounts", jwt, nil).status != http.StatusOK
		}},
	}
}

// signedUserInfo registers JWTs from UserInfo.
func signedUserInfo(_ *client, m map[string]any) { m["userinfo_signed_response_alg"] = "PS256" }

// Covers: ATTACK-28, SP-45. Every JWT that the server makes or takes, at every place that takes one: each is good where it
// belongs, and nowhere else.
func TestAttack28EveryKindEverywhere(t *testing.T) {
	w, _ := wholeWorld(t, offering, withBackchannel(), chained)
	c := w.register("client-1", all(wide, signedUserInfo, signingAtWill, asksToo))
	c.proofKey = c.key // so that no signature is a stranger's
	issued, self := c.tokens(), w.resourceServer("self", w.issuer)
	token, signedAnswer := issued.text("access_token"), setHeader("Accept", "application/token-introspection+jwt")
	kinds := map[string]func() string{
		"access token":         func() string { return token },
		"ID token":             func() string { return issued.text("id_token") },
		"UserInfo":             func() string { return c.get("/userinfo", token, nil).raw },
		"assertion":            func() string { return c.clientAssertion(nil) },
		"proof for PAR":        func() string { return c.proof("POST", w.issuer+"/par", token, nil) },
		"proof for a resource": func() string { return c.proof("GET", w.issuer+"/accounts", token, nil) },
		"request object": func() string {
			// With all that a backchannel request needs, too.
			return c.signed(c.key, "oauth-authz-req+jwt", c.requestObject(c.request(), func(body claims) {
				body["jti"], body["iat"], body["login_hint"] = random(), c.w.clock.Now().Unix(), "alice"
			}))
		},
		"signed response":      func() string { return c.answered(t, "jwt").Get("response") },
		"signed introspection": func() string { return self.introspect(token, signedAnswer).raw },
		"backchannel request":  func() string { return c.signed(c.key, "", c.signedRequest(c.backchannel(), nil)) },
		"checkpoint":           func() string { return w.checkpoint(t) },
	}
	places := consumers(c, self, token)
	for kind, made := range inOrder(kinds) {
		for place, one := range inOrder(places) {
			if kind == "access token" && place == "as a token to revoke" {
				continue // it would end the test; see TestRV02WhatEnds
			}
			title := "refuses the " + kind + " " + place
			if one.kind == kind {
				title = "accepts the " + kind + " " + place
			}
			t.Run(title, func(t *testing.T) {
				if took := one.send(t, made()); took != (one.kind == kind) {
					t.Errorf("taken: %v", took)
				}
			})
		}
	}
}

// asksToo lets a client ask people over the backchannel beside all else.
func asksToo(_ *client, m map[string]any) {
	m["grant_types"] = append(slices.Clone(m["grant_types"].([]string)), cibaGrant)
	m["backchannel_token_delivery_mode"] = "poll"
}

// checkpoint seals the audit log and gives what was signed.
func (w *world) checkpoint(t *testing.T) string {
	t.Helper()
	if err := w.store.Record(t.Context(), store.Evidence{At: w.clock.Now(), Body: json.RawMessage(`{"kind":"event","detail":{"event":"test"}}`)}); err != nil {
		t.Fatal(err)
	}
	if err := w.sealer(t).Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	heads, err := w.store.AuditHeads(t.Context())
	if err != nil || len(heads) != 1 {
		t.Fatal(heads, err)
	}
	entry, err := audit.ParseEntry([]byte(heads[0].Text))
	if err != nil {
		t.Fatal(err)
	}
	return entry.Checkpoint
}

// Covers: ATTACK-28, SP-45, RULE-06. The worst case: the client is called like the issuer and has registered the issuer's
// own key, and the claims are those of every kind at once. Only typ, and for proofs the key in the header, tells them apart.
func TestAttack28OnlyTheTypeDiffers(t *testing.T) {
	w, _ := wholeWorld(t, offering, withBackchannel(), chained)
	records := sharedKeys(t)
	record := records[slices.IndexFunc(records, func(r signer.Record) bool { return r.Algorithm == signer.PS256 })]
	public, err := signer.PublicJWK(record)
	if err != nil {
		t.Fatal(err)
	}
	c := w.register(w.issuer, all(wide, signingAtWill, asksToo, func(c *client, m map[string]any) { m["jwks"] = keySet(c.key.PublicJWK(), public) }))
	token := c.tokens().text("access_token")
	sign := func(typ string, embedded bool, adapt func(claims)) string {
		header, body := map[string]any{"alg": "PS256", "kid": record.ID}, claimsIn(t, token)
		if typ != "" {
			header["typ"] = typ
		}
		if embedded {
			header["jwk"] = json.RawMessage(public)
			delete(header, "kid")
		}
		body["sub"] = c.id
		if adapt != nil {
			adapt(body)
		}
		return handSigned(t, header, body, func(input []byte) []byte {
			signature, err := w.backend.Sign(t.Context(), record, input)
			if err != nil {
				t.Fatal(err)
			}
			return signature
		})
	}
	typs := []string{
		"", "JWT", "jwt", "application/jwt", "at+jwt", "AT+JWT", "application/at+jwt", "dpop+jwt", "DPoP+JWT", "application/dpop+jwt", "client-authentication+jwt", "userinfo+jwt",
		"oauth-authz-req+jwt", "oauth-authz-resp+jwt", "token-introspection+jwt", audit.CheckpointType, "logout+jwt", "secevent+jwt", "at+jwt ", "at", "JOSE", "JWT+at",
	}
	for place, one := range inOrder(consumers(c, w.resourceServer("self", w.issuer), token)) {
		for _, typ := range typs {
			if place == "as a token to revoke" && slices.Contains([]string{"at+jwt", "AT+JWT", "application/at+jwt"}, typ) {
				continue // it is the token that is to stand
			}
			for _, embedded := range []bool{false, true} {
				fits := embedded == strings.HasPrefix(one.kind, "proof") && slices.ContainsFunc(one.typs, func(known string) bool {
					return strings.EqualFold(known, typ) || known != "" && strings.EqualFold("application/"+known, typ)
				})
				title, with := "refuses", ""
				if fits {
					title = "accepts"
				}
				if embedded {
					with = " and a key"
				}
				t.Run(title+" typ "+url.QueryEscape(typ)+with+" "+place, func(t *testing.T) {
					if took := one.send(t, sign(typ, embedded, one.adapt)); took != fits {
						t.Errorf("taken: %v", took)
					}
				})
			}
		}
	}
}
