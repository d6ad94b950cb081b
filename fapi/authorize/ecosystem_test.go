package authorize_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
)

// Covers: LR-01. ConnectID demands a purpose of 3 to 300 characters, whatever the script.
func TestLR01Purpose(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.Offering("au-connectid", "fapi2-message-signing"))
	c := w.Register("client-1", fapitest.OfEcosystem("au-connectid"))
	other := w.Register("client-2", fapitest.OfEcosystem("fapi2-message-signing"))
	purpose := func(text string) fapitest.Change { return c.Signed(fapitest.Set("purpose", text)) }
	hangul := "\u1100\u1101\u1102"
	fapitest.TryAll(t, c.Push,
		fapitest.Good("3 characters", purpose("Why")),
		fapitest.Good("300 characters of several bytes", purpose(strings.Repeat(hangul, 100))),
		fapitest.Good("a joiner where the spelling of a script has it", purpose("क्\u200dष")),
		fapitest.Bad("no purpose", c.Signed(), 400, "invalid_request"),
		fapitest.Bad("an empty one", purpose(""), 400, "invalid_request"),
		fapitest.Bad("2 characters", purpose("\u1100\u1101"), 400, "invalid_request"),
		fapitest.Bad("301 characters", purpose(strings.Repeat(hangul, 100)+"x"), 400, "invalid_request"),
		fapitest.Bad("spaces", purpose("     "), 400, "invalid_request"),
		fapitest.Bad("text that turns around", purpose("Pay \u202e05 EUR"), 400, "invalid_request"),
		fapitest.Bad("a line end", purpose("Pay\n5 EUR"), 400, "invalid_request"),
	)
	fapitest.TryAll(t, other.Push,
		fapitest.Good("none of a client whose profile has none", other.Signed()),
		fapitest.Good("any of a client whose profile has none, which ignores it", other.Signed(fapitest.Set("purpose", "x"))),
	)
}

// Covers: LR-02. The user is shown the purpose, each time.
func TestLR02PurposeShown(t *testing.T) {
	t.Parallel()
	w, p := fapitest.NewFullWorld(t, fapitest.Offering("au-connectid", "fapi2-message-signing"))
	c, other := w.Register("client-1", fapitest.OfEcosystem("au-connectid")), w.Register("client-2", fapitest.OfEcosystem("fapi2-message-signing"))
	b := w.Browser()
	for _, purpose := range []string{"To open your account", "To see that you are 18"} {
		t.Run("accepts it and shows it: "+purpose, func(t *testing.T) {
			if c.AuthorizeIn(b, c.Signed(fapitest.Set("purpose", purpose))).Get("code") == "" || p.Sees().Purpose != purpose {
				t.Errorf("shown %q", p.Sees().Purpose)
			}
		})
	}
	if _, pages := p.Asked(); pages != 2 {
		t.Errorf("%d pages, want one for each purpose", pages)
	}
	t.Run("refuses to show one of a client whose profile has none", func(t *testing.T) {
		if other.AuthorizeIn(w.Browser(), other.Signed(fapitest.Set("purpose", "Trust us"))).Get("code") == "" || p.Sees().Purpose != "" {
			t.Errorf("shown %q", p.Sees().Purpose)
		}
	})
}

// Covers: LR-03. Request objects live 10 minutes at most and are not older, by the rule of an ecosystem; an hour by the base.
func TestLR03RequestObjectAge(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.Offering("au-connectid", "fapi2-message-signing"))
	for name, limit := range map[string]time.Duration{"au-connectid": 10 * time.Minute, "fapi2-message-signing": time.Hour} {
		c := w.Register("client-of-"+name, fapitest.OfEcosystem(name))
		now := w.Clock.Now()
		times := func(nbf, exp time.Time) fapitest.Change {
			return c.Signing(fapitest.ChangeClaims(
				fapitest.SetClaim("purpose", "To see who you are"), fapitest.SetClaim("nbf", nbf.Unix()), fapitest.SetClaim("exp", exp.Unix())))
		}
		fapitest.TryAll(t, c.Push,
			fapitest.Good(name+": as long as it may", times(now, now.Add(limit))),
			fapitest.Good(name+": as old as it may", times(now.Add(time.Minute-limit), now.Add(time.Minute))),
			fapitest.Bad(name+": an exp a minute too late", times(now, now.Add(limit+time.Minute)), 400, "invalid_request_object"),
			fapitest.Bad(name+": an nbf 5 minutes too old", times(now.Add(-limit-5*time.Minute), now.Add(time.Minute)), 400, "invalid_request_object"),
		)
	}
}

// Covers: LR-04. Parameters that an ecosystem refuses are refused, also those that the base has.
func TestLR04Parameters(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.Offering("brazil-openfinance/fapi2-security", "fapi2-security", "sg-singpass"))
	brazil := w.Register("client-1", ofBrazil(t))
	base := w.Register("client-2", nil)
	hint := base.Tokens().Text("id_token")
	fapitest.TryAll(t, brazil.Push,
		fapitest.Good("a request without id_token_hint", nil),
		fapitest.Bad("id_token_hint", fapitest.Set("id_token_hint", hint), 400, "invalid_request"),
	)
	fapitest.TryAll(t, base.Push, fapitest.Good("id_token_hint of the base profile", fapitest.Set("id_token_hint", hint)))
	recipient := fapitest.NewRecipient(t, "ECDH-ES+A256KW")
	singpass := w.Register("client-3", fapitest.All(fapitest.OfProfile("sg-singpass"), fapitest.EncryptedTo(recipient, "ECDH-ES+A256KW"),
		fapitest.SetMember("grant_types", []string{"authorization_code"}), fapitest.PlainOpenID))
	fapitest.TryAll(t, singpass.Push,
		fapitest.Good("a parameter that is demanded", fapitest.Set("authentication_context_type", "APP_AUTHENTICATION_DEFAULT")),
		fapitest.Bad("a request without it", nil, 400, "invalid_request"),
	)
}

