package tokens_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
)

// Covers: ATTACK-42, ATTACK-04, SP-42. Another issuer with the same HSM keys, the same clients with the same keys and the
// same users: nothing that it gives out, and nothing that is made for it, is good here.
func TestAttack42ForeignIssuer(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t, fapitest.WithBackchannel(), fapitest.WithAuditChain)
	foreign, _ := fapitest.NewFullWorld(t, fapitest.WithBackchannel(), fapitest.WithAuditChain)
	c := w.Register("client-1", fapitest.All(fapitest.AllScopes, fapitest.SignedUserInfo, alsoCIBA))
	there := knowing(foreign, c, fapitest.All(fapitest.AllScopes, fapitest.SignedUserInfo))
	self, selfThere := w.ResourceServer("self", w.Issuer, foreign.Issuer), foreign.ResourceServer("self", w.Issuer, foreign.Issuer)

	own, issued := c.Tokens(), there.Tokens()
	token := issued.Text("access_token")
	kinds := map[string]func() string{
		"access token":         func() string { return token },
		"ID token":             func() string { return issued.Text("id_token") },
		"UserInfo":             func() string { return there.Get("/userinfo", token, nil).Raw },
		"assertion":            func() string { return there.ClientAssertion(nil) },
		"proof for PAR":        func() string { return there.Proof("POST", foreign.Issuer+"/par", "", nil) },
		"proof for a resource": func() string { return there.Proof("GET", foreign.Issuer+"/accounts", token, nil) },
		"refresh token":        func() string { return issued.Text("refresh_token") },
		"code":                 func() string { return there.Authorize() },
	}
	here, abroad := jwtConsumers(c, self, own.Text("access_token")), jwtConsumers(there, selfThere, token)
	for kind, made := range fapitest.Sorted(kinds) {
		for place := range fapitest.Sorted(here) {
			t.Run("refuses the foreign "+kind+" "+place, func(t *testing.T) {
				if here[place].send(t, made()) {
					t.Error("taken")
				}
			})
			if abroad[place].kind == kind {
				t.Run("accepts the "+kind+" "+place+" where it is from", func(t *testing.T) {
					if !abroad[place].send(t, made()) {
						t.Error("not taken")
					}
				})
			}
		}
	}
	// One key signs for both, so that iss alone tells whose token it is, even when the rest fits this server.
	for kind, typ := range map[string]string{"access token": "at+jwt", "ID token": "JWT"} {
		original := own.Text(map[string]string{"access token": "access_token", "ID token": "id_token"}[kind])
		for place, one := range fapitest.Sorted(here) {
			if one.kind != kind {
				continue
			}
			for issuer, fits := range map[string]bool{w.Issuer: true, foreign.Issuer: false, w.Issuer + "/": false, strings.ToUpper(w.Issuer): false, "": false} {
				title := "refuses an " + kind + " with the issuer "
				if fits {
					title = "accepts an " + kind + " with the issuer "
				}
				body := fapitest.UnverifiedClaims(t, original)
				body["iss"] = issuer
				t.Run(title+url.QueryEscape(issuer)+" "+place, func(t *testing.T) {
					if took := one.send(t, w.SignAsServer("PS256", typ, body)); took != fits {
						t.Errorf("taken: %v", took)
					}
				})
			}
		}
	}
	t.Run("refuses a request that was pushed there", func(t *testing.T) {
		pushed := there.Push(nil).Text("request_uri")
		if status, _, sentTo := w.Browser().Visit(w.AuthorizeURL(c.ID, pushed)); status != http.StatusBadRequest || sentTo != nil {
			t.Errorf("%d, sent to %v", status, sentTo)
		}
	})
	t.Run("refuses to revoke what was issued there", func(t *testing.T) {
		for _, kind := range []string{"access_token", "refresh_token"} {
			fapitest.WantOK(t, c.Revoke(issued.Text(kind), nil)) // unknown is as good as revoked (RFC 7009 §2.2)
		}
		fapitest.WantOK(t, there.Get("/accounts", token, nil))
		fapitest.WantOK(t, there.Refresh(issued.Text("refresh_token"), nil))
	})
	b := foreign.Browser()
	there.AuthorizeIn(b, nil)
	t.Run("accepts a sign-in where it was made", func(t *testing.T) {
		if q := there.AuthorizeIn(b, fapitest.Set("prompt", "none")); q.Get("code") == "" {
			t.Errorf("%v", q)
		}
	})
	t.Run("refuses it here, though the browser brings its cookie", func(t *testing.T) {
		both := w.Browser()
		both.HTTP.Jar = b.HTTP.Jar // cookies do not know ports
		fapitest.WantRedirectError(t, c.AuthorizeIn(both, fapitest.Set("prompt", "none")), "login_required")
	})
}

// knowing gives a world another copy of a client that is registered elsewhere with the same keys.
func knowing(w *fapitest.World, c *fapitest.Client, change func(*fapitest.Client, map[string]any)) *fapitest.Client {
	w.T.Helper()
	return w.Register(c.ID, fapitest.All(change, func(copied *fapitest.Client, m map[string]any) {
		copied.Key, copied.ProofKey, copied.Certificate = c.Key, c.ProofKey, c.Certificate
		if m["jwks"] != nil {
			m["jwks"] = fapitest.KeySet(c.Key.PublicJWK())
		}
	}))
}
