package fapi_test

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/internal/jose"
)

// decode verifies a token against the published keys and gives its header and claims.
func (w *world) decode(token string) (jose.Header, map[string]any) {
	w.t.Helper()
	response := w.browser()
	_, body, _ := response.visit(w.issuer + "/jwks")
	keys, err := jose.ParseKeySet([]byte(body))
	if err != nil {
		w.t.Fatal(err)
	}
	parsed, err := jose.Parse(token, jose.ParseOptions{Algorithms: []string{"PS256", "ES256", "EdDSA"}})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := parsed.VerifyWith(keys); err != nil {
		w.t.Fatal(err)
	}
	var claims map[string]any
	if err := parsed.Claims(&claims); err != nil {
		w.t.Fatal(err)
	}
	return parsed.Header, claims
}

// TestFlow goes through the whole flow with each way to authenticate and each way to bind a token.
func TestFlow(t *testing.T) {
	tests := map[string]struct {
		change    func(*client, map[string]any)
		tokenType string
	}{
		"private_key_jwt and DPoP":        {nil, "DPoP"},
		"tls_client_auth and certificate": {withCertificate, "Bearer"},
		"tls_client_auth and DPoP": {func(c *client, m map[string]any) {
			withCertificate(c, m)
			delete(m, "tls_client_certificate_bound_access_tokens")
			m["dpop_bound_access_tokens"] = true
			c.dpop = true
		}, "DPoP"},
		"private_key_jwt and certificate": {func(c *client, m map[string]any) {
			certificate := authority{}.issue(c.w.t, c.id, c.w.clock.Now())
			c.certificate, c.dpop = &certificate, false
			delete(m, "dpop_bound_access_tokens")
			m["tls_client_certificate_bound_access_tokens"] = true
		}, "Bearer"},
		"self_signed_tls_client_auth and certificate": {selfSigned, "Bearer"},
		"PS256 for the client, EdDSA for the ID token": {func(c *client, m map[string]any) {
			c.key = newKey(c.w.t, jose.PS256)
			m["jwks"] = json.RawMessage(`{"keys":[` + string(c.key.PublicJWK()) + `]}`)
			m["id_token_signed_response_alg"] = "EdDSA"
		}, "DPoP"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c := w.register("client-1", test.change)
			issued := c.tokens()
			if got := issued.text("token_type"); got != test.tokenType {
				t.Errorf("token_type %q, want %q", got, test.tokenType)
			}
			if got := issued.text("scope"); got != c.scope {
				t.Errorf("scope %q, want %q", got, c.scope)
			}
			header, access := w.decode(issued.text("access_token"))
			if header.Type != "at+jwt" || access["client_id"] != c.id || access["sub"] != "sub-alice" || access["iss"] != w.issuer || access["cnf"] == nil {
				t.Errorf("access token %+v %v", header, access)
			}
			_, id := w.decode(issued.text("id_token"))
			if id["aud"] != c.id || id["nonce"] != "nonce-1" || id["sub"] != "sub-alice" || id["auth_time"] == nil || id["at_hash"] == nil {
				t.Errorf("ID token %v", id)
			}
			if r := c.get("/accounts", issued.text("access_token"), nil); r.status != http.StatusOK || r.text("owner") != "sub-alice" {
				t.Errorf("accounts: %d %s", r.status, r.raw)
			}
			if r := c.get("/userinfo", issued.text("access_token"), nil); r.status != http.StatusOK || r.text("email") != "alice@example.com" {
				t.Errorf("userinfo: %d %s", r.status, r.raw)
			}
			again := c.refresh(issued.text("refresh_token"), nil)
			if again.status != http.StatusOK || again.body["refresh_token"] != nil {
				t.Fatalf("refresh: %d %s (the refresh token must not rotate)", again.status, again.raw)
			}
			if r := c.get("/accounts", again.text("access_token"), nil); r.status != http.StatusOK {
				t.Errorf("accounts after refresh: %d %s", r.status, r.raw)
			}
		})
	}
}

