package fapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// Covers: ATTACK-09, RULE-29. Of many redemptions of one code at once one wins, and because the others are reuse, what
// it bought is revoked.
func TestAttack09CodeReplayRace(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	code := c.authorize()
	replies := make([]reply, 16)
	var wait sync.WaitGroup
	for i := range replies {
		wait.Go(func() { replies[i] = c.redeem(code, nil) })
	}
	wait.Wait()
	var winners, losers []reply
	for _, r := range replies {
		if r.status == http.StatusOK {
			winners = append(winners, r)
		} else {
			losers = append(losers, r)
		}
	}
	t.Run("accepts one of 16", func(t *testing.T) {
		if len(winners) != 1 {
			t.Fatalf("%d", len(winners))
		}
	})
	t.Run("refuses the rest", func(t *testing.T) {
		for _, r := range losers {
			wantError(t, r, 400, "invalid_grant")
		}
	})
	t.Run("refuses what the one bought", func(t *testing.T) {
		for _, r := range winners {
			wantError(t, c.get("/accounts", r.text("access_token"), nil), 401, "invalid_token")
			wantError(t, c.refresh(r.text("refresh_token"), nil), 400, "invalid_grant")
		}
	})
}

// Covers: ATTACK-10, RULE-30. Many refreshes at once all succeed, each with a token of its own, until the grant ends.
func TestAttack10RefreshRace(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	issued := c.tokens()
	race := func() []reply {
		replies := make([]reply, 12)
		var wait sync.WaitGroup
		for i := range replies {
			wait.Go(func() { replies[i] = c.refresh(issued.text("refresh_token"), nil) })
		}
		wait.Wait()
		return replies
	}
	t.Run("accepts all, and doubles none", func(t *testing.T) {
		seen := map[string]bool{}
		for _, r := range race() {
			if r.status != http.StatusOK || seen[r.text("access_token")] {
				t.Fatalf("%d %s", r.status, r.raw)
			}
			seen[r.text("access_token")] = true
		}
	})
	w.revokeGrantOf(t, issued.text("access_token"))
	t.Run("refuses all when the grant has ended", func(t *testing.T) {
		for _, r := range race() {
			wantError(t, r, 400, "invalid_grant")
		}
	})
}

// Covers: ATTACK-02, RULE-12. An assertion works once, also when it is sent many times at once, at any endpoint.
func TestAttack02AssertionReplay(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	one := func() change { return set("client_assertion", c.clientAssertion(nil)) }
	used := one()
	tryAll(t, c.push, good("an assertion", used), bad("the same again", used, 400, "invalid_request"))
	tryAll(t, func(change change) reply { return c.redeem(c.authorize(), change) }, bad("it at another endpoint", used, 400, "invalid_request"))
	t.Run("accepts one of 16 at once", func(t *testing.T) {
		same := one()
		replies := make([]reply, 16)
		var wait sync.WaitGroup
		for i := range replies {
			wait.Go(func() { replies[i] = c.push(same) })
		}
		wait.Wait()
		won := 0
		for _, r := range replies {
			if r.status == http.StatusCreated {
				won++
			} else if r.status != 400 || r.text("error") != "invalid_request" {
				t.Errorf("%d %s", r.status, r.raw)
			}
		}
		if won != 1 {
			t.Errorf("%d succeeded", won)
		}
	})
	now := w.clock.Now()
	tryAll(t, c.push,
		good("the jti of another client", func(form url.Values, _ http.Header) {
			jti := random()
			other := w.register("client-"+jti, nil)
			good("", nil).check(t, other.push(other.asserting(claim("jti", jti))))
			form.Set("client_assertion", c.clientAssertion(claim("jti", jti)))
		}),
		bad("no jti", c.asserting(claim("jti", nil)), 401, "invalid_client"),
		bad("a jti of 300 bytes", c.asserting(claim("jti", strings.Repeat("j", 300))), 401, "invalid_client"),
		bad("no exp", c.asserting(claim("exp", nil)), 401, "invalid_client"),
		bad("an exp that is over", c.asserting(claim("exp", now.Unix())), 401, "invalid_client"),
		bad("an exp an hour ahead", c.asserting(claim("exp", now.Add(time.Hour).Unix())), 401, "invalid_client"),
		bad("an exp that is no number", c.asserting(claim("exp", "soon")), 401, "invalid_client"),
		bad("another iss", c.asserting(claim("iss", "client-2")), 401, "invalid_client"),
		bad("another sub", c.asserting(claim("sub", "client-2")), 401, "invalid_client"),
		bad("no iss", c.asserting(claim("iss", nil)), 401, "invalid_client"),
		bad("no sub", c.asserting(claim("sub", nil)), 401, "invalid_client"))
	t.Run("refuses a replay to the end of the assertion's time", func(t *testing.T) {
		long := c.asserting(func(body claims) { body["jti"], body["exp"] = "long", now.Add(10*time.Minute).Unix() })
		good("", nil).check(t, c.push(long))
		for range 11 {
			w.clock.Advance(time.Minute)
			if r := c.push(long); r.status == http.StatusCreated {
				t.Fatalf("accepted at %s", w.clock.Now().Sub(now))
			}
		}
	})
}

