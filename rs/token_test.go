package rs_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"countersign/rs"
)

// Covers: RS-05. A token of the issuer for this API, at the right time, and nothing else (RFC 9068 §4).
func TestRS05Token(t *testing.T) {
	t.Parallel()
	w, user := fapitest.NewFullWorld(t)
	user.Is("sub-alice", fapitest.ACRKey)
	a := newAPI(t, w, nil)
	c := w.Register("client-1", fapitest.AllScopes)
	token := tokenOf(c)
	t.Run("accepts a token of the issuer, and says what is in it", func(t *testing.T) {
		var seen *rs.Token
		a.mux.Handle("/whole", a.guard.Require()(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen, _ = rs.FromContext(r.Context()) })))
		if r := a.call(c, http.MethodGet, "/whole", token, nil); r.Status != http.StatusOK || seen == nil {
			t.Fatalf("answered %d %s", r.Status, r.Raw)
		}
		now := w.Clock.Now()
		if seen.Issuer != w.Issuer || seen.Subject != "sub-alice" || seen.ClientID != c.ID || seen.ID == "" || !seen.IsUser() ||
			!cmp.Equal(seen.Audience, []string{fapitest.LedgerAPI}) || !seen.HasScope("accounts") || seen.HasScope("payments") ||
			!seen.Expires.Equal(now.Add(5*time.Minute)) || !seen.IssuedAt.Equal(now) || !seen.AuthTime.Equal(now) ||
			seen.ACR != fapitest.ACRKey || !slices.Contains(seen.AMR, "hwk") || seen.JKT != c.ProofKey.Key().Thumbprint() || seen.X5T != "" {
			t.Errorf("the API learns %+v", seen)
		}
		var claims struct {
			ID string `json:"jti"`
		}
		if err := seen.Claims(&claims); err != nil || claims.ID != seen.ID {
			t.Errorf("claims %+v, %v", claims, err)
		}
	})
	t.Run("accepts a token of the client itself", func(t *testing.T) {
		machine := w.Register("machine", fapitest.ClientCredentialsOnly)
		if r := a.get(machine, machine.ClientCredentials(forLedger).Text("access_token"), nil); r.Status != http.StatusOK || r.Text("Subject") != "machine" {
			t.Errorf("answered %d %s", r.Status, r.Raw)
		}
	})
	body := fapitest.UnverifiedClaims(t, token)
	signed := func(alg, typ string, alter func(fapitest.Claims)) string {
		changed := maps.Clone(body)
		if alter != nil {
			alter(changed)
		}
		return w.SignAsServer(alg, typ, changed)
	}
	for _, alg := range []string{"PS256", "ES256", "EdDSA"} {
		t.Run("accepts "+alg, func(t *testing.T) {
			fapitest.WantOK(t, a.get(c, signed(alg, "at+jwt", nil), nil))
		})
	}
	now := w.Clock.Now().Unix()
	for name, alter := range map[string]func(fapitest.Claims){
		"several audiences":                    fapitest.SetClaim("aud", []string{"https://other.example", fapitest.LedgerAPI}),
		"a clock that is ahead":                fapitest.SetClaim("iat", now+30),
		"a last second":                        fapitest.SetClaim("exp", now+1),
		"nbf that has come":                    fapitest.SetClaim("nbf", now),
		"claims that nobody here has heard of": fapitest.SetClaim("tenant", map[string]any{"id": 1}),
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			fapitest.WantOK(t, a.get(c, signed("ES256", "application/at+jwt", alter), nil))
		})
	}
	for name, one := range map[string]struct {
		token  string
		reason rs.Reason
	}{
		"another issuer":                  {signed("ES256", "at+jwt", fapitest.SetClaim("iss", "https://other.example")), rs.BadIssuer},
		"the issuer with a slash":         {signed("ES256", "at+jwt", fapitest.SetClaim("iss", w.Issuer+"/")), rs.BadIssuer},
		"no issuer":                       {signed("ES256", "at+jwt", fapitest.SetClaim("iss", nil)), rs.BadIssuer},
		"another audience":                {signed("ES256", "at+jwt", fapitest.SetClaim("aud", w.Issuer)), rs.BadAudience},
		"an audience that begins so":      {signed("ES256", "at+jwt", fapitest.SetClaim("aud", fapitest.LedgerAPI+"/more")), rs.BadAudience},
		"no audience":                     {signed("ES256", "at+jwt", fapitest.SetClaim("aud", nil)), rs.BadAudience},
		"a token that has expired":        {signed("ES256", "at+jwt", fapitest.SetClaim("exp", now)), rs.Expired},
		"no exp":                          {signed("ES256", "at+jwt", fapitest.SetClaim("exp", nil)), rs.BadClaims},
		"exp as text":                     {signed("ES256", "at+jwt", fapitest.SetClaim("exp", "soon")), rs.BadForm},
		"iat in the future":               {signed("ES256", "at+jwt", fapitest.SetClaim("iat", now+31)), rs.NotYetValid},
		"nbf in the future":               {signed("ES256", "at+jwt", fapitest.SetClaim("nbf", now+31)), rs.NotYetValid},
		"no sub":                          {signed("ES256", "at+jwt", fapitest.SetClaim("sub", nil)), rs.BadClaims},
		"no client_id":                    {signed("ES256", "at+jwt", fapitest.SetClaim("client_id", nil)), rs.BadClaims},
		"no jti":                          {signed("ES256", "at+jwt", fapitest.SetClaim("jti", nil)), rs.BadClaims},
		"no iat":                          {signed("ES256", "at+jwt", fapitest.SetClaim("iat", nil)), rs.BadClaims},
		"the type of an ID token":         {signed("ES256", "JWT", nil), rs.BadType},
		"no type":                         {signed("ES256", "", nil), rs.BadType},
		"an ID token":                     {c.Tokens().Text("id_token"), rs.BadType},
		"a key that is no issuer's":       {c.Sign(c.Key, "at+jwt", body), rs.BadSignature},
		"the issuer's kid on another key": {c.Sign(fapitest.NewKey(t, jose.ES256), "at+jwt", body), rs.BadSignature},
		"alg none":                        {fapitest.HandSigned(t, fapitest.Claims{"alg": "none", "typ": "at+jwt"}, body, func([]byte) []byte { return nil }), rs.BadAlgorithm},
		"alg HS256":                       {fapitest.HandSigned(t, fapitest.Claims{"alg": "HS256", "typ": "at+jwt"}, body, func([]byte) []byte { return make([]byte, 32) }), rs.BadAlgorithm},
		"alg RS256":                       {fapitest.HandSigned(t, fapitest.Claims{"alg": "RS256", "typ": "at+jwt"}, body, func([]byte) []byte { return make([]byte, 256) }), rs.BadAlgorithm},
		"a key in the header":             {fapitest.HandSigned(t, fapitest.Claims{"alg": "ES256", "typ": "at+jwt", "jwk": fapitest.Claims{"kty": "EC"}}, body, func([]byte) []byte { return make([]byte, 64) }), rs.BadForm},
		"crit in the header":              {fapitest.HandSigned(t, fapitest.Claims{"alg": "ES256", "typ": "at+jwt", "crit": []string{"exp"}}, body, func([]byte) []byte { return make([]byte, 64) }), rs.BadForm},
		"a changed payload":               {strings.Replace(token, ".", ".e30", 1), rs.BadForm},
		"a cut signature":                 {token[:len(token)-10], rs.BadForm},
		"what is no JWT":                  {"opaque-token", rs.BadForm},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			a.want(t, a.get(c, one.token, nil), http.StatusUnauthorized, "invalid_token", one.reason)
		})
	}
	t.Run("refuses an algorithm that is not configured", func(t *testing.T) {
		only := newAPI(t, w, func(config *rs.Config) { config.Algorithms = []string{"PS256"} })
		only.want(t, only.get(c, signed("ES256", "at+jwt", nil), nil), http.StatusUnauthorized, "invalid_token", rs.BadAlgorithm)
	})
	t.Run("accepts another audience where a route says so", func(t *testing.T) {
		a.handle("/both", rs.Audience(fapitest.PaymentAPI))
		paid := c.TokensFor(fapitest.Set("resource", fapitest.PaymentAPI)).Text("access_token")
		fapitest.WantOK(t, a.call(c, http.MethodGet, "/both", paid, nil))
		a.want(t, a.get(c, paid, nil), http.StatusUnauthorized, "invalid_token", rs.BadAudience)
	})
	w.Clock.Advance(5 * time.Minute)
	t.Run("refuses a real token when its time is over", func(t *testing.T) {
		a.want(t, a.get(c, token, nil), http.StatusUnauthorized, "invalid_token", rs.Expired)
	})
}

