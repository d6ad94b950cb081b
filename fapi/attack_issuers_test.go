package fapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Covers: ATTACK-42, ATTACK-04, SP-42. Another issuer with the same HSM keys, the same clients with the same keys and the
// same people: nothing that it gives out, and nothing that is made for it, is good here.
func TestAttack42ForeignIssuer(t *testing.T) {
	w, _ := wholeWorld(t, withBackchannel(), chained)
	foreign, _ := wholeWorld(t, withBackchannel(), chained)
	c := w.register("client-1", all(wide, signedUserInfo, asksToo))
	there := foreign.knowing(c, all(wide, signedUserInfo))
	self, selfThere := w.resourceServer("self", w.issuer, foreign.issuer), foreign.resourceServer("self", w.issuer, foreign.issuer)

	own, issued := c.tokens(), there.tokens()
	token := issued.text("access_token")
	kinds := map[string]func() string{
		"access token":         func() string { return token },
		"ID token":             func() string { return issued.text("id_token") },
		"UserInfo":             func() string { return there.get("/userinfo", token, nil).raw },
		"assertion":            func() string { return there.clientAssertion(nil) },
		"proof for PAR":        func() string { return there.proof("POST", foreign.issuer+"/par", "", nil) },
		"proof for a resource": func() string { return there.proof("GET", foreign.issuer+"/accounts", token, nil) },
		"refresh token":        func() string { return issued.text("refresh_token") },
		"code":                 func() string { return there.authorize() },
	}
	here, abroad := consumers(c, self, own.text("access_token")), consumers(there, selfThere, token)
	for kind, made := range inOrder(kinds) {
		for place := range inOrder(here) {
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
		original := own.text(map[string]string{"access token": "access_token", "ID token": "id_token"}[kind])
		for place, one := range inOrder(here) {
			if one.kind != kind {
				continue
			}
			for issuer, fits := range map[string]bool{w.issuer: true, foreign.issuer: false, w.issuer + "/": false, strings.ToUpper(w.issuer): false, "": false} {
				title := "refuses an " + kind + " with the issuer "
				if fits {
					title = "accepts an " + kind + " with the issuer "
				}
				body := claimsIn(t, original)
				body["iss"] = issuer
				t.Run(title+url.QueryEscape(issuer)+" "+place, func(t *testing.T) {
					if took := one.send(t, w.ownSignature("PS256", typ, body)); took != fits {
						t.Errorf("taken: %v", took)
					}
				})
			}
		}
	}
	t.Run("refuses a request that was pushed there", func(t *testing.T) {
		pushed := there.push(nil).text("request_uri")
		if status, _, sentTo := w.browser().visit(w.authorizeURL(c.id, pushed)); status != http.StatusBadRequest || sentTo != nil {
			t.Errorf("%d, sent to %v", status, sentTo)
		}
	})
	t.Run("refuses to revoke what was issued there", func(t *testing.T) {
		for _, kind := range []string{"access_token", "refresh_token"} {
			wantActive(t, c.revoke(issued.text(kind), nil)) // unknown is as good as revoked (RFC 7009 §2.2)
		}
		wantActive(t, there.get("/accounts", token, nil))
		wantActive(t, there.refresh(issued.text("refresh_token"), nil))
	})
	b := foreign.browser()
	there.through(b, nil)
	t.Run("accepts a sign-in where it was made", func(t *testing.T) {
		if q := there.through(b, set("prompt", "none")); q.Get("code") == "" {
			t.Errorf("%v", q)
		}
	})
	t.Run("refuses it here, though the browser brings its cookie", func(t *testing.T) {
		both := w.browser()
		both.http.Jar = b.http.Jar // cookies do not know ports
		wantSent(t, c.through(both, set("prompt", "none")), "login_required")
	})
}
