package tokens_test

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

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
)

// Covers: AT-01, ATTACK-42. An access token is a JWT of the type at+jwt with the seven claims of RFC 9068 §2.2, and a
// resource takes nothing else for one.
func TestAT01AccessToken(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	c, alone := w.Register("client-1", fapitest.AllScopes), w.Register("machine", fapitest.ClientCredentialsOnly)
	issued := c.Tokens()
	token := issued.Text("access_token")
	w.Clock.Advance(time.Second)
	tokens := map[string]struct{ token, clientID, subject string }{
		"for a code":            {token, c.ID, "sub-alice"},
		"for a refresh token":   {c.Refresh(issued.Text("refresh_token"), nil).Text("access_token"), c.ID, "sub-alice"},
		"for the client itself": {alone.ClientCredentials(nil).Text("access_token"), alone.ID, alone.ID},
	}
	seen := map[any]bool{}
	for name, test := range fapitest.Sorted(tokens) {
		t.Run("accepts a token "+name, func(t *testing.T) {
			header, body := w.Verify(test.token)
			if header.Type != "at+jwt" || header.KeyID == "" || header.Algorithm != "PS256" {
				t.Errorf("header %+v", header)
			}
			issuedAt, _ := body["iat"].(float64)
			want := map[string]any{"iss": w.Issuer, "aud": w.Issuer, "sub": test.subject, "client_id": test.clientID, "exp": issuedAt + 300}
			for claim, value := range want {
				if diff := cmp.Diff(value, body[claim]); diff != "" {
					t.Errorf("%s (-want +got): %s", claim, diff)
				}
			}
			id, _ := body["jti"].(string)
			if len(id) < 22 || seen[id] || issuedAt < float64(w.Clock.Now().Unix()-1) || issuedAt > float64(w.Clock.Now().Unix()) {
				t.Errorf("jti %q, iat %v", id, body["iat"])
			}
			seen[id] = true
		})
	}
	body := fapitest.UnverifiedClaims(t, token)
	resigned := func(typ string, alter func(fapitest.Claims)) string {
		changed := maps.Clone(body)
		if alter != nil {
			alter(changed)
		}
		return w.SignAsServer("PS256", typ, changed)
	}
	t.Run("accepts the same claims, signed again with the server's key", func(t *testing.T) {
		fapitest.WantOK(t, c.Get("/accounts", resigned("at+jwt", nil), nil))
		fapitest.WantOK(t, c.Get("/accounts", resigned("application/at+jwt", nil), nil))
	})
	for name, forged := range map[string]string{
		"another typ":        resigned("JWT", nil),
		"no typ":             resigned("", nil),
		"no iss":             resigned("at+jwt", fapitest.SetClaim("iss", nil)),
		"another iss":        resigned("at+jwt", fapitest.SetClaim("iss", "https://other.example")),
		"iss with a slash":   resigned("at+jwt", fapitest.SetClaim("iss", w.Issuer+"/")),
		"no aud":             resigned("at+jwt", fapitest.SetClaim("aud", nil)),
		"another aud":        resigned("at+jwt", fapitest.SetClaim("aud", fapitest.LedgerAPI)),
		"no exp":             resigned("at+jwt", fapitest.SetClaim("exp", nil)),
		"no jti":             resigned("at+jwt", fapitest.SetClaim("jti", nil)),
		"a jti not given":    resigned("at+jwt", fapitest.SetClaim("jti", fapitest.RandomString())),
		"no cnf":             resigned("at+jwt", fapitest.SetClaim("cnf", nil)),
		"the cnf of another": resigned("at+jwt", fapitest.SetClaim("cnf", map[string]any{"jkt": fapitest.CodeChallenge("x")})),
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			fapitest.WantError(t, c.Get("/accounts", forged, nil), http.StatusUnauthorized, "invalid_token")
		})
	}
}

