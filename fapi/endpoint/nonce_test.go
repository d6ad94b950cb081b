package endpoint_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
)

// Covers: DP-06, SP-20, ATTACK-13. Where nonces are demanded, a proof without a fresh one is refused everywhere, and each
// answer brings the next.
func TestDP06Nonces(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, func(c *fapitest.Config) { c.RequireDPoPNonce = true })
	c := w.Register("client-1", nil)
	carrying := func(path, nonce string) fapitest.Change {
		value := any(nonce)
		if nonce == "" {
			value = nil
		}
		return c.ReplaceProof(path, fapitest.SetClaim("nonce", value))
	}
	nonceOf := func(t *testing.T, r fapitest.Reply) string {
		t.Helper()
		nonces := r.Header.Values("DPoP-Nonce")
		if len(nonces) != 1 || nonces[0] == "" {
			t.Fatalf("%d: DPoP-Nonce %q", r.Status, nonces)
		}
		return nonces[0]
	}
	nonce := nonceOf(t, c.Push(carrying("/par", "")))
	_, _, sentTo := w.Browser().Visit(w.AuthorizeURL(c.ID, c.Push(carrying("/par", nonce)).Text("request_uri")))
	if sentTo == nil || sentTo.Query().Get("code") == "" {
		t.Fatalf("sent to %v", sentTo)
	}
	code := sentTo.Query().Get("code")
	issued := c.Redeem(code, carrying("/token", nonce))
	if issued.Status != http.StatusOK {
		t.Fatalf("%d %s", issued.Status, issued.Raw)
	}
	refreshToken := issued.Text("refresh_token")
	token := issued.Text("access_token")
	places := map[string]struct {
		send   func(nonce string) fapitest.Reply
		status int
	}{
		"PAR":                {func(nonce string) fapitest.Reply { return c.Push(carrying("/par", nonce)) }, 400},
		"the token endpoint": {func(nonce string) fapitest.Reply { return c.Refresh(refreshToken, carrying("/token", nonce)) }, 400},
		"a resource": {func(nonce string) fapitest.Reply {
			return c.Get("/accounts", token, func(h http.Header) {
				h.Set("DPoP", c.Proof("GET", w.Issuer+"/accounts", token, func(body fapitest.Claims) {
					if nonce != "" {
						body["nonce"] = nonce
					}
				}))
			})
		}, 401},
	}
	for name, place := range places {
		t.Run("accepts the nonce that was offered at "+name+", and offers the next", func(t *testing.T) {
			r := place.send(nonce)
			fapitest.Good("", nil).Check(t, r)
			nonceOf(t, r)
		})
		for what, wrong := range map[string]string{
			"no nonce": "", "an invented nonce": fapitest.RandomString(), "a nonce with a changed character": fapitest.Altered(nonce), "a nonce cut short": nonce[:len(nonce)-1], "a nonce of 600 characters": strings.Repeat("n", 600),
		} {
			t.Run("refuses "+what+" at "+name+", and offers one that works", func(t *testing.T) {
				r := place.send(wrong)
				code := "use_dpop_nonce"
				if len(wrong) > 512 {
					code = "invalid_dpop_proof" // it is not looked at
				}
				fapitest.WantError(t, r, place.status, code)
				if place.status == 401 && !strings.Contains(r.Header.Get("WWW-Authenticate"), code) {
					t.Errorf("WWW-Authenticate %q", r.Header.Get("WWW-Authenticate"))
				}
				fapitest.Good("", nil).Check(t, place.send(nonceOf(t, r)))
			})
		}
	}
	t.Run("accepts a code that a missing nonce did not consume", func(t *testing.T) {
		_, _, sentTo := w.Browser().Visit(w.AuthorizeURL(c.ID, c.Push(carrying("/par", nonce)).Text("request_uri")))
		code := sentTo.Query().Get("code")
		fapitest.WantError(t, c.Redeem(code, carrying("/token", "")), 400, "use_dpop_nonce")
		fapitest.Good("", nil).Check(t, c.Redeem(code, carrying("/token", nonce)))
	})
	changed := func() string {
		before := nonceOf(t, c.Push(carrying("/par", "")))
		for range 24 * 60 {
			w.Clock.Advance(10 * time.Second)
			if now := nonceOf(t, c.Push(carrying("/par", ""))); now != before {
				return now
			}
		}
		t.Fatal("the nonce never changes")
		return ""
	}
	t.Run("accepts the nonce before the current one", func(t *testing.T) {
		before := nonceOf(t, c.Push(carrying("/par", "")))
		changed()
		fapitest.Good("", nil).Check(t, c.Push(carrying("/par", before)))
	})
	t.Run("refuses an older one, and with it proofs that were made in advance", func(t *testing.T) {
		old := nonceOf(t, c.Push(carrying("/par", "")))
		for range 3 {
			changed()
		}
		fapitest.WantError(t, c.Push(carrying("/par", old)), 400, "use_dpop_nonce")
	})
	t.Run("accepts the nonce of an answer to a push without a proof", func(t *testing.T) {
		if r := c.Push(carrying("/par", nonceOf(t, c.Push(func(_ url.Values, h http.Header) { h.Del("DPoP") })))); r.Status != http.StatusCreated {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
}
