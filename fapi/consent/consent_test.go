package consent_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/fapi/consent"
	"countersign/fapi/fapitest"
	"countersign/internal/audit"
	"countersign/store"
)

func once(c *consent.Consent) { c.Once = true }

// Covers: LC-01, LC-02. A consent that a request names is bound to the grant, and read again when the code is redeemed and at each refresh.
func TestBound(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t)
	for _, c := range []*fapitest.Client{e.uk, e.brazil} {
		t.Run("accepts a consent of its own, "+c.ID, func(t *testing.T) {
			lodged := e.lodge(c)
			tokens := c.TokensFor(e.naming(c, lodged.ID))
			got := e.now(lodged.ID)
			if got.Status != store.ConsentAuthorised || got.Subject != "sub-alice" || got.GrantID == "" {
				t.Errorf("the consent is %+v", got)
			}
			fapitest.WantOK(t, c.Refresh(tokens.Text("refresh_token"), nil))
		})
		t.Run("refuses what was issued by one that ended, "+c.ID, func(t *testing.T) {
			lodged := e.lodge(c)
			tokens := c.TokensFor(e.naming(c, lodged.ID))
			e.end(lodged.ID)
			fapitest.WantError(t, c.Refresh(tokens.Text("refresh_token"), nil), http.StatusBadRequest, "invalid_grant")
			lodged = e.lodge(c)
			code := e.open(t, c, e.Browser(), e.naming(c, lodged.ID)).Get("code")
			e.end(lodged.ID)
			fapitest.WantError(t, c.Redeem(code, nil), http.StatusBadRequest, "invalid_grant")
		})
	}
}

// Covers: LC-03, LC-04, ATTACK-45. A request without a consent that needs one, with another client's, an unknown, expired, rejected, consumed or
// revoked one, or one that does not cover its scopes, is refused when it is pushed, and nothing is kept.
func TestRefusedWhenPushed(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t)
	for _, c := range []*fapitest.Client{e.uk, e.brazil} {
		other := e.brazil
		if c == other {
			other = e.uk
		}
		expired := e.lodge(c, func(c *consent.Consent) { c.ExpiresAt = e.Clock.Now().Add(time.Second) })
		rejected, revoked, spent := e.lodge(c), e.lodge(c), e.lodge(c, once)
		e.end(rejected.ID)
		c.TokensFor(e.naming(c, revoked.ID))
		e.end(revoked.ID)
		c.TokensFor(e.naming(c, spent.ID))
		if _, err := e.Store.SpendConsent(t.Context(), "", spent.ID); err != nil {
			t.Fatal(err)
		}
		single := e.lodge(c, once)
		c.TokensFor(e.naming(c, single.ID))
		byKind := e.lodge(c, func(c *consent.Consent) { c.Kind = "payment" })
		c.TokensFor(e.naming(c, byKind.ID))
		narrow := e.lodge(c, func(c *consent.Consent) { c.Scopes = []string{"payments"} })
		e.Clock.Advance(2 * time.Second)
		foreign := e.lodge(other)
		fapitest.TryAll(t, c.Push,
			fapitest.Good("its own, "+c.ID, e.naming(c, e.lodge(c).ID)),
			fapitest.Bad("none, "+c.ID, nil, 400, "invalid_request"),
			fapitest.Bad("another client's, "+c.ID, e.naming(c, foreign.ID), 400, "invalid_request"),
			fapitest.Bad("an unknown one, "+c.ID, e.naming(c, "urn:bank:unknown"), 400, "invalid_request"),
			fapitest.Bad("an expired one, "+c.ID, e.naming(c, expired.ID), 400, "invalid_request"),
			fapitest.Bad("a rejected one, "+c.ID, e.naming(c, rejected.ID), 400, "invalid_request"),
			fapitest.Bad("a revoked one, "+c.ID, e.naming(c, revoked.ID), 400, "invalid_request"),
			fapitest.Bad("a consumed one, "+c.ID, e.naming(c, spent.ID), 400, "invalid_request"),
			fapitest.Bad("one for one authorization that was authorised, "+c.ID, e.naming(c, single.ID), 400, "invalid_request"),
			fapitest.Bad("one of a kind for one authorization that was authorised, "+c.ID, e.naming(c, byKind.ID), 400, "invalid_request"),
			fapitest.Bad("one for other permissions, "+c.ID, e.naming(c, narrow.ID), 400, "invalid_scope"),
		)
		e.wantStatus(t, foreign.ID, store.ConsentAwaiting)
		e.wantStatus(t, narrow.ID, store.ConsentAwaiting)
	}
}