// Covers: AT-02, BC-05, SP-24. The audience is what was asked for, or this server; auth_time, acr and amr are those of
// the sign-in, also after a refresh; the scope is what applies there.
func TestAT02ClaimsFromTheSignIn(t *testing.T) {
	t.Parallel()
	w, p := fapitest.NewFullWorld(t)
	c, alone := w.Register("client-1", fapitest.AllScopes), w.Register("machine", fapitest.ClientCredentialsOnly)
	p.Is("sub-alice", fapitest.ACRKey)
	signedInAt := float64(w.Clock.Now().Unix())
	issued := c.Tokens()
	w.Clock.Advance(time.Minute)
	later := c.Refresh(issued.Text("refresh_token"), nil)
	for name, token := range fapitest.Sorted(map[string]string{"a token": issued.Text("access_token"), "a refreshed token": later.Text("access_token")}) {
		t.Run("accepts "+name+" with auth_time, acr and amr of the sign-in", func(t *testing.T) {
			body := fapitest.UnverifiedClaims(t, token)
			if body["auth_time"] != signedInAt || body["acr"] != fapitest.ACRKey || !cmp.Equal(body["amr"], []any{"pwd", "hwk"}) {
				t.Errorf("claims %v", body)
			}
		})
	}
	resources := func(list ...string) fapitest.Change {
		return func(form url.Values, _ http.Header) { form["resource"] = list }
	}
	for name, test := range fapitest.Sorted(map[string]struct {
		asked fapitest.Change
		aud   any
		scope string
	}{
		"no resource: this server": {nil, w.Issuer, c.Scope},
		"one resource":             {resources(fapitest.LedgerAPI), fapitest.LedgerAPI, "openid profile email accounts offline_access"},
		"two resources":            {resources(fapitest.LedgerAPI, fapitest.PaymentAPI), []any{fapitest.LedgerAPI, fapitest.PaymentAPI}, c.Scope},
	}) {
		t.Run("accepts "+name, func(t *testing.T) {
			r := c.TokensFor(test.asked)
			body := fapitest.UnverifiedClaims(t, r.Text("access_token"))
			if diff := cmp.Diff(test.aud, body["aud"]); diff != "" {
				t.Errorf("aud (-want +got): %s", diff)
			}
			got := strings.Fields(r.Text("scope"))
			for _, scope := range strings.Fields(test.scope) {
				if ofServer := slices.Contains([]string{"accounts", "payments"}, scope); ofServer && !slices.Contains(got, scope) {
					t.Errorf("scope %q lacks %s", r.Text("scope"), scope)
				}
			}
			if name == "one resource" && slices.Contains(got, "payments") {
				t.Errorf("scope %q holds what does not apply to %s", r.Text("scope"), fapitest.LedgerAPI)
			}
			if body["scope"] != r.Text("scope") {
				t.Errorf("the token says %v and the answer %q", body["scope"], r.Text("scope"))
			}
		})
	}
	t.Run("refuses to speak of a sign-in where there was none", func(t *testing.T) {
		body := fapitest.UnverifiedClaims(t, alone.ClientCredentials(nil).Text("access_token"))
		if body["auth_time"] != nil || body["acr"] != nil || body["amr"] != nil {
			t.Errorf("claims %v", body)
		}
	})
	personal := w.Register("machine-2", func(c *fapitest.Client, m map[string]any) {
		fapitest.ClientCredentialsOnly(c, m)
		m["scope"] = "openid email offline_access accounts"
	})
	fapitest.TryAll(t, personal.ClientCredentials,
		fapitest.Good("a scope without a user", fapitest.Set("scope", "accounts")),
		fapitest.Bad("openid without a user", fapitest.Set("scope", "openid accounts"), 400, "invalid_scope"),
		fapitest.Bad("the scope of a claim without a user", fapitest.Set("scope", "email"), 400, "invalid_scope"),
		fapitest.Bad("offline_access without a user", fapitest.Set("scope", "offline_access"), 400, "invalid_scope"),
		fapitest.Bad("a scope that is not registered for the client", fapitest.Set("scope", "payments"), 400, "invalid_scope"),
		fapitest.Bad("an unknown scope", fapitest.Set("scope", "colour"), 400, "invalid_scope"),
	)
	t.Run("accepts a client that names no scope, and leaves out what is about a user", func(t *testing.T) {
		if r := personal.ClientCredentials(nil); r.Text("scope") != "accounts" || r.Body["refresh_token"] != nil || r.Body["id_token"] != nil {
			t.Errorf("answered %s", r.Raw)
		}
	})
	t.Run("refuses a token for another resource", func(t *testing.T) {
		foreign := c.TokensFor(resources(fapitest.LedgerAPI)).Text("access_token")
		fapitest.WantError(t, c.Get("/accounts", foreign, nil), http.StatusUnauthorized, "invalid_token")
	})
}

