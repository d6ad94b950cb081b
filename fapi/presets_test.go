package fapi_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/fapi/consent"
	"countersign/fapi/fapitest"
	"countersign/fapi/rar"
	"countersign/fapi/rar/ready"
	"countersign/internal/jose"
)

// ofEcosystems offers some presets beside a plain profile.
func ofEcosystems(c *fapitest.Config) {
	c.Profiles = []string{"fapi2-security", "au-cdr/fapi2-security", "berlin-group", "brazil-openfinance/fapi2-security", "ksa-sama"}
	c.ACRValues = append([]string{browser.PasskeyACR}, authorize.ACRValues()...)
	schema, err := ready.Schema("uk-accounts", fapitest.ConsentKind)
	if err != nil {
		panic(err)
	}
	c.Consents.Types = []rar.Type{{Type: fapitest.ConsentKind, Schema: schema}}
}

// ofPreset registers a client of the code flow for a preset, with private_key_jwt by PS256 and tokens bound to a certificate.
func ofPreset(name, scopes string) fapitest.ClientOption {
	return func(c *fapitest.Client, m map[string]any) {
		fapitest.CertificateBound(c, m)
		fapitest.OfProfile(name)(c, m)
		c.SignsRequests, c.Scope, c.Key = name == "ksa-sama", scopes, fapitest.NewKey(c.World.T, jose.PS256)
		m["scope"], m["jwks"] = scopes, fapitest.KeySet(c.Key.PublicJWK())
	}
}

// asking requests scopes, in a signed request where the client has to.
func asking(c *fapitest.Client, scopes string) fapitest.Change {
	set := fapitest.Set("scope", scopes)
	if !c.SignsRequests {
		return set
	}
	signing := c.Signing(nil)
	return func(form url.Values, header http.Header) { set(form, header); signing(form, header) }
}

// Covers: LP-07. A scope with a parameter is shown with it, and is the same in grant, token, refresh, introspection and at a
// resource; it is asked about each time.
func TestLP07ScopesWithParameter(t *testing.T) {
	t.Parallel()
	w, user := fapitest.NewFullWorld(t, ofEcosystems)
	user.Is("sub-alice", browser.PasswordACR)
	c := w.Register("ksa", ofPreset("ksa-sama", "openid accounts offline_access"))
	rs := w.ResourceServer("rs", w.Issuer, fapitest.LedgerAPI)
	const scopes = "accounts:5f3b-1 openid offline_access"
	w.Lodge(c, func(one *consent.Consent) { one.ID = "5f3b-1" })
	var granted fapitest.Reply
	t.Run("accepts it in request, token and introspection", func(t *testing.T) {
		granted = c.TokensFor(asking(c, scopes))
		if got := granted.Text("scope"); got != scopes {
			t.Errorf("the token response says %q", got)
		}
		if got := rs.Introspect(granted.Text("access_token"), nil); got.Text("scope") != scopes {
			t.Errorf("introspection says %v", got.Body)
		}
		var access map[string]any
		if err := json.Unmarshal(fapitest.Payload(t, granted.Text("access_token")), &access); err != nil || access["scope"] != scopes {
			t.Errorf("the access token says %v, %v", access["scope"], err)
		}
		if reply := c.Get("/accounts", granted.Text("access_token"), nil); reply.Status != http.StatusOK {
			t.Errorf("a resource for accounts answered %d %s", reply.Status, reply.Raw)
		}
	})
	t.Run("accepts it on the page, in the words of the ecosystem", func(t *testing.T) {
		for _, shown := range user.Sees().Scopes {
			if shown.Name == "accounts:5f3b-1" && shown.Parameter == "5f3b-1" && shown.AlwaysAsk &&
				strings.Contains(shown.Description, "consent with this number") && shown.Descriptions["ar"] != "" {
				return
			}
		}
		t.Errorf("shown was %+v", user.Sees().Scopes)
	})
	t.Run("accepts a refresh by the same string, and by a part", func(t *testing.T) {
		for _, part := range []string{scopes, "accounts:5f3b-1", ""} {
			w.Clock.Advance(time.Second)
			again := c.Refresh(granted.Text("refresh_token"), fapitest.Set("scope", part))
			if want := part; again.Status != http.StatusOK || want != "" && again.Text("scope") != want || want == "" && again.Text("scope") != scopes {
				t.Errorf("%q: %d %s", part, again.Status, again.Raw)
			}
		}
	})
	for _, more := range []string{"accounts", "accounts:5f3b-2", "accounts:5f3b-1 accounts:other"} {
		t.Run("refuses a refresh for "+more, func(t *testing.T) {
			w.Clock.Advance(time.Second)
			fapitest.WantError(t, c.Refresh(granted.Text("refresh_token"), fapitest.Set("scope", more)), http.StatusBadRequest, "invalid_scope")
		})
	}
	t.Run("refuses to remember it: it is asked about again", func(t *testing.T) {
		b := w.Browser()
		for _, id := range []string{"again-1", "again-2"} {
			w.Lodge(c, func(one *consent.Consent) { one.ID = id })
		}
		c.TokensIn(b, asking(c, "accounts:again-1 openid offline_access"))
		user.Asked()
		c.TokensIn(b, asking(c, "accounts:again-2 openid offline_access"))
		if signIns, pages := user.Asked(); signIns != 0 || pages != 1 {
			t.Errorf("%d sign-ins, %d pages", signIns, pages)
		}
	})
	plain := w.Register("plain", nil)
	for name, push := range map[string]func() fapitest.Reply{
		"one of another ecosystem":         func() fapitest.Reply { return c.Push(asking(c, "openid consent:urn:bank:1")) },
		"one in no ecosystem":              func() fapitest.Reply { return plain.Push(asking(plain, "openid accounts:1")) },
		"a malformed one":                  func() fapitest.Reply { return c.Push(asking(c, "openid accounts:a/b")) },
		"one for the client itself":        func() fapitest.Reply { return self(w).ClientCredentials(fapitest.Set("scope", "accounts:1")) },
		"one beside a good one, not known": func() fapitest.Reply { return c.Push(asking(c, "accounts:1 other:1")) },
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			fapitest.WantError(t, push(), http.StatusBadRequest, "invalid_scope")
		})
	}
	t.Run("refuses a token for a resource server where the scope does not apply", func(t *testing.T) {
		other := asking(c, "accounts:5f3b-1 openid")
		set := func(form url.Values, header http.Header) {
			form.Set("resource", fapitest.PaymentAPI)
			other(form, header)
		}
		reply := c.Push(set)
		fapitest.WantError(t, reply, http.StatusBadRequest, "invalid_target")
	})
}

