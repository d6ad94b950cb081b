package fapi_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/internal/jose"
)

// TestResourceWithDPoP lists what a DPoP-bound token needs at a resource (RFC 9449 §7, FAPI 2.0 §5.3.4).
func TestResourceWithDPoP(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	token := c.tokens().text("access_token")
	address := w.issuer + "/accounts"
	proof := func(change func(claims)) func(http.Header) {
		return func(h http.Header) { h.Set("DPoP", c.proof("GET", address, token, change)) }
	}
	set := func(name string, value any) func(http.Header) { return proof(func(b claims) { b[name] = value }) }
	unset := func(name string) func(http.Header) { return proof(func(b claims) { delete(b, name) }) }
	now := w.clock.Now()
	tests := map[string]struct {
		change func(http.Header)
		status int
		code   string
	}{
		"as it is":                    {nil, 200, ""},
		"scheme in capitals":          {func(h http.Header) { h.Set("Authorization", "DPOP "+token) }, 200, ""},
		"scheme in small letters":     {func(h http.Header) { h.Set("Authorization", "dpop "+token) }, 200, ""},
		"iat 10 seconds ahead":        {set("iat", now.Add(10*time.Second).Unix()), 200, ""},
		"iat 10 seconds ago":          {set("iat", now.Add(-10*time.Second).Unix()), 200, ""},
		"nbf and exp beside":          {proof(func(b claims) { b["nbf"], b["exp"] = now.Unix(), now.Add(time.Minute).Unix() }), 200, ""},
		"htu with query and fragment": {set("htu", address+"?a=1#b"), 200, ""},
		"no token":                    {func(h http.Header) { h.Del("Authorization") }, 401, "invalid_token"},
		"as Bearer":                   {func(h http.Header) { h.Set("Authorization", "Bearer "+token) }, 401, "invalid_token"},
		"as Bearer without a proof":   {func(h http.Header) { h.Set("Authorization", "Bearer "+token); h.Del("DPoP") }, 401, "invalid_token"},
		"no proof":                    {func(h http.Header) { h.Del("DPoP") }, 401, "invalid_dpop_proof"},
		"two proofs":                  {func(h http.Header) { h.Add("DPoP", h.Get("DPoP")) }, 401, "invalid_dpop_proof"},
		"a proof that is no JWT":      {func(h http.Header) { h.Set("DPoP", "x") }, 401, "invalid_dpop_proof"},
		"another method":              {set("htm", "POST"), 401, "invalid_dpop_proof"},
		"another address":             {set("htu", w.issuer+"/userinfo"), 401, "invalid_dpop_proof"},
		"iat an hour ago":             {set("iat", now.Add(-time.Hour).Unix()), 401, "invalid_dpop_proof"},
		"iat an hour ahead":           {set("iat", now.Add(time.Hour).Unix()), 401, "invalid_dpop_proof"},
		"ath of another token":        {set("ath", challenge("other")), 401, "invalid_dpop_proof"},
		"no ath":                      {unset("ath"), 401, "invalid_dpop_proof"},
		"no jti":                      {unset("jti"), 401, "invalid_dpop_proof"},
		"no htm":                      {unset("htm"), 401, "invalid_dpop_proof"},
		"no htu":                      {unset("htu"), 401, "invalid_dpop_proof"},
		"no iat":                      {unset("iat"), 401, "invalid_dpop_proof"},
		"another key": {func(h http.Header) {
			o := *c
			o.proofKey = newKey(t, jose.ES256)
			h.Set("DPoP", o.proof("GET", address, token, nil))
		}, 401, "invalid_token"},
		"two Authorization headers": {func(h http.Header) { h.Add("Authorization", "DPoP "+token) }, 400, "invalid_request"},
		"another scheme":            {func(h http.Header) { h.Set("Authorization", "Basic YTpi") }, 401, "invalid_token"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := c.get("/accounts", token, test.change)
			if test.status == http.StatusOK {
				if r.status != http.StatusOK || r.header.Get("Date") == "" {
					t.Fatalf("answered %d %s", r.status, r.raw)
				}
				return
			}
			wantError(t, r, test.status, test.code)
			if test.status == http.StatusUnauthorized && !strings.HasPrefix(r.header.Get("WWW-Authenticate"), `DPoP algs=`) {
				t.Errorf("WWW-Authenticate %q", r.header.Get("WWW-Authenticate"))
			}
		})
	}
	t.Run("the same proof twice", func(t *testing.T) {
		same := c.proof("GET", address, token, nil)
		change := func(h http.Header) { h.Set("DPoP", same) }
		if r := c.get("/accounts", token, change); r.status != http.StatusOK {
			t.Fatal(r.raw)
		}
		wantError(t, c.get("/accounts", token, change), 401, "invalid_dpop_proof")
	})
	t.Run("the token in the address", func(t *testing.T) {
		r := c.get("/accounts?access_token="+token, token, func(h http.Header) { h.Del("Authorization"); h.Del("DPoP") })
		wantError(t, r, 400, "invalid_request")
	})
	t.Run("after its time", func(t *testing.T) {
		w.clock.Advance(5 * time.Minute)
		wantError(t, c.get("/accounts", token, nil), 401, "invalid_token")
	})
}

// TestForeignTokens presents what is no access token of this server, or was tampered with.
func TestForeignTokens(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	issued := c.tokens()
	token := issued.text("access_token")
	parts := strings.Split(token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var body claims
	if err := json.Unmarshal(payload, &body); err != nil {
		t.Fatal(err)
	}
	body["scope"] = "openid accounts payments"
	changed, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := jose.Sign(context.Background(), newKey(t, jose.ES256).SigningKey(), "at+jwt", body)
	if err != nil {
		t.Fatal(err)
	}
	for name, foreign := range map[string]string{
		"the ID token":            issued.text("id_token"),
		"the refresh token":       issued.text("refresh_token"),
		"a client assertion":      c.clientAssertion(nil),
		"claims changed":          parts[0] + "." + base64.RawURLEncoding.EncodeToString(changed) + "." + parts[2],
		"signed by somebody else": forged,
		"no signature":            parts[0] + "." + parts[1] + ".",
		"alg none":                "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + parts[1] + ".",
		"many dots":               strings.Repeat(".", 4000),
	} {
		t.Run(name, func(t *testing.T) { wantError(t, c.get("/accounts", foreign, nil), 401, "invalid_token") })
	}
}

func TestResourceWithCertificate(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", withCertificate)
	token := c.tokens().text("access_token")
	other := *c
	withCertificate(&other, map[string]any{})
	other.http = w.transport(&other)
	wantError(t, other.get("/accounts", token, nil), 401, "invalid_token")
	none := *c
	none.certificate = nil
	none.http = w.transport(&none)
	wantError(t, none.get("/accounts", token, nil), 401, "invalid_token") // the listener without certificates
	wantError(t, c.get("/accounts", token, func(h http.Header) { h.Set("Authorization", "DPoP "+token) }), 401, "invalid_token")
	// A header that an ingress might send proves nothing on a listener that terminates TLS itself.
	encoded := base64.StdEncoding.EncodeToString(c.certificate.Leaf.Raw)
	wantError(t, none.get("/accounts", token, func(h http.Header) { h.Set("Client-Cert", ":"+encoded+":") }), 401, "invalid_token")
}
