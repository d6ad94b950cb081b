package authorize_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/fapitest"
)

// Covers: IS-01, SP-31, BC-02, ATTACK-04, RULE-25. Every authorization response, good or bad, names this server once, byte for
// byte as its metadata does.
func TestIS01IssuerInResponses(t *testing.T) {
	t.Parallel()
	w, p := fapitest.NewFullWorld(t)
	c := w.Register("client-1", fapitest.AllScopes)
	issuer := w.Document()["issuer"]
	named := func(t *testing.T, q url.Values) {
		t.Helper()
		if diff := cmp.Diff([]any{issuer}, []any{q.Get("iss")}); diff != "" || len(q["iss"]) != 1 {
			t.Errorf("iss %q, metadata %v", q["iss"], issuer)
		}
	}
	t.Run("accepts a code", func(t *testing.T) {
		q := c.AuthorizeIn(w.Browser(), nil)
		if named(t, q); q.Get("code") == "" {
			t.Errorf("no code in %v", q)
		}
	})
	t.Run("accepts a code that was given without a page", func(t *testing.T) {
		b := w.Browser()
		c.AuthorizeIn(b, nil)
		q := c.AuthorizeIn(b, fapitest.Set("prompt", "none"))
		if named(t, q); q.Get("code") == "" {
			t.Errorf("no code in %v", q)
		}
	})
	p.Does("deny")
	t.Run("refuses with iss when the user refuses", func(t *testing.T) {
		q := c.AuthorizeIn(w.Browser(), nil)
		named(t, q)
		fapitest.WantRedirectError(t, q, "access_denied")
	})
	p.Does("allow")
	t.Run("refuses with iss when nobody is signed in", func(t *testing.T) {
		q := c.AuthorizeIn(w.Browser(), fapitest.Set("prompt", "none"))
		named(t, q)
		fapitest.WantRedirectError(t, q, "login_required")
	})
	t.Run("refuses with iss when the sign-in is not strong enough", func(t *testing.T) {
		q := c.AuthorizeIn(w.Browser(), fapitest.Set("claims", `{"id_token":{"acr":{"essential":true,"value":"`+fapitest.ACRKey+`"}}}`))
		named(t, q)
		fapitest.WantRedirectError(t, q, "unmet_authentication_requirements")
	})
	t.Run("refuses with iss what was used before, and what has expired", func(t *testing.T) {
		for _, spoil := range []func(address string){
			func(address string) { w.Browser().Visit(address) },
			func(string) { w.Clock.Advance(time.Minute) },
		} {
			address := w.AuthorizeURL(c.ID, c.Push(nil).Text("request_uri"))
			spoil(address)
			_, _, sentTo := w.Browser().Visit(address)
			if sentTo == nil {
				t.Fatal("the browser was not sent back")
			}
			named(t, sentTo.Query())
			fapitest.WantRedirectError(t, sentTo.Query(), "invalid_request_uri")
		}
	})
	t.Run("refuses to repeat an iss that comes with the request", func(t *testing.T) {
		pushed := c.Push(fapitest.Set("iss", "https://other.example")).Text("request_uri")
		_, _, sentTo := w.Browser().Visit(w.AuthorizeURL(c.ID, pushed) + "&iss=https%3A%2F%2Fother.example")
		if sentTo == nil || sentTo.Query().Get("code") == "" {
			t.Fatalf("sent to %v", sentTo)
		}
		named(t, sentTo.Query())
	})
}

// Covers: IS-02. The parameter is advertised, and no client can do without it.
func TestIS02IssuerAdvertised(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	t.Run("accepts that the metadata promises iss", func(t *testing.T) {
		if w.Document()["authorization_response_iss_parameter_supported"] != true {
			t.Errorf("metadata %v", w.Document()["authorization_response_iss_parameter_supported"])
		}
	})
	t.Run("refuses to leave it out for a client that registers so", func(t *testing.T) {
		c := w.Register("client-1", fapitest.SetMember("authorization_response_iss_parameter_supported", false))
		if q := c.AuthorizeIn(w.Browser(), nil); q.Get("iss") != w.Issuer {
			t.Errorf("the response is %v", q)
		}
	})
}

// Covers: SP-31, IS-01, BC-02, RULE-25, ATTACK-04. iss is in every answer that the browser brings to a client, and is
// the metadata's issuer to the byte.
func TestSP31IssuerInResponses(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	issuer := w.Document()["issuer"]
	check := func(t *testing.T, sentTo *url.URL, want string) {
		t.Helper()
		if sentTo == nil {
			t.Fatal("the browser was not sent back")
		}
		q := sentTo.Query()
		if diff := cmp.Diff([]string{issuer.(string)}, q["iss"]); diff != "" {
			t.Error(diff)
		}
		if got := q.Get("error"); got != want || q.Has("code") == (want != "") {
			t.Errorf("sent to %s", sentTo)
		}
	}
	request := c.Push(nil).Text("request_uri")
	b := w.Browser()
	t.Run("accepts with iss beside the code", func(t *testing.T) {
		_, _, sentTo := b.Visit(w.AuthorizeURL(c.ID, request))
		check(t, sentTo, "")
	})
	t.Run("refuses a used request with iss", func(t *testing.T) {
		_, _, sentTo := b.Visit(w.AuthorizeURL(c.ID, request))
		check(t, sentTo, "invalid_request_uri")
	})
	t.Run("refuses an expired request with iss", func(t *testing.T) {
		old := c.Push(nil).Text("request_uri")
		w.Clock.Advance(10 * time.Minute)
		_, _, sentTo := b.Visit(w.AuthorizeURL(c.ID, old))
		check(t, sentTo, "invalid_request_uri")
	})
	t.Run("refuses prompt=none with iss", func(t *testing.T) { check(t, c.Redirected(t, fapitest.Set("prompt", "none")), "login_required") })
	t.Run("refuses for the user with iss", func(t *testing.T) {
		t.Parallel()
		denying := fapitest.NewWorld(t, fapitest.Deciding("deny"))
		sentTo := denying.Register("client-1", nil).Redirected(t, nil)
		issuer = denying.Document()["issuer"]
		check(t, sentTo, "access_denied")
	})
	t.Run("accepts a redirect URI with a parameter iss of its own, after which ours comes", func(t *testing.T) {
		issuer = w.Document()["issuer"]
		c := w.Register("client-2", func(c *fapitest.Client, m map[string]any) {
			c.RedirectURI += "?tenant=a"
			m["redirect_uris"] = []string{c.RedirectURI}
		})
		check(t, c.Redirected(t, nil), "")
	})
}
