package fapi_test

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/internal/jose"
)

// Covers: AT-01, ATTACK-42. An access token is a JWT of the type at+jwt with the seven claims of RFC 9068 §2.2, and a
// resource takes nothing else for one.
func TestAT01AccessToken(t *testing.T) {
	w, _ := wholeWorld(t)
	c, alone := w.register("client-1", wide), w.register("machine", machine)
	issued := c.tokens()
	token := issued.text("access_token")
	w.clock.Advance(time.Second)
	tokens := map[string]struct{ token, clientID, subject string }{
		"for a code":            {token, c.id, "sub-alice"},
		"for a refresh token":   {c.refresh(issued.text("refresh_token"), nil).text("access_token"), c.id, "sub-alice"},
		"for the client itself": {alone.clientCredentials(nil).text("access_token"), alone.id, alone.id},
	}
	seen := map[any]bool{}
	for name, test := range inOrder(tokens) {
		t.Run("accepts a token "+name, func(t *testing.T) {
			header, body := w.decode(test.token)
			if header.Type != "at+jwt" || header.KeyID == "" || header.Algorithm != "PS256" {
				t.Errorf("header %+v", header)
			}
			issuedAt, _ := body["iat"].(float64)
			want := map[string]any{"iss": w.issuer, "aud": w.issuer, "sub": test.subject, "client_id": test.clientID, "exp": issuedAt + 300}
			for claim, value := range want {
				if diff := cmp.Diff(value, body[claim]); diff != "" {
					t.Errorf("%s (-want +got): %s", claim, diff)
				}
			}
			id, _ := body["jti"].(string)
			if len(id) < 22 || seen[id] || issuedAt < float64(w.clock.Now().Unix()-1) || issuedAt > float64(w.clock.Now().Unix()) {
				t.Errorf("jti %q, iat %v", id, body["iat"])
			}
			seen[id] = true
		})
	}
	body := claimsIn(t, token)
	resigned := func(typ string, alter func(claims)) string {
		changed := maps.Clone(body)
		if alter != nil {
			alter(changed)
		}
		return w.ownSignature("PS256", typ, changed)
	}
	t.Run("accepts the same claims, signed again with the server's key", func(t *testing.T) {
		wantActive(t, c.get("/accounts", resigned("at+jwt", nil), nil))
		wantActive(t, c.get("/accounts", resigned("application/at+jwt", nil), nil))
	})
	for name, forged := range map[string]string{
		"another typ":        resigned("JWT", nil),
		"no typ":             resigned("", nil),
		"no iss":             resigned("at+jwt", claim("iss", nil)),
		"another iss":        resigned("at+jwt", claim("iss", "https://other.example")),
		"iss with a slash":   resigned("at+jwt", claim("iss", w.issuer+"/")),
		"no aud":             resigned("at+jwt", claim("aud", nil)),
		"another aud":        resigned("at+jwt", claim("aud", ledgerAPI)),
		"no exp":             resigned("at+jwt", claim("exp", nil)),
		"no jti":             resigned("at+jwt", claim("jti", nil)),
		"a jti not given":    resigned("at+jwt", claim("jti", random())),
		"no cnf":             resigned("at+jwt", claim("cnf", nil)),
		"the cnf of another": resigned("at+jwt", claim("cnf", map[string]any{"jkt": challenge("x")})),
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			wantError(t, c.get("/accounts", forged, nil), http.StatusUnauthorized, "invalid_token")
		})
	}
}

// Covers: AT-02, BC-05, SP-24. The audience is what was asked for, or this server; auth_time, acr and amr are those of
// the sign-in, also after a refresh; the scope is what means something there.
func TestAT02ClaimsFromTheSignIn(t *testing.T) {
	w, p := wholeWorld(t)
	c, alone := w.register("client-1", wide), w.register("machine", machine)
	p.is("sub-alice", byKey)
	signedInAt := float64(w.clock.Now().Unix())
	issued := c.tokens()
	w.clock.Advance(time.Minute)
	later := c.refresh(issued.text("refresh_token"), nil)
	for name, token := range inOrder(map[string]string{"a token": issued.text("access_token"), "a refreshed token": later.text("access_token")}) {
		t.Run("accepts "+name+" with auth_time, acr and amr of the sign-in", func(t *testing.T) {
			body := claimsIn(t, token)
			if body["auth_time"] != signedInAt || body["acr"] != byKey || !cmp.Equal(body["amr"], []any{"pwd", "hwk"}) {
				t.Errorf("claims %v", body)
			}
		})
	}
	resources := func(list ...string) change {
		return func(form url.Values, _ http.Header) { form["resource"] = list }
	}
	for name, test := range inOrder(map[string]struct {
		asked change
		aud   any
		scope string
	}{
		"no resource: this server": {nil, w.issuer, c.scope},
		"one resource":             {resources(ledgerAPI), ledgerAPI, "openid profile email accounts offline_access"},
		"two resources":            {resources(ledgerAPI, paymentAPI), []any{ledgerAPI, paymentAPI}, c.scope},
	}) {
		t.Run("accepts "+name, func(t *testing.T) {
			r := c.tokensFor(test.asked)
			body := claimsIn(t, r.text("access_token"))
			if diff := cmp.Diff(test.aud, body["aud"]); diff != "" {
				t.Errorf("aud (-want +got): %s", diff)
			}
			got := strings.Fields(r.text("scope"))
			for _, scope := range strings.Fields(test.scope) {
				if ofServer := slices.Contains([]string{"accounts", "payments"}, scope); ofServer && !slices.Contains(got, scope) {
					t.Errorf("scope %q lacks %s", r.text("scope"), scope)
				}
			}
			if name == "one resource" && slices.Contains(got, "payments") {
				t.Errorf("scope %q holds what means nothing to %s", r.text("scope"), ledgerAPI)
			}
			if body["scope"] != r.text("scope") {
				t.Errorf("the token says %v and the answer %q", body["scope"], r.text("scope"))
			}
		})
	}
	t.Run("refuses to speak of a sign-in where there was none", func(t *testing.T) {
		body := claimsIn(t, alone.clientCredentials(nil).text("access_token"))
		if body["auth_time"] != nil || body["acr"] != nil || body["amr"] != nil {
			t.Errorf("claims %v", body)
		}
	})
	personal := w.register("machine-2", func(c *client, m map[string]any) {
		machine(c, m)
		m["scope"] = "openid email offline_access accounts"
	})
	tryAll(t, personal.clientCredentials,
		good("a scope without a person", set("scope", "accounts")),
		bad("openid without a person", set("scope", "openid accounts"), 400, "invalid_scope"),
		bad("the scope of a claim without a person", set("scope", "email"), 400, "invalid_scope"),
		bad("offline_access without a person", set("scope", "offline_access"), 400, "invalid_scope"),
		bad("a scope that is not registered for the client", set("scope", "payments"), 400, "invalid_scope"),
		bad("an unknown scope", set("scope", "colour"), 400, "invalid_scope"),
	)
	t.Run("accepts a client that names no scope, and leaves out what is about a person", func(t *testing.T) {
		if r := personal.clientCredentials(nil); r.text("scope") != "accounts" || r.body["refresh_token"] != nil || r.body["id_token"] != nil {
			t.Errorf("answered %s", r.raw)
		}
	})
	t.Run("refuses a token for another resource", func(t *testing.T) {
		foreign := c.tokensFor(resources(ledgerAPI)).text("access_token")
		wantError(t, c.get("/accounts", foreign, nil), http.StatusUnauthorized, "invalid_token")
	})
}

