package fapi_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi"
)

// Covers: RI-01, BC-05, SP-24. resource names resource servers that are known; the audience is restricted to them, and at the
// token endpoint to some of them.
func TestRI01Resource(t *testing.T) {
	var config fapiConfig
	w, p := wholeWorld(t, func(c *fapiConfig, _ *autoInteractor) { config = *c })
	c := w.register("client-1", wide)
	resources := func(list ...string) change {
		return func(form url.Values, _ http.Header) { form["resource"] = list }
	}
	tryAll(t, c.push,
		good("one resource", resources(ledgerAPI)),
		good("two resources", resources(ledgerAPI, paymentAPI)),
		good("one resource twice, which is one", resources(ledgerAPI, ledgerAPI)),
		good("this server", resources(w.issuer)),
		good("an empty one, which counts as none", resources("")),
		bad("one that is not known", resources("https://other.example/api"), 400, "invalid_target"),
		bad("one with a fragment", resources(ledgerAPI+"#part"), 400, "invalid_target"),
		bad("a relative one", resources("/api"), 400, "invalid_target"),
		bad("one that only begins so", resources(ledgerAPI+"/accounts"), 400, "invalid_target"),
		bad("one in other letters", resources(strings.ToUpper(ledgerAPI)), 400, "invalid_target"),
		bad("one with a slash behind", resources(ledgerAPI+"/"), 400, "invalid_target"),
		bad("a known one beside one that is not", resources(ledgerAPI, "https://other.example/api"), 400, "invalid_target"),
		bad("two in one parameter", resources(ledgerAPI+" "+paymentAPI), 400, "invalid_target"),
	)
	t.Run("accepts to show the person where the token will be good", func(t *testing.T) {
		c.tokensFor(resources(ledgerAPI))
		if diff := cmp.Diff([]string{ledgerAPI}, p.sees().resources); diff != "" {
			t.Errorf("(-want +got): %s", diff)
		}
	})
	issued := c.tokensFor(resources(ledgerAPI, paymentAPI))
	audience := func(r reply) any { return claimsIn(t, r.text("access_token"))["aud"] }
	refreshing := func(alter change) reply { return c.refresh(issued.text("refresh_token"), alter) }
	t.Run("accepts less at the token endpoint", func(t *testing.T) {
		for name, r := range map[string]reply{
			"refresh token": refreshing(resources(ledgerAPI)),
			"code":          c.redeem(c.through(w.browser(), resources(ledgerAPI, paymentAPI)).Get("code"), resources(ledgerAPI)),
		} {
			if wantActive(t, r); audience(r) != ledgerAPI || slices.Contains(strings.Fields(r.text("scope")), "payments") {
				t.Errorf("%s: aud %v, scope %q", name, audience(r), r.text("scope"))
			}
		}
		if diff := cmp.Diff([]any{ledgerAPI, paymentAPI}, audience(refreshing(nil))); diff != "" {
			t.Errorf("and all of it the next time (-want +got): %s", diff)
		}
	})
	tryAll(t, refreshing,
		bad("a resource that was not in the request", resources(w.issuer), 400, "invalid_target"),
		bad("one more than in the request", resources(ledgerAPI, w.issuer), 400, "invalid_target"),
		bad("an unknown one at the token endpoint", resources("https://other.example/api"), 400, "invalid_target"),
	)
	plain := c.tokens()
	tryAll(t, func(alter change) reply { return c.refresh(plain.text("refresh_token"), alter) },
		good("this server, where the request named none", resources(w.issuer)),
		bad("another resource, where the request named none", resources(ledgerAPI), 400, "invalid_target"),
	)
	alone := w.register("machine", machine)
	tryAll(t, alone.clientCredentials,
		good("a resource for the client itself", resources(ledgerAPI)),
		bad("an unknown resource for the client itself", resources("https://other.example/api"), 400, "invalid_target"),
		bad("a resource where none of its scopes means anything", changes(resources(ledgerAPI), set("scope", "payments")), 400, "invalid_target"),
	)
	t.Run("refuses a token for one resource at another", func(t *testing.T) {
		wantError(t, c.get("/accounts", issued.text("access_token"), nil), 401, "invalid_token")
		wantError(t, c.get("/userinfo", issued.text("access_token"), nil), 401, "invalid_token")
	})
	for _, identifier := range []string{"", "/relative", "ledger", "https://ledger.example/#part", "https://", strings.Repeat("https://x.example/", 50)} {
		t.Run("refuses the resource server "+short(identifier)+" in the configuration", func(t *testing.T) {
			changed := config
			changed.ResourceServers = []fapi.ResourceServer{{Identifier: identifier}}
			if _, err := fapi.New(t.Context(), changed); err == nil || !strings.Contains(err.Error(), "resource server") {
				t.Errorf("%v", err)
			}
		})
	}
}
