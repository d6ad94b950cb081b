package rs_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"countersign/rs"
)

// Covers: RS-07. A token that is bound by DPoP needs a proof by its key, for this request, once (RFC 9449 §4.3, §7, §11.1).
func TestRS07DPoP(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	a := newAPI(t, w, nil)
	c := w.Register("client-1", fapitest.AllScopes)
	token := tokenOf(c)
	address := a.URL + "/accounts"
	proof := func(alter func(fapitest.Claims)) func(http.Header) {
		return func(h http.Header) { h.Set("DPoP", c.Proof("GET", address, token, alter)) }
	}
	for name, alter := range map[string]func(http.Header){
		"a proof for this request":         proof(nil),
		"htu in another spelling":          proof(fapitest.SetClaim("htu", strings.Replace(address, "https://", "HTTPS://", 1)+"?a=b#c")),
		"a proof that is 60 seconds old":   proof(fapitest.SetClaim("iat", w.Clock.Now().Unix()-60)),
		"a proof of a clock that is ahead": proof(fapitest.SetClaim("iat", w.Clock.Now().Unix()+30)),
		"a nonce that nobody asked for":    proof(fapitest.SetClaim("nonce", "n")),
	} {
		t.Run("accepts "+name, func(t *testing.T) { fapitest.WantOK(t, a.get(c, token, alter)) })
	}
	t.Run("accepts a path with percent-encoding", func(t *testing.T) {
		a.handle("/items/{id}")
		fapitest.WantOK(t, a.call(c, http.MethodGet, "/items/a%2Fb%20c", token, nil))
		fapitest.WantOK(t, a.call(c, http.MethodPost, "/items/%7Euser", token, nil))
	})
	t.Run("accepts a prefix that a router takes off", func(t *testing.T) {
		inner := a.guard.Require(rs.Scope("accounts"))(http.HandlerFunc(tell))
		a.mux.Handle("/v1/", http.StripPrefix("/v1", inner))
		fapitest.WantOK(t, a.call(c, http.MethodGet, "/v1/accounts", token, nil))
	})
	other := *c
	other.ProofKey = fapitest.NewKey(t, jose.ES256)
	for name, one := range map[string]struct {
		alter  func(http.Header)
		code   string
		reason rs.Reason
	}{
		"no proof":               {func(h http.Header) { h.Del("DPoP") }, "invalid_dpop_proof", rs.BadProof},
		"two proofs":             {func(h http.Header) { h.Add("DPoP", h.Get("DPoP")) }, "invalid_dpop_proof", rs.BadProof},
		"an empty proof":         {func(h http.Header) { h.Set("DPoP", "") }, "invalid_dpop_proof", rs.BadProof},
		"what is no proof":       {func(h http.Header) { h.Set("DPoP", "a.b.c") }, "invalid_dpop_proof", rs.BadProof},
		"the token as a proof":   {func(h http.Header) { h.Set("DPoP", token) }, "invalid_dpop_proof", rs.BadProof},
		"no ath":                 {proof(fapitest.SetClaim("ath", nil)), "invalid_dpop_proof", rs.BadProof},
		"ath of another token":   {proof(fapitest.SetClaim("ath", fapitest.CodeChallenge("other"))), "invalid_dpop_proof", rs.BadProof},
		"htm of another method":  {proof(fapitest.SetClaim("htm", "POST")), "invalid_dpop_proof", rs.BadProof},
		"htu of another path":    {proof(fapitest.SetClaim("htu", a.URL+"/payments")), "invalid_dpop_proof", rs.BadProof},
		"htu of another host":    {proof(fapitest.SetClaim("htu", "https://evil.example/accounts")), "invalid_dpop_proof", rs.BadProof},
		"htu of the audience":    {proof(fapitest.SetClaim("htu", fapitest.LedgerAPI+"/accounts")), "invalid_dpop_proof", rs.BadProof},
		"no jti":                 {proof(fapitest.SetClaim("jti", nil)), "invalid_dpop_proof", rs.BadProof},
		"a proof that is old":    {proof(fapitest.SetClaim("iat", w.Clock.Now().Unix()-61)), "invalid_dpop_proof", rs.BadProof},
		"a proof of the future":  {proof(fapitest.SetClaim("iat", w.Clock.Now().Unix()+31)), "invalid_dpop_proof", rs.BadProof},
		"a proof by another key": {func(h http.Header) { h.Set("DPoP", other.Proof("GET", address, token, nil)) }, "invalid_token", rs.WrongSender},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			r := a.get(c, token, one.alter)
			a.want(t, r, http.StatusUnauthorized, one.code, one.reason)
			if challenge := r.Header.Get("WWW-Authenticate"); !strings.HasPrefix(challenge, `DPoP algs="PS256 ES256 EdDSA", error=`) {
				t.Errorf("WWW-Authenticate %q", challenge)
			}
		})
	}
	t.Run("refuses a Host of the sender's choice", func(t *testing.T) {
		request, err := http.NewRequest(http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = "evil.example"
		request.Header.Set("Authorization", "DPoP "+token)
		request.Header.Set("DPoP", c.Proof("GET", "https://evil.example/accounts", token, nil))
		a.want(t, c.Do(request), http.StatusUnauthorized, "invalid_dpop_proof", rs.BadProof)
	})
	t.Run("refuses a proof that was used before", func(t *testing.T) {
		used := c.Proof("GET", address, token, nil)
		again := func(h http.Header) { h.Set("DPoP", used) }
		fapitest.WantOK(t, a.get(c, token, again))
		a.want(t, a.get(c, token, again), http.StatusUnauthorized, "invalid_dpop_proof", rs.Replayed)
	})
	t.Run("refuses it also from many at once", func(t *testing.T) {
		used := c.Proof("GET", address, token, nil)
		var running sync.WaitGroup
		answers := make(chan int, 20)
		for range 20 {
			running.Go(func() { answers <- a.get(c, token, func(h http.Header) { h.Set("DPoP", used) }).Status })
		}
		running.Wait()
		close(answers)
		accepted := 0
		for status := range answers {
			if status == http.StatusOK {
				accepted++
			} else if status != http.StatusUnauthorized {
				t.Errorf("answered %d", status)
			}
		}
		if accepted != 1 {
			t.Errorf("%d of 20 were accepted", accepted)
		}
	})
	t.Run("refuses when proofs cannot be remembered", func(t *testing.T) {
		full := newAPI(t, w, func(config *rs.Config) { config.Replay = broken{} })
		r := full.get(c, token, nil)
		full.want(t, r, http.StatusServiceUnavailable, "temporarily_unavailable", rs.Unavailable)
		if r.Header.Get("Retry-After") == "" || strings.Contains(r.Raw, "disk") {
			t.Errorf("answered %v %s", r.Header, r.Raw)
		}
	})
}

