package consent_test

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"countersign/fapi/consent"
	"countersign/fapi/fapitest"
	"countersign/store"
)

// core is a system of the bank's own that keeps consents.
type core struct {
	mu       sync.Mutex
	consents map[string]consent.Consent
	// away and refuses have it answer nothing, and refuse decisions; lies has it answer about another consent.
	away, refuses, lies bool
	decided, undone     []consent.Decision
	// during is called by the next decision, before it is made.
	during func()
}

func (k *core) change(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

// Read implements [consent.Source].
func (k *core) Read(_ context.Context, clientID, id string) (consent.Consent, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, found := k.consents[id]
	switch {
	case k.away:
		return consent.Consent{}, consent.ErrUnavailable
	case !found || c.ClientID != clientID && !k.lies:
		return consent.Consent{}, consent.ErrNotFound
	}
	return c, nil
}

// Bind implements [consent.Source].
func (k *core) Bind(ctx context.Context, b consent.Binding) (consent.Consent, error) {
	return k.Read(ctx, b.ClientID, b.ID)
}

// Decide implements [consent.Source].
func (k *core) Decide(_ context.Context, d consent.Decision) (*store.ConsentDecision, error) {
	var during func()
	k.change(func() { during, k.during = k.during, nil })
	if during != nil {
		during()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.away:
		return nil, consent.ErrUnavailable
	case k.refuses:
		return nil, consent.ErrState
	}
	k.decided = append(k.decided, d)
	c := k.consents[d.Consent.ID]
	if c.Status = store.ConsentRejected; d.GrantID != "" {
		c.Status, c.Subject = store.ConsentAuthorised, d.Subject
	}
	k.consents[c.ID] = c
	return &store.ConsentDecision{ID: c.ID, ClientID: c.ClientID, Subject: d.Subject, Elsewhere: &store.LodgedConsent{
		Kind: c.Kind, Shown: c.Shown, EndsAt: c.EndsAt, CreatedAt: d.At, ChangedAt: d.At, ExpiresAt: d.At, Notify: true,
	}}, nil
}

// Undo implements [consent.Source].
func (k *core) Undo(_ context.Context, d consent.Decision) {
	k.change(func() { k.undone = append(k.undone, d) })
}

// Revoke implements [consent.Source].
func (k *core) Revoke(ctx context.Context, r consent.Revocation) (consent.Consent, error) {
	return k.Read(ctx, r.ClientID, r.ID)
}

// Covers: LC-22, LC-23. Consents in a system of the bank's own are held to the same: while it does not answer nothing is granted (503 with
// Retry-After), what it says of another consent counts for nothing, and what ends here ends with the grant.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	k := &core{consents: map[string]consent.Consent{}}
	h := newHook()
	e := newEcosystem(t, h.told, func(c *fapitest.Config) { c.Consents.Source = k })
	c := e.uk
	lodge := func(id string) string {
		now := e.Clock.Now()
		k.change(func() {
			k.consents[id] = consent.Consent{
				ID: id, ClientID: c.ID, Kind: kind, Status: store.ConsentAwaiting, Shown: []byte(`{"Permissions":["ReadBalances"],"type":"account-access"}`), CreatedAt: now,
			}
		})
		return id
	}
	away := func(is bool) { k.change(func() { k.away = is }) }
	run(t, e.Server)
	id := lodge("core-1")
	tokens := c.TokensFor(e.naming(c, id))
	t.Run("accepts a consent that is kept there", func(t *testing.T) {
		fapitest.WantOK(t, c.Refresh(tokens.Text("refresh_token"), nil))
		if len(k.decided) != 1 || k.decided[0].Subject != "sub-alice" || k.decided[0].GrantID != e.now(id).GrantID || k.decided[0].EndsAt.IsZero() {
			t.Errorf("it was told %+v", k.decided)
		}
	})
	t.Run("refuses everything while it does not answer", func(t *testing.T) {
		other := lodge("core-2")
		pushed := c.Push(e.naming(c, other))
		waiting := c.Push(e.naming(c, lodge("core-3")))
		code := e.open(t, c, e.Browser(), e.naming(c, lodge("core-4"))).Get("code")
		away(true)
		defer away(false)
		for _, r := range []fapitest.Reply{c.Push(e.naming(c, other)), c.Redeem(code, nil), c.Refresh(tokens.Text("refresh_token"), nil)} {
			fapitest.WantError(t, r, http.StatusServiceUnavailable, "temporarily_unavailable")
			if r.Header.Get("Retry-After") == "" {
				t.Error("without Retry-After")
			}
		}
		_, _, sentTo := e.Browser().Visit(e.AuthorizeURL(c.ID, pushed.Text("request_uri")))
		fapitest.WantRedirectError(t, sentTo.Query(), "temporarily_unavailable")
		away(false)
		k.change(func() { k.refuses = true })
		_, _, sentTo = e.Browser().Visit(e.AuthorizeURL(c.ID, waiting.Text("request_uri")))
		fapitest.WantRedirectError(t, sentTo.Query(), "invalid_request")
		k.change(func() { k.refuses = false })
		if _, err := e.Store.LodgedConsent(t.Context(), "", "core-3"); err == nil {
			t.Error("something was kept")
		}
		fapitest.WantOK(t, c.Redeem(code, nil))
	})
	t.Run("refuses what it says of another client's", func(t *testing.T) {
		id := lodge("core-5")
		k.change(func() {
			foreign := k.consents[id]
			foreign.ClientID, k.lies = e.brazil.ID, true
			k.consents[id] = foreign
		})
		fapitest.WantError(t, c.Push(e.naming(c, id)), http.StatusBadRequest, "invalid_request")
		k.change(func() { k.lies = false })
	})
	t.Run("refuses a refresh when it has ended there", func(t *testing.T) {
		k.change(func() {
			ended := k.consents[id]
			ended.Status = store.ConsentRevoked
			k.consents[id] = ended
		})
		fapitest.WantError(t, c.Refresh(tokens.Text("refresh_token"), nil), http.StatusBadRequest, "invalid_grant")
	})
	t.Run("accepts that the end of the grant here is told", func(t *testing.T) {
		if _, err := e.Store.EndAccess(t.Context(), store.Ending{Subject: "sub-alice", ClientID: c.ID, GrantID: e.now(id).GrantID, By: store.RevokedByUser}); err != nil {
			t.Fatal(err)
		}
		if _, change := e.change(t, h.next(t)); change["consent_id"] != id || change["status"] != "revoked" || change["ended_by"] != "user" {
			t.Errorf("told %v", change)
		}
	})
	t.Run("accepts that a decision which was not stored is undone", func(t *testing.T) {
		id := lodge("core-6")
		own := store.LodgedConsent{ID: id, ClientID: e.brazil.ID, Status: store.ConsentAwaiting, Version: 1, CreatedAt: e.Clock.Now(), ChangedAt: e.Clock.Now(), ExpiresAt: e.Clock.Now()}
		if err := e.Store.LodgeConsent(t.Context(), own, store.ConsentQuota{}); err != nil { // another's of the same name is here
			t.Fatal(err)
		}
		fapitest.WantRedirectError(t, e.open(t, c, e.Browser(), e.naming(c, id)), "invalid_request")
		if len(k.undone) != 1 || k.undone[0].Consent.ID != id {
			t.Errorf("undone %+v", k.undone)
		}
	})
	t.Run("accepts that a denial which was not stored is undone", func(t *testing.T) {
		id := lodge("core-7")
		b, address := e.Browser(), e.AuthorizeURL(c.ID, c.Push(e.naming(c, id)).Text("request_uri"))
		var allowed url.Values
		k.change(func() {
			k.during = func() { // the same interaction is allowed while it is denied
				e.User.Does("allow")
				allowed = b.Sent(t, address)
			}
		})
		e.User.Does("deny")
		if status, _, _ := b.Visit(address); status != http.StatusBadRequest || allowed.Get("code") == "" {
			t.Errorf("%d, allowed %v", status, allowed)
		}
		if len(k.undone) != 2 || k.undone[1].Consent.ID != id || k.undone[1].GrantID != "" {
			t.Errorf("undone %+v", k.undone)
		}
	})
}