// Covers: LC-05. A consent that ends after the request was pushed is refused when the request is opened, and when it is decided.
func TestRefusedLater(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t)
	c := e.brazil
	t.Run("refuses to open a request whose consent ended", func(t *testing.T) {
		lodged := e.lodge(c)
		pushed := c.Push(e.naming(c, lodged.ID))
		e.end(lodged.ID)
		_, _, sentTo := e.Browser().Visit(e.AuthorizeURL(c.ID, pushed.Text("request_uri")))
		fapitest.WantRedirectError(t, sentTo.Query(), "invalid_request")
	})
	t.Run("refuses a decision about a consent that ended", func(t *testing.T) {
		e.User.Does("wait")
		defer e.User.Does("allow")
		lodged, b := e.lodge(c), e.Browser()
		pushed := c.Push(e.naming(c, lodged.ID))
		b.Visit(e.AuthorizeURL(c.ID, pushed.Text("request_uri")))
		e.end(lodged.ID)
		e.User.Does("allow")
		_, _, sentTo := b.Visit(e.AuthorizeURL(c.ID, pushed.Text("request_uri")))
		fapitest.WantRedirectError(t, sentTo.Query(), "invalid_request")
		e.wantStatus(t, lodged.ID, store.ConsentRejected)
	})
	t.Run("accepts the next one", func(t *testing.T) {
		if e.open(t, c, e.Browser(), e.naming(c, e.lodge(c).ID)).Get("code") == "" {
			t.Error("no code")
		}
	})
}

// Covers: LC-06. What the page shows is the content of the consent, in the user's language; what cannot be shown is not allowed.
func TestShown(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t)
	c := e.uk
	lodged := e.lodge(c)
	e.open(t, c, e.Browser(), fapitest.Changes(e.naming(c, lodged.ID), fapitest.Set("ui_locales", "pt-BR")))
	seen := e.User.Sees()
	t.Run("accepts what was shown", func(t *testing.T) {
		if len(seen.Details) != 1 || seen.Details[0].Type != kind || seen.Language != "pt-BR" ||
			!strings.Contains(fapitest.JSON(seen.Details[0]), "Saldos") || strings.Contains(fapitest.JSON(seen.Details[0]), "Balances") {
			t.Errorf("shown in %s: %s", seen.Language, fapitest.JSON(seen.Details))
		}
	})
	t.Run("refuses what cannot be shown", func(t *testing.T) {
		for _, shown := range []string{`{"Permissions":["ReadBalances"],"Hidden":1,"type":"account-access"}`, `{"type":"unknown"}`, ``} {
			lodged := e.lodge(c, func(c *consent.Consent) {
				if c.Shown = []byte(shown); shown == "" {
					c.Shown = nil
				}
			})
			pushed := c.Push(e.naming(c, lodged.ID))
			status, body, sentTo := e.Browser().Visit(e.AuthorizeURL(c.ID, pushed.Text("request_uri")))
			if status != http.StatusInternalServerError || sentTo != nil {
				t.Errorf("%q: %d %s, %v", shown, status, body, sentTo)
			}
			e.wantStatus(t, lodged.ID, store.ConsentAwaiting)
		}
	})
	t.Run("refuses to answer without a page", func(t *testing.T) {
		b := e.Browser()
		lodged := e.lodge(c)
		e.open(t, c, b, e.naming(c, lodged.ID))
		fapitest.WantRedirectError(t, e.open(t, c, b, fapitest.Changes(e.naming(c, lodged.ID), fapitest.Set("prompt", "none"))), "consent_required")
	})
}