// broken is a memory that cannot be reached.
type broken struct{}

// Use implements [rs.Replay].
func (broken) Use(context.Context, [32]byte, time.Time) (bool, error) {
	return false, errors.New("disk full")
}

// Covers: RS-08. Nonces of a ring of seeds, the same on all nodes, and use_dpop_nonce for whoever has none (RFC 9449 §9).
func TestRS08Nonces(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	old, young := []byte(strings.Repeat("o", 32)), []byte(strings.Repeat("y", 32))
	first := newAPI(t, w, func(config *rs.Config) { config.NonceSeeds = [][]byte{old} })
	during := newAPI(t, w, func(config *rs.Config) { config.NonceSeeds = [][]byte{young, old} })
	after := newAPI(t, w, func(config *rs.Config) { config.NonceSeeds = [][]byte{young} })
	c := w.Register("client-1", fapitest.AllScopes)
	token := tokenOf(c)
	with := func(a *api, nonce string) fapitest.Reply {
		return a.get(c, token, func(h http.Header) {
			h.Set("DPoP", c.Proof("GET", a.URL+"/accounts", token, fapitest.SetClaim("nonce", nonce)))
		})
	}
	nonceOf := func(a *api) string {
		t.Helper()
		r := a.get(c, token, nil)
		a.want(t, r, http.StatusUnauthorized, "use_dpop_nonce", rs.BadNonce)
		return r.Header.Get("DPoP-Nonce")
	}
	t.Run("accepts the nonce of the refusal, and offers one with each answer", func(t *testing.T) {
		r := with(first, nonceOf(first))
		fapitest.WantOK(t, r)
		if r.Header.Get("DPoP-Nonce") == "" {
			t.Error("no nonce for the next request")
		}
	})
	t.Run("accepts the nonce of another node, and of the seed from before", func(t *testing.T) {
		fapitest.WantOK(t, with(during, nonceOf(first)))
		fapitest.WantOK(t, with(during, nonceOf(after)))
		fapitest.WantOK(t, with(after, nonceOf(during)))
	})
	t.Run("refuses the nonce of a seed that is gone", func(t *testing.T) {
		after.want(t, with(after, nonceOf(first)), http.StatusUnauthorized, "use_dpop_nonce", rs.BadNonce)
	})
	t.Run("refuses a nonce that somebody made up", func(t *testing.T) {
		first.want(t, with(first, "made-up"), http.StatusUnauthorized, "use_dpop_nonce", rs.BadNonce)
	})
	t.Run("refuses a nonce that is too old", func(t *testing.T) {
		nonce := nonceOf(first)
		w.Clock.Advance(4 * time.Minute)
		token = tokenOf(c)
		first.want(t, with(first, nonce), http.StatusUnauthorized, "use_dpop_nonce", rs.BadNonce)
	})
}