// ofBrazil registers a client of Open Finance Brasil, of the base fapi2-security.
func ofBrazil(t *testing.T) fapitest.ClientOption {
	return fapitest.All(fapitest.OfEcosystem("brazil-openfinance/fapi2-security"), fapitest.KeysAt(t))
}

// Covers: LR-18. A tax number that is essential by value is that of who signs in, or the request fails.
func TestLR18TaxNumber(t *testing.T) {
	t.Parallel()
	w, p := fapitest.NewFullWorld(t, fapitest.Offering("brazil-openfinance/fapi2-security"))
	w.AddUser("sub-alice", "alice", `{"name":"Alice","cpf":"11111111111","cnpj":["22222222222222","33333333333333"]}`)
	w.AddUser("sub-bob", "bob", `{"name":"Bob","cpf":"44444444444"}`)
	c := w.Register("client-1", ofBrazil(t))
	for name, test := range map[string]struct{ user, claims, want string }{
		"accepts the right cpf":              {"sub-alice", `{"id_token":{"cpf":{"essential":true,"value":"11111111111"}}}`, ""},
		"accepts one of several cnpj":        {"sub-alice", `{"userinfo":{"cnpj":{"essential":true,"value":"33333333333333"}}}`, ""},
		"accepts a list of cnpj":             {"sub-alice", `{"id_token":{"cnpj":{"essential":true,"value":["22222222222222"]}}}`, ""},
		"accepts a wrong one that is a wish": {"sub-bob", `{"id_token":{"cpf":{"value":"11111111111"}}}`, ""},
		"accepts one without a value":        {"sub-bob", `{"id_token":{"cpf":{"essential":true}}}`, ""},
		"refuses another cpf":                {"sub-bob", `{"id_token":{"cpf":{"essential":true,"value":"11111111111"}}}`, "access_denied"},
		"refuses a cnpj of somebody without": {"sub-bob", `{"id_token":{"cnpj":{"essential":true,"value":"22222222222222"}}}`, "access_denied"},
		"refuses a list with a foreign cnpj": {"sub-alice", `{"id_token":{"cnpj":{"essential":true,"value":["22222222222222","55555555555555"]}}}`, "access_denied"},
		"refuses another cpf, for UserInfo":  {"sub-alice", `{"userinfo":{"cpf":{"essential":true,"values":["44444444444"]}}}`, "access_denied"},
	} {
		t.Run(name, func(t *testing.T) {
			p.Is(test.user, fapitest.ACRKey)
			q := c.AuthorizeIn(w.Browser(), fapitest.Asking(test.claims))
			if q.Get("error") != test.want || (q.Get("code") == "") != (test.want != "") {
				t.Errorf("sent back with %v", q)
			}
		})
	}
	t.Run("refuses the session of another user, and accepts the one who signs in then", func(t *testing.T) {
		b := w.Browser()
		p.Is("sub-bob", fapitest.ACRKey)
		c.AuthorizeIn(b, nil)
		p.Is("sub-alice", fapitest.ACRKey)
		p.Asked()
		q := c.AuthorizeIn(b, fapitest.Asking(`{"id_token":{"cpf":{"essential":true,"value":"11111111111"}}}`))
		if signIns, _ := p.Asked(); q.Get("code") == "" || signIns != 1 {
			t.Errorf("%d sign-ins, sent back with %v", signIns, q)
		}
	})
	t.Run("refuses it without a page too", func(t *testing.T) {
		b := w.Browser()
		p.Is("sub-bob", fapitest.ACRKey)
		c.AuthorizeIn(b, nil)
		q := c.AuthorizeIn(b, fapitest.Changes(fapitest.Set("prompt", "none"), fapitest.Asking(`{"id_token":{"cpf":{"essential":true,"value":"11111111111"}}}`)))
		if q.Get("error") != "login_required" {
			t.Errorf("sent back with %v", q)
		}
	})
}

// Covers: LR-14. expires_in of a pushed request is within the bounds of the ecosystem.
func TestLR14RequestURILifetime(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.Offering("brazil-openfinance/fapi2-security", "au-cdr/fapi2-security"), func(c *fapitest.Config) {
		c.RequestURILifetime = 30 * time.Second
	})
	recipient := fapitest.NewRecipient(t, "ECDH-ES")
	brazil := w.Register("client-1", ofBrazil(t))
	cdr := w.Register("client-2", fapitest.All(fapitest.OfEcosystem("au-cdr/fapi2-security"), fapitest.EncryptedTo(recipient, "ECDH-ES")))
	for name, test := range map[string]struct {
		client *fapitest.Client
		want   float64
	}{"accepts the least that the ecosystem has": {brazil, 60}, "accepts what is configured, within the bounds": {cdr, 30}} {
		t.Run(name, func(t *testing.T) {
			pushed := test.client.Push(nil)
			if pushed.Status != http.StatusCreated || pushed.Body["expires_in"] != test.want {
				t.Errorf("%d %s", pushed.Status, pushed.Raw)
			}
		})
	}
	t.Run("refuses it when that is over", func(t *testing.T) {
		requestURI := brazil.Push(nil).Text("request_uri")
		w.Clock.Advance(61 * time.Second)
		if _, _, sentTo := w.Browser().Visit(w.AuthorizeURL(brazil.ID, requestURI)); sentTo == nil || sentTo.Query().Get("error") != "invalid_request_uri" {
			t.Errorf("sent to %v", sentTo)
		}
	})
}