// selfSigned makes the client one of self_signed_tls_client_auth.
func selfSigned(c *client, m map[string]any) {
	withCertificate(c, m)
	certificate := authority{}.issue(c.w.t, c.id, c.w.clock.Now())
	c.certificate = &certificate
	key, err := jose.NewKey("own", jose.ES256, certificate.Leaf.PublicKey)
	if err != nil {
		c.w.t.Fatal(err)
	}
	m["jwks"] = jose.NewKeySet(key)
	m["token_endpoint_auth_method"] = "self_signed_tls_client_auth"
	delete(m, "tls_client_auth_subject_dn")
}

func TestPlainOAuthHasNoIDToken(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", func(c *client, m map[string]any) {
		c.scope = "accounts"
		m["scope"] = c.scope
	})
	issued := c.tokens()
	if issued.body["id_token"] != nil {
		t.Error("an ID token without the scope openid")
	}
	r := c.get("/userinfo", issued.text("access_token"), nil)
	wantError(t, r, http.StatusForbidden, "insufficient_scope")
}

func TestPersonRefuses(t *testing.T) {
	w := newWorld(t, deciding("deny"))
	c := w.register("client-1", nil)
	pushed := c.push(nil)
	_, _, sentTo := w.browser().visit(w.authorizeURL(c.id, pushed.text("request_uri")))
	if sentTo == nil {
		t.Fatal("the browser was not sent back")
	}
	q := sentTo.Query()
	if q.Get("error") != "access_denied" || q.Get("state") != "state-1" || q.Get("iss") != w.issuer || q.Has("code") {
		t.Errorf("sent to %s", sentTo)
	}
}

// TestPush lists what the PAR endpoint refuses (RFC 9126 §2.3, FAPI 2.0 Security Profile §5.3.2.2).
func TestPush(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	set := func(name, value string) func(url.Values, http.Header) {
		return func(form url.Values, _ http.Header) { form.Set(name, value) }
	}
	remove := func(name string) func(url.Values, http.Header) {
		return func(form url.Values, _ http.Header) { form.Del(name) }
	}
	tests := map[string]struct {
		change func(url.Values, http.Header)
		status int
		code   string
	}{
		"accepted as it is":                {nil, 201, ""},
		"a state of 1000 characters":       {set("state", strings.Repeat("s", 1000)), 201, ""},
		"a nonce of 384 characters":        {set("nonce", strings.Repeat("n", 384)), 201, ""},
		"no state":                         {remove("state"), 201, ""},
		"no nonce":                         {remove("nonce"), 201, ""},
		"scopes in another order":          {set("scope", "accounts openid"), 201, ""},
		"an unknown scope beside known":    {set("scope", "openid nonsense"), 201, ""},
		"an unknown parameter":             {set("nonsense", "1"), 201, ""},
		"max_age":                          {set("max_age", "10"), 201, ""},
		"no redirect_uri":                  {remove("redirect_uri"), 400, "invalid_request"},
		"a redirect_uri not registered":    {set("redirect_uri", "https://client.example/callback/"), 400, "invalid_request"},
		"no response_type":                 {remove("response_type"), 400, "invalid_request"},
		"response_type code id_token":      {set("response_type", "code id_token"), 400, "unsupported_response_type"},
		"response_type token":              {set("response_type", "token"), 400, "unsupported_response_type"},
		"response_mode fragment":           {set("response_mode", "fragment"), 400, "invalid_request"},
		"no code_challenge":                {remove("code_challenge"), 400, "invalid_request"},
		"no code_challenge_method":         {remove("code_challenge_method"), 400, "invalid_request"},
		"code_challenge_method plain":      {set("code_challenge_method", "plain"), 400, "invalid_request"},
		"a short code_challenge":           {set("code_challenge", "abc"), 400, "invalid_request"},
		"a request_uri":                    {set("request_uri", "urn:ietf:params:oauth:request_uri:x"), 400, "invalid_request"},
		"a request object":                 {set("request", "eyJ"), 400, "request_not_supported"},
		"authorization_details":            {set("authorization_details", "[]"), 400, "invalid_authorization_details"},
		"a foreign resource":               {set("resource", "https://elsewhere.example"), 400, "invalid_target"},
		"a scope that is not registered":   {set("scope", "openid payments"), 400, "invalid_scope"},
		"no known scope":                   {set("scope", "nonsense"), 400, "invalid_scope"},
		"a state too long":                 {set("state", strings.Repeat("s", 5000)), 400, "invalid_request"},
		"a state with a line break":        {set("state", "a\nb"), 400, "invalid_request"},
		"an unknown prompt":                {set("prompt", "dance"), 400, "invalid_request"},
		"prompt none beside another":       {set("prompt", "none login"), 400, "invalid_request"},
		"max_age that is no number":        {set("max_age", "soon"), 400, "invalid_request"},
		"dpop_jkt of another key":          {set("dpop_jkt", challenge("other")), 400, "invalid_dpop_proof"},
		"dpop_jkt that is no thumbprint":   {set("dpop_jkt", "abc"), 400, "invalid_request"},
		"a client secret":                  {set("client_secret", "hush"), 401, "invalid_client"},
		"a client_id of another":           {set("client_id", "client-2"), 401, "invalid_client"},
		"no client assertion":              {remove("client_assertion"), 401, "invalid_client"},
		"another client_assertion_type":    {set("client_assertion_type", "x"), 401, "invalid_client"},
		"an Authorization header":          {func(_ url.Values, h http.Header) { h.Set("Authorization", "Basic YTpi") }, 401, "invalid_client"},
		"a parameter given twice":          {func(f url.Values, _ http.Header) { f.Add("scope", "openid") }, 400, "invalid_request"},
		"two DPoP headers":                 {func(_ url.Values, h http.Header) { h.Add("DPoP", h.Get("DPoP")) }, 400, "invalid_dpop_proof"},
		"a DPoP proof for another address": {func(_ url.Values, h http.Header) { h.Set("DPoP", c.proof("POST", w.issuer+"/token", "", nil)) }, 400, "invalid_dpop_proof"},
		"another content type":             {func(_ url.Values, h http.Header) { h.Set("Content-Type", "application/json") }, 415, "invalid_request"},
		"an oversize body":                 {set("nonsense", strings.Repeat("x", 70<<10)), 413, "invalid_request"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := c.push(test.change)
			if test.status == http.StatusCreated {
				if r.status != test.status || !strings.HasPrefix(r.text("request_uri"), "urn:ietf:params:oauth:request_uri:") || r.body["expires_in"] != 60.0 {
					t.Fatalf("answered %d %s", r.status, r.raw)
				}
				return
			}
			wantError(t, r, test.status, test.code)
		})
	}
	for _, method := range []string{http.MethodGet, http.MethodPut} {
		request, err := http.NewRequest(method, w.issuer+"/par", strings.NewReader(c.request().Encode()))
		if err != nil {
			t.Fatal(err)
		}
		if r := c.do(request); r.status != http.StatusMethodNotAllowed || r.header.Get("Allow") != "POST" {
			t.Errorf("%s: %d, Allow %q", method, r.status, r.header.Get("Allow"))
		}
	}
}

