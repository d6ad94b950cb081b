package tokens_test

import (
	"net/http"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
)

// ofCDR registers a client of the Consumer Data Right, of the base fapi2-security, whose ID tokens are encrypted to a recipient.
func ofCDR(r fapitest.Recipient) fapitest.ClientOption {
	return fapitest.All(fapitest.OfEcosystem("au-cdr/fapi2-security"), fapitest.EncryptedTo(r, jose.RSAOAEP256))
}

// Covers: LR-11. Access tokens live within the bounds of the ecosystem, whatever is configured.
func TestLR11AccessTokenLifetime(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		configured   time.Duration
		brazil, base float64
	}{
		"accepts the least of an ecosystem":         {time.Minute, 300, 60},
		"accepts what is configured, within bounds": {8 * time.Minute, 480, 480},
		"accepts the most of an ecosystem":          {15 * time.Minute, 900, 900},
	} {
		t.Run(name, func(t *testing.T) {
			w := fapitest.NewWorld(t, fapitest.Offering("brazil-openfinance/fapi2-security", "fapi2-security", "au-connectid"), func(c *fapitest.Config) { c.AccessTokenLifetime = test.configured })
			brazil := w.Register("client-1", fapitest.All(fapitest.OfEcosystem("brazil-openfinance/fapi2-security"), fapitest.KeysAt(t)))
			base := w.Register("client-2", nil)
			connectID := w.Register("client-3", fapitest.OfEcosystem("au-connectid"))
			for _, each := range []struct {
				client *fapitest.Client
				change fapitest.Change
				want   float64
			}{{brazil, nil, test.brazil}, {base, nil, test.base}, {connectID, connectID.Signed(fapitest.Set("purpose", "To see who you are")), min(test.base, 600)}} {
				issued := each.client.TokensFor(each.change)
				body := fapitest.UnverifiedClaims(t, issued.Text("access_token"))
				if issued.Body["expires_in"] != each.want || body["exp"].(float64)-body["iat"].(float64) != each.want {
					t.Errorf("%s: expires_in %v, want %v", each.client.ID, issued.Body["expires_in"], each.want)
				}
			}
		})
	}
	t.Run("refuses one that is over", func(t *testing.T) {
		w := fapitest.NewWorld(t, fapitest.Offering("brazil-openfinance/fapi2-security"), func(c *fapitest.Config) { c.AccessTokenLifetime = time.Minute })
		c := w.Register("client-1", fapitest.All(fapitest.OfEcosystem("brazil-openfinance/fapi2-security"), fapitest.KeysAt(t)))
		token := c.Tokens().Text("access_token")
		w.Clock.Advance(299 * time.Second)
		fapitest.WantOK(t, c.Get("/userinfo", token, fapitest.InteractionID))
		w.Clock.Advance(2 * time.Second)
		fapitest.WantError(t, c.Get("/userinfo", token, fapitest.InteractionID), 401, "invalid_token")
	})
}

// Covers: LR-13. A refresh token lives as long as the user shares; who shares once gives none.
func TestLR13SharingDuration(t *testing.T) {
	t.Parallel()
	recipient := fapitest.NewRecipient(t, jose.RSAOAEP256)
	w := fapitest.NewWorld(t, fapitest.Offering("au-cdr/fapi2-security", "fapi2-security"), func(c *fapitest.Config) { c.GrantLifetime = 24 * time.Hour })
	c := w.Register("client-1", ofCDR(recipient))
	for name, test := range map[string]struct {
		claims string
		lasts  time.Duration
	}{
		"accepts longer than grants last otherwise": {`{"sharing_duration":7776000}`, 7776000 * time.Second},
		"accepts an hour":                     {`{"sharing_duration":3600}`, time.Hour},
		"accepts more than a year, as a year": {`{"sharing_duration":40000000}`, 365 * 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			before := w.Clock.Now()
			refresh := c.TokensFor(fapitest.Asking(test.claims)).Text("refresh_token")
			w.Clock.Advance(test.lasts - time.Second)
			again := c.Refresh(refresh, nil)
			fapitest.WantOK(t, again)
			if again.Body["expires_in"] != 1.0 {
				t.Errorf("an access token outlives it: %v", again.Body["expires_in"])
			}
			w.Clock.Advance(time.Second)
			fapitest.WantError(t, c.Refresh(refresh, nil), 400, "invalid_grant")
			if w.Clock.Now().Sub(before) != test.lasts {
				t.Fatal("the clock did not move as the test wants it")
			}
		})
	}
	for name, change := range map[string]fapitest.Change{
		"zero": fapitest.Asking(`{"sharing_duration":0}`), "none": nil, "null": fapitest.Asking(`{"sharing_duration":null}`),
	} {
		t.Run("refuses a refresh token for a duration of "+name, func(t *testing.T) {
			if issued := c.TokensFor(change); issued.Body["refresh_token"] != nil || issued.Text("access_token") == "" {
				t.Errorf("answered %s", issued.Raw)
			}
		})
	}
	fapitest.TryAll(t, c.Push,
		fapitest.Good("a duration beside others", fapitest.Asking(`{"sharing_duration":60,"id_token":{"acr":null}}`)),
		fapitest.Bad("a negative one", fapitest.Asking(`{"sharing_duration":-1}`), 400, "invalid_request"),
		fapitest.Bad("a part of a second", fapitest.Asking(`{"sharing_duration":1.5}`), 400, "invalid_request"),
		fapitest.Bad("a text", fapitest.Asking(`{"sharing_duration":"a year"}`), 400, "invalid_request"),
		fapitest.Bad("an object", fapitest.Asking(`{"sharing_duration":{"value":60}}`), 400, "invalid_request"),
	)
	t.Run("accepts it of others, where it means nothing", func(t *testing.T) {
		base := w.Register("client-2", nil)
		issued := base.TokensFor(fapitest.Asking(`{"sharing_duration":60}`))
		w.Clock.Advance(time.Hour)
		fapitest.WantOK(t, base.Refresh(issued.Text("refresh_token"), nil))
		if issued.Body["sharing_duration"] != nil {
			t.Errorf("answered %s", issued.Raw)
		}
	})
}

