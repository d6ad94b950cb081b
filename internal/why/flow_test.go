package why_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"countersign/internal/why"
	"countersign/store"
)

// keeping is a store that has what was kept.
type keeping struct {
	mu   sync.Mutex
	last []store.Refusal
}

func (k *keeping) AddRefusals(_ context.Context, _ store.RefusalBounds, refusals ...store.Refusal) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last = refusals
	return nil
}

// Covers: NM-60. What a running server refuses is kept so that its rule is found.
func TestNM60Flows(t *testing.T) {
	kept := &keeping{}
	recorder := &why.Recorder{Store: kept, Node: "a", Keep: time.Hour, Most: 100, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	w := fapitest.NewWorld(t, func(c *fapitest.Config) { c.Meter = recorder })
	c, other := w.Register("client-1", nil), w.Register("client-2", nil)
	certified := w.Register("client-3", func(c *fapitest.Client, m map[string]any) {
		c.Assertion, c.AtMTLS = false, true
		m["token_endpoint_auth_method"], m["tls_client_auth_subject_dn"] = "tls_client_auth", "CN=client-3"
		delete(m, "jwks")
	})
	stranger := fapitest.NewKey(t, jose.ES256)
	now := func() int64 { return w.Clock.Now().Unix() }
	push := func(change fapitest.Change) func() { return func() { c.Push(change) } }
	assertion := func(name string, value any) func() { return push(c.ReplaceAssertion(fapitest.SetClaim(name, value))) }
	redeem := func(code func() string, change fapitest.Change) func() { return func() { c.Redeem(code(), change) } }
	proof := func(name string, value any) func() {
		return redeem(c.Authorize, c.ReplaceProof("/token", fapitest.SetClaim(name, value)))
	}
	used := func() string {
		code := c.Authorize()
		c.Redeem(code, nil)
		return code
	}
	late := func() string {
		code := c.Authorize()
		w.Clock.Advance(2 * time.Minute)
		return code
	}
	for rule, send := range map[string]func(){
		"assertion.expired":  assertion("exp", now()-600),
		"assertion.audience": assertion("aud", "https://another.example"),
		"assertion.subject":  assertion("iss", "another"),
		"assertion.lifetime": assertion("exp", now()+86_400),
		"assertion.future":   assertion("iat", now()+3000),
		"assertion.key": push(fapitest.Set("client_assertion", c.Sign(stranger, "", fapitest.Claims{
			"iss": c.ID, "sub": c.ID, "aud": w.Issuer, "jti": "0123456789abcdef", "iat": now(), "exp": now() + 60,
		}))),
		"assertion.replayed": func() {
			same := fapitest.Set("client_assertion", c.ClientAssertion(nil))
			c.Push(same)
			c.Push(same)
		},
		"client.unknown":            push(func(f url.Values, _ http.Header) { f.Del("client_assertion"); f.Set("client_id", "nobody") }),
		"client.unnamed":            push(func(f url.Values, _ http.Header) { f.Del("client_assertion"); f.Del("client_id") }),
		"client.secret":             push(fapitest.Set("client_secret", "secret")),
		"certificate.missing":       func() { certified.Push(nil) },
		"proof.missing":             redeem(c.Authorize, func(_ url.Values, h http.Header) { h.Del("DPoP") }),
		"proof.method":              proof("htm", "GET"),
		"proof.address":             proof("htu", w.Issuer+"/par"),
		"proof.age":                 proof("iat", now()-3600),
		"proof.future":              proof("iat", now()+3600),
		"redirect_uri.unregistered": push(fapitest.Set("redirect_uri", "https://client.example/other")),
		"redirect_uri.other":        redeem(c.Authorize, fapitest.Set("redirect_uri", "https://client.example/other")),
		"pkce.missing":              push(func(f url.Values, _ http.Header) { f.Del("code_challenge") }),
		"pkce.method":               push(fapitest.Set("code_challenge_method", "plain")),
		"pkce.verifier":             redeem(c.Authorize, fapitest.Set("code_verifier", "another-another-another-another-another-another")),
		"artefact.used":             redeem(used, nil),
		"artefact.expired":          redeem(late, nil),
		"artefact.foreign":          redeem(other.Authorize, nil),
		"artefact.unknown":          redeem(func() string { return "made-up" }, nil),
		"scope.unregistered":        push(fapitest.Set("scope", "openid payments")),
	} {
		t.Run("accepts "+rule, func(t *testing.T) {
			w.T = t
			send()
			kept.last = nil
			if err := recorder.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if len(kept.last) == 0 {
				t.Fatal("nothing was refused")
			}
			last := kept.last[len(kept.last)-1]
			if got := why.ExplainCause(last.Code, last.Cause); got.Rule != rule {
				t.Errorf("%s: explained as %s", last.Cause, got.Rule)
			}
		})
	}
	t.Run("refuses to name a rule for what was not told apart", func(t *testing.T) {
		w.T = t
		c.Push(fapitest.Set("max_age", "soon"))
		kept.last = nil
		if err := recorder.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if last := kept.last[len(kept.last)-1]; why.ExplainCause(last.Code, last.Cause).Rule != "invalid_request" {
			t.Errorf("%+v", last)
		}
	})
}