// TestClientAssertion lists what a client assertion may and may not be (RFC 7523 §3, FAPI 2.0 §5.3.2.1).
func TestClientAssertion(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	other := w.register("client-2", nil)
	now := w.clock.Now()
	set := func(name string, value any) func(claims) { return func(b claims) { b[name] = value } }
	tests := map[string]struct {
		change func(claims)
		good   bool
	}{
		"as it is":                     {nil, true},
		"nbf 8 seconds ahead":          {set("nbf", now.Add(8*time.Second).Unix()), true},
		"iat 10 seconds ahead":         {set("iat", now.Add(10*time.Second).Unix()), true},
		"aud in an array":              {set("aud", []string{w.issuer}), false},
		"aud is the PAR endpoint":      {set("aud", w.issuer+"/par"), false},
		"aud is the token endpoint":    {set("aud", w.issuer+"/token"), false},
		"aud with a slash":             {set("aud", w.issuer+"/"), false},
		"no aud":                       {func(b claims) { delete(b, "aud") }, false},
		"no exp":                       {func(b claims) { delete(b, "exp") }, false},
		"exp 5 minutes ago":            {set("exp", now.Add(-5*time.Minute).Unix()), false},
		"exp an hour ahead":            {set("exp", now.Add(time.Hour).Unix()), false},
		"nbf more than a minute ahead": {set("nbf", now.Add(61*time.Second).Unix()), false},
		"iat more than a minute ahead": {set("iat", now.Add(61*time.Second).Unix()), false},
		"no sub":                       {func(b claims) { delete(b, "sub") }, false},
		"another iss":                  {set("iss", "client-2"), false},
		"another sub":                  {set("sub", "client-2"), false},
		"no jti":                       {func(b claims) { delete(b, "jti") }, false},
		"a jti of 300 bytes":           {set("jti", strings.Repeat("j", 300)), false},
		"exp that is not a number":     {set("exp", "soon"), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := c.push(func(form url.Values, _ http.Header) { form.Set("client_assertion", c.clientAssertion(test.change)) })
			if test.good {
				if r.status != http.StatusCreated {
					t.Fatalf("refused: %d %s", r.status, r.raw)
				}
				return
			}
			wantError(t, r, http.StatusUnauthorized, "invalid_client")
		})
	}
	body := claims{"iss": c.id, "sub": c.id, "aud": w.issuer, "jti": random(), "exp": now.Add(time.Minute).Unix()}
	for name, assertion := range map[string]string{
		"signed by another client": c.signed(other.key, "", body),
		"typ of an access token":   c.signed(c.key, "at+jwt", body),
		"alg none":                 "eyJhbGciOiJub25lIn0." + strings.Split(c.clientAssertion(nil), ".")[1] + ".",
		"garbage":                  "a.b.c",
		"too large":                strings.Repeat("a", 20<<10),
	} {
		t.Run(name, func(t *testing.T) {
			r := c.push(func(form url.Values, _ http.Header) { form.Set("client_assertion", assertion) })
			wantError(t, r, http.StatusUnauthorized, "invalid_client")
		})
	}
}