// Covers: RS-09. A token that is bound to a certificate needs that certificate; one that is bound to nothing is refused (RFC 8705 §3).
func TestRS09Certificate(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	a := newAPI(t, w, nil)
	c := w.Register("client-1", fapitest.All(fapitest.AllScopes, fapitest.CertificateBound))
	byDPoP := w.Register("client-2", fapitest.AllScopes)
	token := tokenOf(c)
	t.Run("accepts the certificate of the token", func(t *testing.T) { fapitest.WantOK(t, a.get(c, token, nil)) })
	another := w.ClientCA.Issue(t, c.ID, w.Clock.Now())
	t.Run("refuses another certificate of the same name", func(t *testing.T) {
		a.want(t, a.get(c.WithCertificate(&another), token, nil), http.StatusUnauthorized, "invalid_token", rs.WrongSender)
	})
	t.Run("refuses no certificate", func(t *testing.T) {
		a.want(t, a.get(c.WithCertificate(nil), token, nil), http.StatusUnauthorized, "invalid_token", rs.WrongSender)
	})
	t.Run("refuses the scheme DPoP", func(t *testing.T) {
		r := a.get(c, token, func(h http.Header) { h.Set("Authorization", "DPoP "+token) })
		a.want(t, r, http.StatusUnauthorized, "invalid_token", rs.WrongSender)
	})
	t.Run("refuses a DPoP-bound token with a certificate in place of a proof", func(t *testing.T) {
		r := a.get(c, tokenOf(byDPoP), nil)
		a.want(t, r, http.StatusUnauthorized, "invalid_token", rs.NotBound)
	})
	both := fapitest.UnverifiedClaims(t, tokenOf(byDPoP))
	x5t := fapitest.UnverifiedClaims(t, token)["cnf"].(map[string]any)["x5t#S256"]
	both["cnf"] = map[string]any{"jkt": byDPoP.ProofKey.Key().Thumbprint(), "x5t#S256": x5t}
	twice := w.SignAsServer("ES256", "at+jwt", both)
	holder := *byDPoP
	holder.Certificate, holder.AtMTLS = c.Certificate, true
	holder.HTTP = w.Transport(&holder)
	t.Run("accepts a token that is bound to both, with both", func(t *testing.T) { fapitest.WantOK(t, a.get(&holder, twice, nil)) })
	t.Run("refuses it with one of them", func(t *testing.T) {
		a.want(t, a.get(byDPoP, twice, nil), http.StatusUnauthorized, "invalid_token", rs.WrongSender)
		a.want(t, a.get(c, twice, nil), http.StatusUnauthorized, "invalid_token", rs.NotBound)
	})
	free := fapitest.UnverifiedClaims(t, token)
	delete(free, "cnf")
	bearer := w.SignAsServer("ES256", "at+jwt", free)
	for name, cnf := range map[string]any{"no cnf": nil, "an empty cnf": map[string]any{}, "a cnf of another kind": map[string]any{"kid": "k"}} {
		t.Run("refuses a token with "+name, func(t *testing.T) {
			unbound := w.SignAsServer("ES256", "at+jwt", fapitest.Claims{
				"iss": free["iss"], "sub": free["sub"], "aud": free["aud"], "client_id": free["client_id"], "exp": free["exp"],
				"iat": free["iat"], "jti": free["jti"], "scope": free["scope"], "cnf": cnf,
			})
			if cnf == nil {
				unbound = bearer
			}
			a.want(t, a.get(c, unbound, nil), http.StatusUnauthorized, "invalid_token", rs.NotBound)
			a.want(t, a.get(byDPoP, unbound, nil), http.StatusUnauthorized, "invalid_token", rs.NotBound)
		})
	}
	weak := newAPI(t, w, func(config *rs.Config) { config.Weak.Bearer = true })
	t.Run("accepts a bearer token where Weak says so", func(t *testing.T) {
		fapitest.WantOK(t, weak.get(c.WithCertificate(nil), bearer, nil))
	})
	t.Run("refuses even there a bound token without its key", func(t *testing.T) {
		weak.want(t, weak.get(c.WithCertificate(nil), token, nil), http.StatusUnauthorized, "invalid_token", rs.WrongSender)
		stripped := func(h http.Header) { h.Set("Authorization", "Bearer "+tokenOf(byDPoP)); h.Del("DPoP") }
		weak.want(t, weak.get(byDPoP, "", stripped), http.StatusUnauthorized, "invalid_token", rs.NotBound)
	})
}