// Covers: AT-03, SP-47, ATTACK-20, ATTACK-28. An access token is signed with a key of the published set, never with
// none, and is good for nothing but a resource.
func TestAT03Signature(t *testing.T) {
	w, _ := wholeWorld(t)
	for _, alg := range []string{"PS256", "ES256", "EdDSA"} {
		t.Run("accepts "+alg+" of a published key", func(t *testing.T) {
			w, _ := wholeWorld(t, func(c *fapiConfig, _ *autoInteractor) { c.AccessTokenAlgorithm = alg })
			c := w.register("client-1", nil)
			token := c.tokens().text("access_token")
			if header, _ := w.decode(token); header.Algorithm != alg { // decode verifies with the published set
				t.Errorf("signed with %s", header.Algorithm)
			}
			wantActive(t, c.get("/accounts", token, nil))
		})
	}
	c := w.register("client-1", nil)
	issued := c.tokens()
	token := issued.text("access_token")
	header, _ := w.decode(token)
	head := claims{"alg": header.Algorithm, "kid": header.KeyID, "typ": "at+jwt"}
	with := func(name string, value any) claims {
		changed := maps.Clone(head)
		changed[name] = value
		return changed
	}
	own := newKey(t, jose.ES256)
	nothing := func([]byte) []byte { return nil }
	body := claimsIn(t, token)
	signature, err := base64.RawURLEncoding.DecodeString(token[strings.LastIndexByte(token, '.')+1:])
	if err != nil {
		t.Fatal(err)
	}
	same := func([]byte) []byte { return signature }
	embedded := with("jwk", own.PublicJWK())
	embedded["alg"] = "ES256"
	for name, forged := range inOrder(map[string]string{
		"alg none":                     handSigned(t, with("alg", "none"), body, nothing),
		"alg None":                     handSigned(t, with("alg", "None"), body, nothing),
		"alg PS256 without signature":  handSigned(t, head, body, nothing),
		"RS256 in the header":          handSigned(t, with("alg", "RS256"), body, same),
		"HS256 in the header":          handSigned(t, with("alg", "HS256"), body, same),
		"an unknown kid":               handSigned(t, with("kid", "unknown"), body, same),
		"a stranger's key":             handSigned(t, with("alg", "ES256"), body, es256(t, own)),
		"a stranger's key in jwk":      handSigned(t, embedded, body, es256(t, own)),
		"a stranger's key under a kid": handSigned(t, claims{"alg": "ES256", "kid": header.KeyID, "typ": "at+jwt"}, body, es256(t, own)),
	}) {
		t.Run("refuses "+name, func(t *testing.T) {
			wantError(t, c.get("/accounts", forged, nil), http.StatusUnauthorized, "invalid_token")
		})
	}
	t.Run("refuses it as an ID token", func(t *testing.T) {
		hint := func(token string) reply { return c.push(set("id_token_hint", token)) }
		wantError(t, hint(token), http.StatusBadRequest, "invalid_request")
		if r := hint(issued.text("id_token")); r.status != http.StatusCreated {
			t.Errorf("a real ID token: %d %s", r.status, r.raw)
		}
		if claimsIn(t, token)["aud"] == c.id {
			t.Error("aud is the client, as in an ID token")
		}
	})
	t.Run("refuses it as a client assertion", func(t *testing.T) {
		wantError(t, c.push(set("client_assertion", token)), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("refuses it as a refresh token", func(t *testing.T) {
		wantError(t, c.refresh(token, nil), http.StatusBadRequest, "invalid_grant")
	})
}
