package tokens_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi"
	"countersign/fapi/fapitest"
	"countersign/fapi/scope"
)

// Covers: RI-01, BC-05, SP-24. resource names resource servers that are known; the audience is restricted to them, and at the
// token endpoint to some of them.
func TestRI01Resource(t *testing.T) {
	t.Parallel()
	var config fapitest.Config
	w, p := fapitest.NewFullWorld(t, func(c *fapitest.Config) { config = *c })
	c := w.Register("client-1", fapitest.AllScopes)
	resources := func(list ...string) fapitest.Change {
		return func(form url.Values, _ http.Header) { form["resource"] = list }
	}
	fapitest.TryAll(t, c.Push,
		fapitest.Good("one resource", resources(fapitest.LedgerAPI)),
		fapitest.Good("two resources", resources(fapitest.LedgerAPI, fapitest.PaymentAPI)),
		fapitest.Good("one resource twice, which is one", resources(fapitest.LedgerAPI, fapitest.LedgerAPI)),
		fapitest.Good("this server", resources(w.Issuer)),
		fapitest.Good("an empty one, which counts as none", resources("")),
		fapitest.Bad("one that is not known", resources("https://other.example/api"), 400, "invalid_target"),
		fapitest.Bad("one with a fragment", resources(fapitest.LedgerAPI+"#part"), 400, "invalid_target"),
		fapitest.Bad("a relative one", resources("/api"), 400, "invalid_target"),
		fapitest.Bad("one that only begins so", resources(fapitest.LedgerAPI+"/accounts"), 400, "invalid_target"),
		fapitest.Bad("one in other letters", resources(strings.ToUpper(fapitest.LedgerAPI)), 400, "invalid_target"),
		fapitest.Bad("one with a slash behind", resources(fapitest.LedgerAPI+"/"), 400, "invalid_target"),
		fapitest.Bad("a known one beside one that is not", resources(fapitest.LedgerAPI, "https://other.example/api"), 400, "invalid_target"),
		fapitest.Bad("two in one parameter", resources(fapitest.LedgerAPI+" "+fapitest.PaymentAPI), 400, "invalid_target"),
	)
	t.Run("accepts to show the user where the token will be good", func(t *testing.T) {
		c.TokensFor(resources(fapitest.LedgerAPI))
		if diff := cmp.Diff([]string{fapitest.LedgerAPI}, p.Sees().Resources); diff != "" {
			t.Errorf("(-want +got): %s", diff)
		}
	})
	issued := c.TokensFor(resources(fapitest.LedgerAPI, fapitest.PaymentAPI))
	audience := func(r fapitest.Reply) any { return fapitest.UnverifiedClaims(t, r.Text("access_token"))["aud"] }
	refreshing := func(alter fapitest.Change) fapitest.Reply { return c.Refresh(issued.Text("refresh_token"), alter) }
	t.Run("accepts less at the token endpoint", func(t *testing.T) {
		for name, r := range map[string]fapitest.Reply{
			"refresh token": refreshing(resources(fapitest.LedgerAPI)),
			"code":          c.Redeem(c.AuthorizeIn(w.Browser(), resources(fapitest.LedgerAPI, fapitest.PaymentAPI)).Get("code"), resources(fapitest.LedgerAPI)),
		} {
			if fapitest.WantOK(t, r); audience(r) != fapitest.LedgerAPI || slices.Contains(strings.Fields(r.Text("scope")), "payments") {
				t.Errorf("%s: aud %v, scope %q", name, audience(r), r.Text("scope"))
			}
		}
		if diff := cmp.Diff([]any{fapitest.LedgerAPI, fapitest.PaymentAPI}, audience(refreshing(nil))); diff != "" {
			t.Errorf("and all of it the next time (-want +got): %s", diff)
		}
	})
	fapitest.TryAll(t, refreshing,
		fapitest.Bad("a resource that was not in the request", resources(w.Issuer), 400, "invalid_target"),
		fapitest.Bad("one more than in the request", resources(fapitest.LedgerAPI, w.Issuer), 400, "invalid_target"),
		fapitest.Bad("an unknown one at the token endpoint", resources("https://other.example/api"), 400, "invalid_target"),
	)
	plain := c.Tokens()
	fapitest.TryAll(t, func(alter fapitest.Change) fapitest.Reply { return c.Refresh(plain.Text("refresh_token"), alter) },
		fapitest.Good("this server, where the request named none", resources(w.Issuer)),
		fapitest.Bad("another resource, where the request named none", resources(fapitest.LedgerAPI), 400, "invalid_target"),
	)
	alone := w.Register("machine", fapitest.ClientCredentialsOnly)
	fapitest.TryAll(t, alone.ClientCredentials,
		fapitest.Good("a resource for the client itself", resources(fapitest.LedgerAPI)),
		fapitest.Bad("an unknown resource for the client itself", resources("https://other.example/api"), 400, "invalid_target"),
		fapitest.Bad("a resource where none of its scopes applies", fapitest.Changes(resources(fapitest.LedgerAPI), fapitest.Set("scope", "payments")), 400, "invalid_target"),
	)
	t.Run("refuses a token for one resource at another", func(t *testing.T) {
		fapitest.WantError(t, c.Get("/accounts", issued.Text("access_token"), nil), 401, "invalid_token")
		fapitest.WantError(t, c.Get("/userinfo", issued.Text("access_token"), nil), 401, "invalid_token")
	})
	for _, identifier := range []string{"", "/relative", "ledger", "https://ledger.example/#part", "https://", strings.Repeat("https://x.example/", 50)} {
		t.Run("refuses the resource server "+short(identifier)+" in the configuration", func(t *testing.T) {
			changed := config
			changed.ResourceServers = []scope.ResourceServer{{Identifier: identifier}}
			if _, err := fapi.New(t.Context(), changed); err == nil || !strings.Contains(err.Error(), "resource server") {
				t.Errorf("%v", err)
			}
		})
	}
}

// short is text that fits into the name of a test.
func short(text string) string {
	if len(text) > 30 {
		return text[:30] + "..."
	}
	return "\"" + text + "\""
}