// Covers: AT-03, SP-47, ATTACK-20, ATTACK-28. An access token is signed with a key of the published set, never with
// none, and is good for nothing but a resource.
func TestAT03Signature(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	for _, alg := range []string{"PS256", "ES256", "EdDSA"} {
		t.Run("accepts "+alg+" of a published key", func(t *testing.T) {
			t.Parallel()
			w, _ := fapitest.NewFullWorld(t, func(c *fapitest.Config) { c.AccessTokenAlgorithm = alg })
			c := w.Register("client-1", nil)
			token := c.Tokens().Text("access_token")
			if header, _ := w.Verify(token); header.Algorithm != alg { // decode verifies with the published set
				t.Errorf("signed with %s", header.Algorithm)
			}
			fapitest.WantOK(t, c.Get("/accounts", token, nil))
		})
	}
	c := w.Register("client-1", nil)
	issued := c.Tokens()
	token := issued.Text("access_token")
	header, _ := w.Verify(token)
	head := fapitest.Claims{"alg": header.Algorithm, "kid": header.KeyID, "typ": "at+jwt"}
	with := func(name string, value any) fapitest.Claims {
		changed := maps.Clone(head)
		changed[name] = value
		return changed
	}
	own := fapitest.NewKey(t, jose.ES256)
	nothing := func([]byte) []byte { return nil }
	body := fapitest.UnverifiedClaims(t, token)
	signature, err := base64.RawURLEncoding.DecodeString(token[strings.LastIndexByte(token, '.')+1:])
	if err != nil {
		t.Fatal(err)
	}
	same := func([]byte) []byte { return signature }
	embedded := with("jwk", own.PublicJWK())
	embedded["alg"] = "ES256"
	for name, forged := range fapitest.Sorted(map[string]string{
		"alg none":                     fapitest.HandSigned(t, with("alg", "none"), body, nothing),
		"alg None":                     fapitest.HandSigned(t, with("alg", "None"), body, nothing),
		"alg PS256 without signature":  fapitest.HandSigned(t, head, body, nothing),
		"RS256 in the header":          fapitest.HandSigned(t, with("alg", "RS256"), body, same),
		"HS256 in the header":          fapitest.HandSigned(t, with("alg", "HS256"), body, same),
		"an unknown kid":               fapitest.HandSigned(t, with("kid", "unknown"), body, same),
		"a stranger's key":             fapitest.HandSigned(t, with("alg", "ES256"), body, fapitest.ES256(t, own)),
		"a stranger's key in jwk":      fapitest.HandSigned(t, embedded, body, fapitest.ES256(t, own)),
		"a stranger's key under a kid": fapitest.HandSigned(t, fapitest.Claims{"alg": "ES256", "kid": header.KeyID, "typ": "at+jwt"}, body, fapitest.ES256(t, own)),
	}) {
		t.Run("refuses "+name, func(t *testing.T) {
			fapitest.WantError(t, c.Get("/accounts", forged, nil), http.StatusUnauthorized, "invalid_token")
		})
	}
	t.Run("refuses it as an ID token", func(t *testing.T) {
		hint := func(token string) fapitest.Reply { return c.Push(fapitest.Set("id_token_hint", token)) }
		fapitest.WantError(t, hint(token), http.StatusBadRequest, "invalid_request")
		if r := hint(issued.Text("id_token")); r.Status != http.StatusCreated {
			t.Errorf("a real ID token: %d %s", r.Status, r.Raw)
		}
		if fapitest.UnverifiedClaims(t, token)["aud"] == c.ID {
			t.Error("aud is the client, as in an ID token")
		}
	})
	t.Run("refuses it as a client assertion", func(t *testing.T) {
		fapitest.WantError(t, c.Push(fapitest.Set("client_assertion", token)), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("refuses it as a refresh token", func(t *testing.T) {
		fapitest.WantError(t, c.Refresh(token, nil), http.StatusBadRequest, "invalid_grant")
	})
}