// Covers: LC-07. Who signs in has to be who the consent is for: by its hints, or because they authorised it before.
func TestUser(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t)
	c := e.brazil
	hints := func(h map[string]string) func(*consent.Consent) { return func(c *consent.Consent) { c.Hints = h } }
	for name, test := range map[string]struct {
		hints map[string]string
		who   string
		want  string
	}{
		"accepts the user of the cpf":         {map[string]string{"cpf": "12345678901"}, "sub-alice", ""},
		"accepts one of several cnpj":         {map[string]string{"cpf": "12345678901", "cnpj": "22222222222222"}, "sub-alice", ""},
		"refuses the user of another cpf":     {map[string]string{"cpf": "12345678901"}, "sub-bob", "access_denied"},
		"refuses another cnpj":                {map[string]string{"cpf": "12345678901", "cnpj": "33333333333333"}, "sub-alice", "access_denied"},
		"refuses a user without the claim":    {map[string]string{"cnpj": "22222222222222"}, "sub-bob", "access_denied"},
		"refuses an empty value beside":       {map[string]string{"cpf": "12345678901", "cnpj": ""}, "sub-alice", "access_denied"},
		"refuses a hint that nobody can have": {map[string]string{"cpf": "12345678901", "shoe_size": "44"}, "sub-alice", "access_denied"},
	} {
		t.Run(name, func(t *testing.T) {
			e.User.Is(test.who, fapitest.ACRPassword)
			lodged := e.lodge(c, hints(test.hints))
			got := e.open(t, c, e.Browser(), e.naming(c, lodged.ID))
			if test.want == "" {
				e.wantStatus(t, lodged.ID, store.ConsentAuthorised)
				return
			}
			fapitest.WantRedirectError(t, got, test.want)
			e.wantStatus(t, lodged.ID, store.ConsentAwaiting)
			if strings.Contains(got.Encode(), "12345678901") {
				t.Errorf("the answer tells the hint: %v", got)
			}
		})
	}
	t.Run("refuses to authorise another user's again", func(t *testing.T) {
		c := e.uk
		e.User.Is("sub-alice", fapitest.ACRPassword)
		lodged := e.lodge(c)
		e.open(t, c, e.Browser(), e.naming(c, lodged.ID))
		e.User.Is("sub-bob", fapitest.ACRPassword)
		fapitest.WantRedirectError(t, e.open(t, c, e.Browser(), e.naming(c, lodged.ID)), "access_denied")
		if got := e.now(lodged.ID); got.Subject != "sub-alice" || got.Version != 2 {
			t.Errorf("the consent is %+v", got)
		}
	})
}

// Covers: LC-08. A consent that lasts is authorised again by its user, which ends what was issued by it before; denying it leaves it.
func TestAgain(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t)
	c := e.uk
	lodged := e.lodge(c)
	first := c.TokensFor(e.naming(c, lodged.ID))
	second := c.TokensFor(e.naming(c, lodged.ID))
	t.Run("refuses what was issued before", func(t *testing.T) {
		fapitest.WantError(t, c.Refresh(first.Text("refresh_token"), nil), http.StatusBadRequest, "invalid_grant")
	})
	t.Run("accepts what is issued now", func(t *testing.T) {
		fapitest.WantOK(t, c.Refresh(second.Text("refresh_token"), nil))
	})
	e.User.Does("deny")
	t.Run("refuses nothing when the user denies it", func(t *testing.T) {
		fapitest.WantRedirectError(t, e.open(t, c, e.Browser(), e.naming(c, lodged.ID)), "access_denied")
		e.wantStatus(t, lodged.ID, store.ConsentAuthorised)
		fapitest.WantOK(t, c.Refresh(second.Text("refresh_token"), nil))
	})
	t.Run("refuses one that was denied", func(t *testing.T) {
		denied := e.lodge(c)
		fapitest.WantRedirectError(t, e.open(t, c, e.Browser(), e.naming(c, denied.ID)), "access_denied")
		e.wantStatus(t, denied.ID, store.ConsentRejected)
		fapitest.WantError(t, c.Push(e.naming(c, denied.ID)), 400, "invalid_request")
	})
}

