package rs_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"countersign/rs"
)

// keyOf is a key of a client for package rs.
func keyOf(t *testing.T, key jose.PrivateKey) rs.Key {
	t.Helper()
	made, err := rs.NewKey(key.Signer(), key.ID(), "")
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// counting counts the introspections that pass through a transport.
type counting struct {
	http.RoundTripper
	count atomic.Int64
}

// RoundTrip implements [http.RoundTripper].
func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/introspect") {
		c.count.Add(1)
	}
	return c.RoundTripper.RoundTrip(r)
}

// Covers: RS-16. Tokens by introspection: of a real server, in JSON or signed, with private_key_jwt or a certificate; a token that is revoked
// ends at once, or after the time that its answer is used again (RFC 7662, RFC 9701).
func TestRS16Introspection(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	ledger := w.ResourceServer("ledger", fapitest.LedgerAPI)
	byCertificate := w.Register("ledger-mtls", func(c *fapitest.Client, m map[string]any) {
		fapitest.TLSClientAuth(c, m)
		m["resource_identifiers"], m["grant_types"] = []string{fapitest.LedgerAPI}, []string{}
		for _, name := range []string{"redirect_uris", "response_types", "tls_client_certificate_bound_access_tokens", "scope"} {
			delete(m, name)
		}
	})
	c := w.Register("client-1", fapitest.AllScopes)
	bound := w.Register("client-2", fapitest.All(fapitest.AllScopes, fapitest.CertificateBound))
	for name, change := range map[string]func(*rs.Config){
		"in JSON": func(config *rs.Config) {
			config.Introspection = &rs.Introspection{ClientID: ledger.ID, Key: keyOf(t, ledger.Key)}
		},
		"signed": func(config *rs.Config) {
			config.Introspection = &rs.Introspection{ClientID: ledger.ID, Key: keyOf(t, ledger.Key), Signed: true}
		},
		"with a certificate": func(config *rs.Config) {
			config.HTTP = byCertificate.HTTP
			config.Introspection = &rs.Introspection{ClientID: byCertificate.ID}
		},
	} {
		a := newAPI(t, w, change)
		t.Run("accepts an active token "+name, func(t *testing.T) {
			r := a.get(c, tokenOf(c), nil)
			if r.Status != http.StatusOK || r.Text("Subject") != "sub-alice" || r.Text("Client") != c.ID {
				t.Errorf("answered %d %s", r.Status, r.Raw)
			}
			fapitest.WantOK(t, a.get(bound, tokenOf(bound), nil))
		})
		t.Run("refuses "+name+" what is not from whom it is bound to", func(t *testing.T) {
			token := tokenOf(c)
			r := a.get(c, token, func(h http.Header) { h.Set("DPoP", c.Proof("POST", a.URL+"/accounts", token, nil)) })
			a.want(t, r, http.StatusUnauthorized, "invalid_dpop_proof", rs.BadProof)
			a.want(t, a.get(bound.WithCertificate(nil), tokenOf(bound), nil), http.StatusUnauthorized, "invalid_token", rs.WrongSender)
		})
		t.Run("refuses "+name+" a token that was revoked, is for others, or is none", func(t *testing.T) {
			token := tokenOf(c)
			fapitest.WantOK(t, a.get(c, token, nil))
			fapitest.WantOK(t, c.Revoke(token, nil))
			for _, bad := range []string{token, c.Tokens().Text("access_token"), "unknown"} {
				a.want(t, a.get(c, bad, nil), http.StatusUnauthorized, "invalid_token", rs.Inactive)
			}
			a.want(t, a.get(c, "un known", nil), http.StatusUnauthorized, "invalid_token", rs.BadForm)
		})
	}
	t.Run("accepts an answer again for its time, and refuses after it", func(t *testing.T) {
		count := &counting{RoundTripper: w.Transport(&fapitest.Client{World: w}).Transport}
		a := newAPI(t, w, func(config *rs.Config) {
			config.HTTP = &http.Client{Transport: count}
			config.Introspection = &rs.Introspection{ClientID: ledger.ID, Key: keyOf(t, ledger.Key), Signed: true, Cache: 10 * time.Second}
		})
		token := tokenOf(c)
		for range 5 {
			fapitest.WantOK(t, a.get(c, token, nil))
		}
		fapitest.WantOK(t, c.Revoke(token, nil))
		w.Clock.Advance(9 * time.Second)
		fapitest.WantOK(t, a.get(c, token, nil))
		if asked := count.count.Load(); asked != 1 {
			t.Errorf("asked %d times", asked)
		}
		w.Clock.Advance(time.Second)
		a.want(t, a.get(c, token, nil), http.StatusUnauthorized, "invalid_token", rs.Inactive)
		late := tokenOf(c)
		fapitest.WantOK(t, a.get(c, late, nil))
		w.Clock.Advance(5 * time.Minute)
		a.want(t, a.get(c, late, nil), http.StatusUnauthorized, "invalid_token", rs.Inactive)
	})
	t.Run("refuses with 503 when the issuer does not know the API", func(t *testing.T) {
		a := newAPI(t, w, func(config *rs.Config) {
			config.Introspection = &rs.Introspection{ClientID: "stranger", Key: keyOf(t, ledger.Key)}
		})
		a.want(t, a.get(c, tokenOf(c), nil), http.StatusServiceUnavailable, "temporarily_unavailable", rs.Unavailable)
	})
	t.Run("accepts the keys of the API at its address, and no private ones", func(t *testing.T) {
		own := keyOf(t, fapitest.NewKey(t, jose.ES256))
		nobody := func(context.Context, *rs.Token) (rs.ClientKeys, error) { return rs.ClientKeys{}, nil }
		for _, signing := range []rs.Key{own, keyOf(t, ledger.Key)} {
			a := newAPI(t, w, func(config *rs.Config) {
				config.Introspection = &rs.Introspection{ClientID: ledger.ID, Key: keyOf(t, ledger.Key)}
				config.Messages = &rs.Messages{Keys: nobody, Key: signing}
			})
			a.mux.Handle("/keys", a.guard.Keys())
			_, served := w.Request(t, http.MethodGet, a.URL+"/keys", nil, "")
			set, err := jose.ParseKeySet([]byte(served))
			if err != nil {
				t.Fatal(err)
			}
			want := []string{signing.ID(), ledger.Key.ID()}
			if signing.ID() == ledger.Key.ID() {
				want = want[:1]
			}
			var got []string
			for _, key := range set.Keys() {
				got = append(got, key.ID)
			}
			if !slices.Equal(got, want) {
				t.Errorf("served %v, want %v", got, want)
			}
		}
	})
	t.Run("refuses keys of another kind", func(t *testing.T) {
		if _, err := rs.NewKey(ledger.Key.Signer(), "k", "PS256"); err == nil {
			t.Error("accepted")
		}
		if _, err := rs.NewKey(nil, "k", ""); err == nil {
			t.Error("accepted")
		}
	})
}