// Covers: LR-17. The identifier of an arrangement is in token responses and introspection, the same as long as it lasts, and in no
// token; a client that acts for itself has none.
func TestLR17ArrangementID(t *testing.T) {
	t.Parallel()
	recipient := fapitest.NewRecipient(t, jose.RSAOAEP256)
	w := fapitest.NewWorld(t, fapitest.Offering("au-cdr/fapi2-security", "fapi2-security"))
	c := w.Register("client-1", fapitest.All(ofCDR(recipient), fapitest.SetMember("scope", "openid accounts"),
		fapitest.SetMember("grant_types", []string{"authorization_code", "refresh_token", "client_credentials"})))
	api := w.ResourceServer("client-2", w.Issuer)
	issued := c.TokensFor(fapitest.Asking(`{"sharing_duration":86400}`))
	id := issued.Text("cdr_arrangement_id")
	t.Run("accepts it in the token response, and again when it is refreshed", func(t *testing.T) {
		again := c.Refresh(issued.Text("refresh_token"), nil)
		if len(id) != 36 || again.Text("cdr_arrangement_id") != id {
			t.Errorf("%q, then %s", id, again.Raw)
		}
	})
	t.Run("accepts it in introspection", func(t *testing.T) {
		if r := api.Introspect(issued.Text("access_token"), nil); r.Body["active"] != true || r.Text("cdr_arrangement_id") != id {
			t.Errorf("%s", r.Raw)
		}
	})
	t.Run("accepts another for another arrangement", func(t *testing.T) {
		if other := c.TokensFor(nil).Text("cdr_arrangement_id"); len(other) != 36 || other == id {
			t.Errorf("%q after %q", other, id)
		}
	})
	t.Run("refuses it in tokens", func(t *testing.T) {
		idToken := fapitest.UnverifiedClaims(t, recipient.Open(t, issued.Text("id_token")))
		access := fapitest.UnverifiedClaims(t, issued.Text("access_token"))
		if idToken["cdr_arrangement_id"] != nil || access["cdr_arrangement_id"] != nil || idToken["sharing_duration"] != nil {
			t.Errorf("%v %v", idToken, access)
		}
	})
	t.Run("refuses one to a client that acts for itself", func(t *testing.T) {
		r := c.ClientCredentials(fapitest.Set("scope", "accounts"))
		if r.Status != http.StatusOK || r.Body["cdr_arrangement_id"] != nil {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
}

// Covers: LR-10. Where ID tokens have to be encrypted they are, at the token endpoint and through the browser.
func TestLR10EncryptedIDTokens(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.Offering("brazil-openfinance", "au-cdr/fapi2-security"))
	recipient := fapitest.NewRecipient(t, jose.RSAOAEP)
	c := w.Register("client-1", fapitest.All(fapitest.OfEcosystem("brazil-openfinance"), fapitest.EncryptedTo(recipient, jose.RSAOAEP),
		fapitest.KeysAt(t), fapitest.SetMember("response_types", []string{"code id_token"})))
	t.Run("accepts them in the front channel and behind it, of one user", func(t *testing.T) {
		pushed := c.Push(c.Signed(fapitest.Set("response_type", "code id_token")))
		_, _, sentTo := w.Browser().Visit(w.AuthorizeURL(c.ID, pushed.Text("request_uri")))
		sent := fapitest.Fragment(t, sentTo)
		front := recipient.Open(t, sent.Get("id_token"))
		issued := c.Redeem(sent.Get("code"), nil)
		fapitest.WantOK(t, issued)
		header, body := w.Verify(recipient.Open(t, issued.Text("id_token")))
		_, first := w.Verify(front)
		if header.Algorithm != "PS256" || body["sub"] != first["sub"] || first["c_hash"] == nil || body["at_hash"] == nil {
			t.Errorf("signed with %s: %v, %v", header.Algorithm, body, first)
		}
	})
}

// Covers: LR-16. A transaction has an identifier, in each of its ID tokens, whether it was asked for or not.
func TestLR16Transaction(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.Offering("au-connectid", "fapi2-security"))
	c, base := w.Register("client-1", fapitest.OfEcosystem("au-connectid")), w.Register("client-2", nil)
	purpose := fapitest.Set("purpose", "To see who you are")
	seen := map[string]bool{}
	for name, change := range map[string]fapitest.Change{
		"that is asked for": fapitest.Asking(`{"id_token":{"txn":{"essential":true}}}`), "that is not asked for": fapitest.Nothing, "of another request": fapitest.Nothing,
	} {
		t.Run("accepts one "+name, func(t *testing.T) {
			body := fapitest.UnverifiedClaims(t, c.TokensFor(c.Signed(purpose, change)).Text("id_token"))
			txn, _ := body["txn"].(string)
			if len(txn) != 36 || seen[txn] {
				t.Errorf("txn %q", txn)
			}
			seen[txn] = true
		})
	}
	t.Run("refuses one where the profile has none", func(t *testing.T) {
		body := fapitest.UnverifiedClaims(t, base.TokensFor(fapitest.Asking(`{"id_token":{"txn":{"essential":true}}}`)).Text("id_token"))
		if body["txn"] != nil {
			t.Errorf("txn %v", body["txn"])
		}
	})
}

// Covers: LR-19. A claim that the rules of an ecosystem name can be asked for without the scope that has it elsewhere, where the rule
// has it; others cannot.
func TestLR19ClaimsByRule(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.Offering("au-connectid", "fapi2-message-signing", "brazil-openfinance/fapi2-security"))
	w.AddUser("sub-alice", "alice", `{"given_name":"Alice","nickname":"Al","cpf":"11111111111","birthdate":"1990-01-31"}`)
	asked := fapitest.Asking(`{"id_token":{"given_name":{"essential":true},"nickname":null,"cpf":null},"userinfo":{"birthdate":null,"nickname":null,"cpf":null}}`)
	purpose := fapitest.Set("purpose", "To see who you are")
	for _, test := range []struct {
		name   string
		client *fapitest.Client
		want   []string
	}{
		{"accepts those of ConnectID", w.Register("client-1", fapitest.OfEcosystem("au-connectid")), []string{"given_name", "birthdate"}},
		{"accepts those of Brazil", w.Register("client-2", fapitest.All(fapitest.OfEcosystem("brazil-openfinance/fapi2-security"), fapitest.KeysAt(t))), []string{"cpf", "cpf"}},
		{"refuses all of a base profile without a scope", w.Register("client-3", fapitest.OfEcosystem("fapi2-message-signing")), []string{"", ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			change := fapitest.Changes(asked, purpose)
			if test.client.ID != "client-2" {
				change = test.client.Signed(asked, purpose)
			}
			issued := test.client.TokensFor(change)
			id := fapitest.UnverifiedClaims(t, issued.Text("id_token"))
			info := test.client.Get("/userinfo", issued.Text("access_token"), fapitest.InteractionID).Body
			for _, name := range []string{"given_name", "nickname", "cpf", "birthdate"} {
				if (id[name] != nil) != (name == test.want[0]) || (info[name] != nil) != (name == test.want[1]) {
					t.Errorf("%s: %v in the ID token, %v in UserInfo", name, id[name], info[name])
				}
			}
		})
	}
}

// Covers: LR-15. The intent that a request names by value comes back in each ID token, and nowhere else.
func TestLR15Intent(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithConsents)
	c := w.Register("client-1", fapitest.InUK)
	for _, name := range []string{"the first intent", "another"} {
		t.Run("accepts "+name, func(t *testing.T) {
			lodged := w.Lodge(c)
			issued := c.TokensFor(fapitest.NamingByClaim(lodged.ID))
			id := fapitest.UnverifiedClaims(t, issued.Text("id_token"))
			info := c.Get("/userinfo", issued.Text("access_token"), nil)
			if id["openbanking_intent_id"] != lodged.ID {
				t.Errorf("%s: ID token %v", lodged.ID, id)
			}
			access := fapitest.UnverifiedClaims(t, issued.Text("access_token"))
			if info.Status != 200 || info.Body["openbanking_intent_id"] != nil || access["openbanking_intent_id"] != nil {
				t.Errorf("it is in the access token %v or UserInfo %d %s, where its rule does not have it", access, info.Status, info.Raw)
			}
		})
	}
	t.Run("refuses an intent of nobody", func(t *testing.T) {
		fapitest.WantError(t, c.Push(fapitest.NamingByClaim("urn:bank:none")), 400, "invalid_request")
	})
}