// Covers: LC-09. Of two interactions about one consent the one that was shown it last decides: the other shows it again, and a decision
// that comes at the same moment is made once.
func TestTwoInteractions(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t)
	c := e.uk
	e.User.Does("wait")
	lodged := e.lodge(c)
	begin := func() (*fapitest.Browser, string) {
		b := e.Browser()
		address := e.AuthorizeURL(c.ID, c.Push(e.naming(c, lodged.ID)).Text("request_uri"))
		if status, body, _ := b.Visit(address); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
		return b, address
	}
	first, address := begin()
	bound := e.now(lodged.ID).Bound
	second, other := begin()
	t.Run("accepts the later one as the one that decides", func(t *testing.T) {
		if now := e.now(lodged.ID).Bound; now == bound || now.Zero() {
			t.Error("the second interaction did not take the place of the first")
		}
	})
	e.User.Does("allow")
	results := fapitest.Concurrently(
		func() fapitest.Reply {
			_, _, to := first.Visit(address)
			return replyOf(to != nil && to.Query().Get("code") != "")
		},
		func() fapitest.Reply {
			_, _, to := second.Visit(other)
			return replyOf(to != nil && to.Query().Get("code") != "")
		},
	)
	t.Run("refuses two grants that are valid", func(t *testing.T) {
		valid := 0
		given, err := e.Store.ListGiven(t.Context(), "sub-alice", c.ID, store.Page{Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range given {
			if g.RevokedAt.IsZero() {
				valid++
			}
		}
		if valid != 1 || results[0].Status+results[1].Status == 0 {
			t.Errorf("%d valid grants, answers %v", valid, results)
		}
	})
}

func replyOf(ok bool) fapitest.Reply {
	if ok {
		return fapitest.Reply{Status: http.StatusOK}
	}
	return fapitest.Reply{}
}

// Covers: LC-12. Each step is evidence: who authorised, rejected or ended what, and who was refused.
func TestEvidence(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t, fapitest.WithAuditChain)
	c := e.brazil
	named := func(events []audit.Event, name string) (detail map[string]string) {
		for _, each := range events {
			if each.Detail["event"] == name {
				detail = each.Detail
			}
		}
		return detail
	}
	lodged := e.lodge(c)
	events := e.NewEvents(t, func() { e.open(t, c, e.Browser(), e.naming(c, lodged.ID)) })
	t.Run("accepts an authorisation with its evidence", func(t *testing.T) {
		got, made := named(events, "consent_authorised"), named(events, "grant_made")
		if got["consent"] != lodged.ID || got["subject"] != "sub-alice" || got["grant"] == "" || got["grant"] != made["grant"] {
			t.Errorf("got %v, and the grant %v", got, made)
		}
		if decided := named(events, "consent_decided"); decided["request_digest"] == "" || decided["request_digest"] != made["request_digest"] {
			t.Errorf("decided %v, and the grant %v", decided, made)
		}
	})
	t.Run("refuses another user with evidence, that does not tell the hint", func(t *testing.T) {
		foreign := e.lodge(c, func(c *consent.Consent) { c.Hints = map[string]string{"cpf": "00000000000"} })
		got := named(e.NewEvents(t, func() { e.open(t, c, e.Browser(), e.naming(c, foreign.ID)) }), "consent_of_another_user")
		if got["consent"] != foreign.ID || got["hint"] != "cpf" || strings.Contains(fapitest.JSON(got), "00000000000") {
			t.Errorf("got %v", got)
		}
	})
	t.Run("refuses a denied one with evidence", func(t *testing.T) {
		e.User.Does("deny")
		denied := e.lodge(c)
		got := named(e.NewEvents(t, func() { e.open(t, c, e.Browser(), e.naming(c, denied.ID)) }), "consent_rejected")
		if got["consent"] != denied.ID {
			t.Errorf("got %v", got)
		}
	})
	t.Run("accepts the end of one with evidence", func(t *testing.T) {
		got := named(e.NewEvents(t, func() {
			if _, err := e.Server.Consents().End(t.Context(), consent.Revocation{ID: lodged.ID, ClientID: c.ID, By: store.EndedByBank, Reason: "fraud"}); err != nil {
				t.Fatal(err)
			}
		}), "consent_ended")
		if got["consent"] != lodged.ID || got["by"] != "bank" || got["reason"] != "fraud" {
			t.Errorf("got %v", got)
		}
		if _, err := e.Server.Consents().End(t.Context(), consent.Revocation{ID: lodged.ID, By: store.EndedByBank}); !errors.Is(err, consent.ErrState) {
			t.Errorf("ended twice: %v", err)
		}
	})
}
