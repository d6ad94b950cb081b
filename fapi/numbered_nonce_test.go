package fapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Covers: DP-06, SP-20, ATTACK-13. Where nonces are demanded, a proof without a fresh one is refused everywhere, and each
// answer brings the next.
func TestDP06Nonces(t *testing.T) {
	w := newWorld(t, func(c *fapiConfig, _ *autoInteractor) { c.RequireDPoPNonce = true })
	c := w.register("client-1", nil)
	carrying := func(path, nonce string) change {
		value := any(nonce)
		if nonce == "" {
			value = nil
		}
		return c.proving(path, claim("nonce", value))
	}
	nonceOf := func(t *testing.T, r reply) string {
		t.Helper()
		nonces := r.header.Values("DPoP-Nonce")
		if len(nonces) != 1 || nonces[0] == "" {
			t.Fatalf("%d: DPoP-Nonce %q", r.status, nonces)
		}
		return nonces[0]
	}
	nonce := nonceOf(t, c.push(carrying("/par", "")))
	_, _, sentTo := w.browser().visit(w.authorizeURL(c.id, c.push(carrying("/par", nonce)).text("request_uri")))
	if sentTo == nil || sentTo.Query().Get("code") == "" {
		t.Fatalf("sent to %v", sentTo)
	}
	code := sentTo.Query().Get("code")
	issued := c.redeem(code, carrying("/token", nonce))
	if issued.status != http.StatusOK {
		t.Fatalf("%d %s", issued.status, issued.raw)
	}
	refreshToken := issued.text("refresh_token")
	token := issued.text("access_token")
	places := map[string]struct {
		send   func(nonce string) reply
		status int
	}{
		"PAR":                {func(nonce string) reply { return c.push(carrying("/par", nonce)) }, 400},
		"the token endpoint": {func(nonce string) reply { return c.refresh(refreshToken, carrying("/token", nonce)) }, 400},
		"a resource": {func(nonce string) reply {
			return c.get("/accounts", token, func(h http.Header) {
				h.Set("DPoP", c.proof("GET", w.issuer+"/accounts", token, func(body claims) {
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
			good("", nil).check(t, r)
			nonceOf(t, r)
		})
		for what, wrong := range map[string]string{
			"no nonce": "", "an invented nonce": random(), "a nonce with a changed character": altered(nonce), "a nonce cut short": nonce[:len(nonce)-1], "a nonce of 600 characters": strings.Repeat("n", 600),
		} {
			t.Run("refuses "+what+" at "+name+", and offers one that works", func(t *testing.T) {
				r := place.send(wrong)
				code := "use_dpop_nonce"
				if len(wrong) > 512 {
					code = "invalid_dpop_proof" // it is not looked at
				}
				wantError(t, r, place.status, code)
				if place.status == 401 && !strings.Contains(r.header.Get("WWW-Authenticate"), code) {
					t.Errorf("WWW-Authenticate %q", r.header.Get("WWW-Authenticate"))
				}
				good("", nil).check(t, place.send(nonceOf(t, r)))
			})
		}
	}
	t.Run("accepts a code that a missing nonce did not spend", func(t *testing.T) {
		_, _, sentTo := w.browser().visit(w.authorizeURL(c.id, c.push(carrying("/par", nonce)).text("request_uri")))
		code := sentTo.Query().Get("code")
		wantError(t, c.redeem(code, carrying("/token", "")), 400, "use_dpop_nonce")
		good("", nil).check(t, c.redeem(code, carrying("/token", nonce)))
	})
	changed := func() string {
		before := nonceOf(t, c.push(carrying("/par", "")))
		for range 24 * 60 {
			w.clock.Advance(10 * time.Second)
			if now := nonceOf(t, c.push(carrying("/par", ""))); now != before {
				return now
			}
		}
		t.Fatal("the nonce never changes")
		return ""
	}
	t.Run("accepts the nonce before the current one", func(t *testing.T) {
		before := nonceOf(t, c.push(carrying("/par", "")))
		changed()
		good("", nil).check(t, c.push(carrying("/par", before)))
	})
	t.Run("refuses an older one, and with it proofs that were made in advance", func(t *testing.T) {
		old := nonceOf(t, c.push(carrying("/par", "")))
		for range 3 {
			changed()
		}
		wantError(t, c.push(carrying("/par", old)), 400, "use_dpop_nonce")
	})
	t.Run("accepts the nonce of an answer to a push without a proof", func(t *testing.T) {
		if r := c.push(carrying("/par", nonceOf(t, c.push(func(_ url.Values, h http.Header) { h.Del("DPoP") })))); r.status != http.StatusCreated {
			t.Errorf("%d %s", r.status, r.raw)
		}
	})
}
