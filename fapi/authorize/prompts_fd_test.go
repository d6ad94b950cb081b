package authorize_test

import (
	"testing"
	"time"

	"countersign/fapi/fapitest"
)

// Covers: FD-09. prompt=none with a sub does not tell a client that the user never allowed who is signed in.
func TestFD09NamedSubject(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	known, stranger := w.Register("known", nil), w.Register("stranger", nil)
	b := w.Browser()
	known.AuthorizeIn(b, nil) // alice signs in and allows
	naming := func(subject string) fapitest.Change {
		return fapitest.Changes(fapitest.Set("prompt", "none"), fapitest.Set("claims", `{"id_token":{"sub":{"value":"`+subject+`"}}}`))
	}
	for _, subject := range []string{"sub-alice", "sub-bob", "sub-nobody"} {
		t.Run("refuses a stranger who names "+subject+" alike", func(t *testing.T) {
			fapitest.WantRedirectError(t, stranger.AuthorizeIn(b, naming(subject)), "login_required")
		})
	}
	t.Run("accepts a client that was allowed", func(t *testing.T) {
		if q := known.AuthorizeIn(b, naming("sub-alice")); q.Get("code") == "" {
			t.Errorf("sent %v", q)
		}
	})
	t.Run("accepts to say that consent is needed to one that names nobody", func(t *testing.T) {
		fapitest.WantRedirectError(t, stranger.AuthorizeIn(b, fapitest.Set("prompt", "none")), "consent_required")
	})
}

// Covers: FD-10. prompt=login is satisfied by a sign-in for this request and by no other, also one after the push.
func TestFD10LoginForThisRequest(t *testing.T) {
	t.Parallel()
	w, p := fapitest.NewFullWorld(t)
	c, other := w.Register("client-1", nil), w.Register("client-2", nil)
	for _, prompt := range []string{"login", "select_account"} {
		b := w.Browser()
		address := w.AuthorizeURL(c.ID, c.Push(fapitest.Set("prompt", prompt)).Text("request_uri"))
		w.Clock.Advance(time.Second)
		other.AuthorizeIn(b, nil) // signs in after the push
		p.Asked()
		_, _, to := b.Visit(address)
		signIns, _ := p.Asked()
		t.Run("refuses the sign-in for another client with "+prompt, func(t *testing.T) {
			if signIns != 1 {
				t.Errorf("%d sign-ins", signIns)
			}
		})
		t.Run("accepts the sign-in for this request with "+prompt, func(t *testing.T) {
			if to == nil || to.Query().Get("code") == "" {
				t.Errorf("sent to %v", to)
			}
		})
	}
}

// Covers: FD-08. The claims parameter gets nothing whose scope is not registered for the client, at the request and
// when the registration changes later.
func TestFD08ClaimsOfScopes(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	asking := fapitest.Changes(fapitest.Set("scope", "openid"), fapitest.Set("claims",
		`{"userinfo":{"email":{"essential":true},"name":null},"id_token":{"email":null,"name":{"essential":true},"acr":null}}`))
	for scope, want := range fapitest.Sorted(map[string][2]bool{ // email, name
		"openid": {false, false}, "openid email": {true, false}, "openid profile": {false, true}, "openid email profile": {true, true},
	}) {
		c := w.Register("client-"+fapitest.RandomString(), fapitest.SetMember("scope", scope))
		check := func(t *testing.T, body map[string]any, want [2]bool) {
			t.Helper()
			if got := [2]bool{body["email"] != nil, body["name"] != nil}; got != want {
				t.Errorf("%v", body)
			}
		}
		title := "accepts what it covers: "
		if scope == "openid" {
			title = "refuses all: "
		}
		t.Run(title+scope, func(t *testing.T) {
			issued := c.TokensFor(asking)
			check(t, fapitest.UnverifiedClaims(t, issued.Text("id_token")), want)
			check(t, c.Get("/userinfo", issued.Text("access_token"), nil).Body, want)
			w.ChangeMember(c, "scope", "openid")
			w.Clock.Advance(2 * time.Second)
			check(t, c.Get("/userinfo", issued.Text("access_token"), nil).Body, [2]bool{})
		})
	}
}