// Covers: ATTACK-44, RULE-06. A parameter is given once, whichever it is.
func TestAttack44ParametersTwice(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	names := []string{
		"client_assertion", "client_assertion_type", "client_id", "response_type", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
		"prompt", "max_age", "login_hint", "dpop_jkt", "response_mode", "request", "authorization_details", "claims", "acr_values", "nonsense",
	}
	tryAll(t, c.push, good("every parameter once", nil))
	for _, name := range names {
		tryAll(t, c.push,
			bad(name+" twice with the same value", func(form url.Values, _ http.Header) {
				if !form.Has(name) {
					form.Set(name, "a")
				}
				form.Add(name, form.Get(name))
			}, 400, "invalid_request"),
			bad(name+" twice with an empty value", func(form url.Values, _ http.Header) {
				if !form.Has(name) {
					form.Set(name, "a")
				}
				form.Add(name, "")
			}, 400, "invalid_request"))
	}
	for _, name := range []string{"grant_type", "code", "redirect_uri", "code_verifier", "client_assertion"} {
		tryAll(t, func(change change) reply { return c.redeem(c.authorize(), change) },
			bad(name+" twice at the token endpoint", func(form url.Values, _ http.Header) { form.Add(name, form.Get(name)) }, 400, "invalid_request"))
	}
	for _, name := range []string{"client_id", "request_uri", "state", "redirect_uri"} {
		t.Run("refuses "+name+" twice at the authorization endpoint", func(t *testing.T) {
			query := url.Values{"client_id": {c.id}, "request_uri": {c.push(nil).text("request_uri")}, "state": {"a"}, "redirect_uri": {c.redirectURI}}
			query.Add(name, query.Get(name))
			if status, _, sentTo := w.browser().visit(w.issuer + "/authorize?" + query.Encode()); status != 400 || sentTo != nil {
				t.Errorf("%d, sent to %v", status, sentTo)
			}
		})
	}
	t.Run("refuses a parameter in the address beside the body", func(t *testing.T) {
		wantError(t, c.post("/par?scope=openid", c.request(), setHeader("DPoP", c.proof("POST", w.issuer+"/par", "", nil))), 400, "invalid_request")
	})
}

// Covers: BC-10. A client cannot pass for a person: no token has the client's name as its subject, and client names
// are not taken from people's.
func TestBC10ClientIsNoPerson(t *testing.T) {
	w := newWorld(t)
	c := w.register("sub-alice", nil) // a client whose identifier is the subject of a person
	issued := c.tokens()
	t.Run("accepts and keeps client and person apart in the token", func(t *testing.T) {
		_, access := w.decode(issued.text("access_token"))
		if access["sub"] != "sub-alice" || access["client_id"] != c.id || access["auth_time"] == nil {
			t.Errorf("%v", access)
		}
	})
	t.Run("refuses a token without a person where one is needed", func(t *testing.T) {
		r := c.post("/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"openid"}}, nil)
		if r.status == http.StatusOK {
			t.Errorf("%d %s", r.status, r.raw)
		}
	})
}

// Covers: BC-11. Nothing is handed over in fragments, in messages between windows, or in forms.
func TestBC11NoBrowserFlows(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	tryAll(t, c.push, good("the query", set("response_mode", "query")))
	for _, mode := range []string{"fragment", "form_post", "web_message", "web_message_relay", "query.jwt", "fragment.jwt", "Query", "cookie"} {
		tryAll(t, c.push, bad("response_mode "+mode, set("response_mode", mode), 400, "invalid_request"))
	}
	t.Run("accepts and leaves the fragment empty", func(t *testing.T) {
		if sentTo := c.opened(t, nil); sentTo.Fragment != "" || !sentTo.Query().Has("code") || sentTo.Query().Has("access_token") || sentTo.Query().Has("id_token") {
			t.Errorf("sent to %s", sentTo)
		}
	})
}