// Covers: RS-06. How a token comes: in one Authorization header, and what is said to a request without one.
func TestRS06Credentials(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	a := newAPI(t, w, nil)
	c := w.Register("client-1", fapitest.AllScopes)
	token := tokenOf(c)
	for name, alter := range map[string]func(http.Header){
		"DPoP":              nil,
		"dpop, in any case": func(h http.Header) { h.Set("Authorization", "dPoP "+token) },
	} {
		t.Run("accepts "+name, func(t *testing.T) { fapitest.WantOK(t, a.get(c, token, alter)) })
	}
	for name, one := range map[string]struct {
		alter  func(http.Header)
		status int
		code   string
		reason rs.Reason
	}{
		"two tokens":              {func(h http.Header) { h.Add("Authorization", "DPoP "+token) }, 400, "invalid_request", rs.BadRequest},
		"a scheme alone":          {func(h http.Header) { h.Set("Authorization", "DPoP") }, 400, "invalid_request", rs.BadRequest},
		"an empty token":          {func(h http.Header) { h.Set("Authorization", "DPoP ") }, 400, "invalid_request", rs.BadRequest},
		"too long a token":        {func(h http.Header) { h.Set("Authorization", "DPoP "+strings.Repeat("a", 17<<10)) }, 400, "invalid_request", rs.BadRequest},
		"Basic":                   {func(h http.Header) { h.Set("Authorization", "Basic YTpi") }, 401, "invalid_token", rs.BadRequest},
		"a bound token as Bearer": {func(h http.Header) { h.Set("Authorization", "Bearer "+token) }, 401, "invalid_token", rs.NotBound},
	} {
		t.Run("refuses "+name, func(t *testing.T) { a.want(t, a.get(c, token, one.alter), one.status, one.code, one.reason) })
	}
	t.Run("refuses a token in the address", func(t *testing.T) {
		r := a.call(c, http.MethodGet, "/accounts?access_token="+token, token, nil)
		a.want(t, r, 400, "invalid_request", rs.BadRequest)
	})
	t.Run("refuses a request without a token, with challenges and no error code in them", func(t *testing.T) {
		r := a.get(c, token, func(h http.Header) { h.Del("Authorization") })
		a.want(t, r, http.StatusUnauthorized, "invalid_token", rs.NoCredentials)
		if diff := cmp.Diff([]string{`DPoP algs="PS256 ES256 EdDSA"`, "Bearer"}, r.Header.Values("WWW-Authenticate")); diff != "" {
			t.Errorf("challenges (-want +got): %s", diff)
		}
	})
	t.Run("refuses in the form of the API", func(t *testing.T) {
		own := newAPI(t, w, func(config *rs.Config) {
			config.Answer = func(w http.ResponseWriter, _ *http.Request, e *rs.Error) {
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(e.Status)
				_, _ = w.Write([]byte(`{"title":"` + e.Code + `"}`))
			}
		})
		r := own.get(c, token+"x", nil)
		if r.Status != 401 || r.Text("title") != "invalid_token" || r.Header.Get("Content-Type") != "application/problem+json" || !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "DPoP ") {
			t.Errorf("answered %d %v %s", r.Status, r.Header, r.Raw)
		}
	})
}