// Covers: RS-17. Answers of an introspection that are not what was asked for are no answers.
func TestRS17IntrospectionAnswers(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	ledger := w.ResourceServer("ledger", fapitest.LedgerAPI)
	c := w.Register("client-1", fapitest.AllScopes)
	token := tokenOf(c)
	active := fapitest.Claims{
		"active": true, "iss": w.Issuer, "sub": "sub-alice", "client_id": c.ID, "aud": fapitest.LedgerAPI, "scope": "accounts",
		"exp": w.Clock.Now().Add(time.Minute).Unix(), "cnf": map[string]any{"jkt": c.ProofKey.Key().Thumbprint()},
	}
	signed := func(typ string, alter func(fapitest.Claims)) string {
		body := fapitest.Claims{"iss": w.Issuer, "aud": ledger.ID, "iat": w.Clock.Now().Unix(), "token_introspection": active}
		if alter != nil {
			alter(body)
		}
		return w.SignAsServer("PS256", typ, body)
	}
	const media, kind = "application/token-introspection+jwt", "token-introspection+jwt"
	changed := func(name string, value any) fapitest.Claims {
		body := fapitest.Claims{}
		for claim, old := range active {
			body[claim] = old
		}
		fapitest.SetClaim(name, value)(body)
		return body
	}
	try := func(t *testing.T, wantSigned bool, media, body string) (*api, fapitest.Reply) {
		t.Helper()
		issuer := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", media)
			_, _ = io.WriteString(w, body)
		}))
		certificate, _ := fapitest.ServerCertificate(t)
		issuer.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
		issuer.StartTLS()
		t.Cleanup(issuer.Close)
		a := newAPI(t, w, func(config *rs.Config) {
			config.Introspection = &rs.Introspection{ClientID: ledger.ID, Key: keyOf(t, ledger.Key), Signed: wantSigned, URL: issuer.URL}
		})
		return a, a.get(c, token, nil)
	}
	t.Run("accepts a signed answer", func(t *testing.T) {
		_, r := try(t, true, media, signed(kind, nil))
		fapitest.WantOK(t, r)
	})
	t.Run("accepts an answer in JSON, of an issuer that says less", func(t *testing.T) {
		_, r := try(t, false, "application/json;charset=UTF-8", fapitest.JSON(changed("iss", nil)))
		fapitest.WantOK(t, r)
	})
	stranger := fapitest.NewKey(t, jose.ES256)
	for name, one := range map[string]struct{ media, body string }{
		"JSON in place of a signed answer": {"application/json", fapitest.JSON(active)},
		"JSON that says it is signed":      {media, fapitest.JSON(active)},
		"another type":                     {media, signed("JWT", nil)},
		"an access token":                  {media, token},
		"another issuer":                   {media, signed(kind, fapitest.SetClaim("iss", "https://other.example"))},
		"an answer for another":            {media, signed(kind, fapitest.SetClaim("aud", "payments"))},
		"an old answer":                    {media, signed(kind, fapitest.SetClaim("iat", w.Clock.Now().Unix()-61))},
		"an answer of the future":          {media, signed(kind, fapitest.SetClaim("iat", w.Clock.Now().Unix()+31))},
		"an answer of no time":             {media, signed(kind, fapitest.SetClaim("iat", nil))},
		"an answer about nothing":          {media, signed(kind, fapitest.SetClaim("token_introspection", nil))},
		"a stranger's signature":           {media, c.Sign(stranger, kind, fapitest.Claims{"iss": w.Issuer, "aud": ledger.ID, "iat": w.Clock.Now().Unix(), "token_introspection": active})},
		"an answer that is too large":      {media, strings.Repeat("a", 300<<10)},
		"a page":                           {"text/html", "<html>"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			a, r := try(t, true, one.media, one.body)
			a.want(t, r, http.StatusServiceUnavailable, "temporarily_unavailable", rs.Unavailable)
		})
	}
	for name, one := range map[string]struct {
		body   string
		reason rs.Reason
	}{
		"active as text":           {fapitest.JSON(changed("active", "true")), rs.Unavailable},
		"active twice":             {`{"active":false,"active":true}`, rs.Unavailable},
		"no active":                {fapitest.JSON(changed("active", nil)), rs.Inactive},
		"a token of another":       {fapitest.JSON(changed("iss", "https://other.example")), rs.BadIssuer},
		"a token for another":      {fapitest.JSON(changed("aud", fapitest.PaymentAPI)), rs.BadAudience},
		"a token for nobody":       {fapitest.JSON(changed("aud", nil)), rs.BadAudience},
		"a token that has expired": {fapitest.JSON(changed("exp", w.Clock.Now().Unix())), rs.Expired},
		"a token not yet valid":    {fapitest.JSON(changed("nbf", w.Clock.Now().Unix()+31)), rs.NotYetValid},
		"a token bound to nothing": {fapitest.JSON(changed("cnf", nil)), rs.NotBound},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			a, r := try(t, false, "application/json", one.body)
			status, code := http.StatusUnauthorized, "invalid_token"
			if one.reason == rs.Unavailable {
				status, code = http.StatusServiceUnavailable, "temporarily_unavailable"
			}
			a.want(t, r, status, code, one.reason)
		})
	}
	t.Run("refuses to take a token elsewhere", func(t *testing.T) {
		certificate, roots := fapitest.ServerCertificate(t)
		var elsewhere atomic.Int64
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				elsewhere.Add(1)
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, fapitest.JSON(active))
				return
			}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusPermanentRedirect)
		}))
		server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
		server.StartTLS()
		t.Cleanup(server.Close)
		a := newAPI(t, w, func(config *rs.Config) {
			config.HTTP = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}} // would follow
			config.Introspection = &rs.Introspection{ClientID: ledger.ID, Key: keyOf(t, ledger.Key), URL: server.URL + "/introspect"}
		})
		a.want(t, a.get(c, token, nil), http.StatusServiceUnavailable, "temporarily_unavailable", rs.Unavailable)
		if elsewhere.Load() != 0 {
			t.Error("the redirect was followed")
		}
	})
}