// Covers: RS-10. What is weaker has to be named, and is then weaker in just that.
func TestRS10Weak(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	c := w.Register("client-1", fapitest.AllScopes)
	body := fapitest.UnverifiedClaims(t, tokenOf(c))
	plain := w.SignAsServer("ES256", "JWT", fapitest.Claims{
		"iss": body["iss"], "sub": body["sub"], "aud": body["aud"], "azp": c.ID, "exp": body["exp"], "scope": body["scope"], "cnf": body["cnf"],
	})
	strict := newAPI(t, w, nil)
	loose := newAPI(t, w, func(config *rs.Config) { config.Weak.AnyType = true })
	t.Run("accepts a JWT of any type by name", func(t *testing.T) {
		r := loose.get(c, plain, nil)
		if r.Status != http.StatusOK || r.Text("Client") != c.ID {
			t.Errorf("answered %d %s", r.Status, r.Raw)
		}
	})
	t.Run("refuses it otherwise", func(t *testing.T) {
		strict.want(t, strict.get(c, plain, nil), http.StatusUnauthorized, "invalid_token", rs.BadType)
	})
	t.Run("refuses there what is bound to nothing", func(t *testing.T) {
		delete(body, "cnf")
		unbound := w.SignAsServer("ES256", "JWT", body)
		loose.want(t, loose.get(c, unbound, nil), http.StatusUnauthorized, "invalid_token", rs.NotBound)
	})
}