// TestOneTimeValues presents the same assertion and the same proof twice.
func TestOneTimeValues(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	assertion, proof := c.clientAssertion(nil), c.proof("POST", w.issuer+"/par", "", nil)
	sameAssertion := func(form url.Values, _ http.Header) { form.Set("client_assertion", assertion) }
	if r := c.push(sameAssertion); r.status != http.StatusCreated {
		t.Fatalf("first: %d %s", r.status, r.raw)
	}
	wantError(t, c.push(sameAssertion), http.StatusBadRequest, "invalid_request")

	sameProof := func(_ url.Values, h http.Header) { h.Set("DPoP", proof) }
	if r := c.push(sameProof); r.status != http.StatusCreated {
		t.Fatalf("first: %d %s", r.status, r.raw)
	}
	wantError(t, c.push(sameProof), http.StatusBadRequest, "invalid_request")

	// A request that is refused after its client proved itself spends its values too.
	assertion = c.clientAssertion(nil)
	wantError(t, c.push(func(form url.Values, h http.Header) { sameAssertion(form, h); form.Del("redirect_uri") }), http.StatusBadRequest, "invalid_request")
	wantError(t, c.push(sameAssertion), http.StatusBadRequest, "invalid_request")
}

// TestMutualTLS lists what a client certificate may not be.
func TestMutualTLS(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", withCertificate)
	if r := c.push(nil); r.status != http.StatusCreated {
		t.Fatalf("push: %d %s", r.status, r.raw)
	}
	foreign := newAuthority(t, "Another CA", w.clock.Now())
	for name, certificate := range map[string]*tls.Certificate{
		"another subject":   ptr(w.clientCA.issue(t, "client-2", w.clock.Now())),
		"another authority": ptr(foreign.issue(t, "client-1", w.clock.Now())),
		"self-signed":       ptr(authority{}.issue(t, "client-1", w.clock.Now())),
		"expired":           ptr(w.clientCA.issue(t, "client-1", w.clock.Now().Add(-3*time.Hour))),
		"none":              nil,
	} {
		t.Run(name, func(t *testing.T) {
			stranger := *c
			stranger.certificate = certificate
			stranger.http = w.transport(&stranger)
			stranger.atMTLS = true
			wantError(t, stranger.push(nil), http.StatusUnauthorized, "invalid_client")
		})
	}
	// A certificate does not get in where the client registered a key.
	byKey := w.register("client-3", func(c *client, m map[string]any) {
		certificate := w.clientCA.issue(t, c.id, w.clock.Now())
		c.certificate, c.assertion = &certificate, false
	})
	wantError(t, byKey.push(nil), http.StatusUnauthorized, "invalid_client")
	// Nor do both at once.
	both := *c
	both.assertion = true
	wantError(t, both.push(nil), http.StatusBadRequest, "invalid_request")
}

func ptr[T any](value T) *T { return &value }