// self registers a client that acts for itself.
func self(w *fapitest.World) *fapitest.Client {
	return w.Register("self", func(c *fapitest.Client, m map[string]any) {
		ofPreset("ksa-sama", "accounts")(c, m)
		m["grant_types"] = []string{"client_credentials"}
		delete(m, "redirect_uris")
		delete(m, "response_types")
	})
}

// Covers: LP-05, LP-08. One server serves several ecosystems: each client asks and is answered by the names of its own, and the
// metadata are the union.
func TestLP08SeveralEcosystems(t *testing.T) {
	t.Parallel()
	w, user := fapitest.NewFullWorld(t, ofEcosystems)
	essential := func(values ...string) fapitest.Change {
		member := map[string]any{"essential": true}
		if len(values) > 0 {
			member["values"] = values
		}
		raw, err := json.Marshal(map[string]any{"id_token": map[string]any{"acr": member}})
		if err != nil {
			t.Fatal(err)
		}
		return fapitest.Set("claims", string(raw))
	}
	brazil := w.Register("brazil", ofPreset("brazil-openfinance/fapi2-security", "openid"))
	plain := w.Register("plain", fapitest.PlainOpenID)
	const loa2, loa3 = "urn:brasil:openbanking:loa2", "urn:brasil:openbanking:loa3"
	for _, test := range []struct {
		name    string
		client  *fapitest.Client
		reached string
		change  fapitest.Change
		want    string
	}{
		{"an essential name", brazil, browser.PasskeyACR, essential(loa3), loa3},
		{"a lesser name, satisfied by more", brazil, browser.PasskeyACR, essential(loa2), loa2},
		{"an essential one without values", brazil, browser.PasswordACR, essential(), loa2},
		{"none asked for", brazil, browser.PasskeyACR, nil, loa3},
		{"a client of no ecosystem", plain, browser.PasskeyACR, nil, browser.PasskeyACR},
	} {
		t.Run("accepts "+test.name, func(t *testing.T) {
			user.Is("sub-alice", test.reached)
			reply := test.client.TokensFor(test.change)
			var token struct{ ACR string }
			if err := json.Unmarshal(fapitest.Payload(t, reply.Text("id_token")), &token); err != nil || token.ACR != test.want {
				t.Errorf("the acr is %q, %v", token.ACR, err)
			}
		})
	}
	t.Run("refuses an essential name that was not reached", func(t *testing.T) {
		user.Is("sub-alice", browser.PasswordACR)
		fapitest.WantRedirectError(t, brazil.AuthorizeIn(w.Browser(), essential(loa3)), "unmet_authentication_requirements")
	})
	for name, push := range map[string]fapitest.Reply{
		"the name of another ecosystem": brazil.Push(essential("urn:cds.au:cdr:2")), "one to a client of none": plain.Push(essential(loa2)),
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			fapitest.WantError(t, push, http.StatusBadRequest, "unmet_authentication_requirements")
		})
	}
	document := w.Document()
	for member, want := range map[string][]string{
		"acr_values_supported": {browser.PasskeyACR, browser.PasswordACR, loa2, loa3, "urn:cds.au:cdr:2", "urn:cds.au:cdr:3"},
		"scopes_supported":     {"openid", "accounts", "consents", "resources", "AIS", "bank:payees:read"},
		"claims_supported":     {"sub", "acr", "cpf", "cnpj", "sharing_duration", "cdr_arrangement_id"},
	} {
		t.Run("accepts in "+member+" what each ecosystem names", func(t *testing.T) {
			for _, name := range want {
				if list, _ := document[member].([]any); !slices.Contains(list, any(name)) {
					t.Errorf("%s is not in %v", name, list)
				}
			}
		})
		t.Run("refuses in "+member+" what is not a plain value of one, and any twice", func(t *testing.T) {
			list, _ := document[member].([]any)
			for i, name := range list {
				if text := name.(string); strings.HasSuffix(text, ":") || text == "consent" || text == "openbanking_intent_id" || slices.Contains(list[:i], name) {
					t.Errorf("%s", text)
				}
			}
		})
	}
}
