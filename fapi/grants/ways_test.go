package grants_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/fapi/consent"
	"countersign/fapi/fapitest"
	"countersign/store"
)

// Covers: GM-08. What is announced.
func TestGM08Metadata(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	d := w.Document()
	t.Run("accepts the endpoint, its alias and the actions", func(t *testing.T) {
		aliases, _ := d["mtls_endpoint_aliases"].(map[string]any)
		actions, _ := d["grant_management_actions_supported"].([]any)
		if d["grant_management_endpoint"] != w.Issuer+"/grants" || aliases["grant_management_endpoint"] != w.MTLSIssuer+"/grants" ||
			len(actions) != 5 || d["grant_management_action_required"] != false {
			t.Errorf("%v", d)
		}
	})
	t.Run("refuses to announce it for a profile without", func(t *testing.T) {
		one := fapitest.NewWorld(t, func(c *fapitest.Config) { c.Profiles = []string{"fapi1-advanced"} })
		for name := range one.Document() {
			if strings.HasPrefix(name, "grant_management") {
				t.Error(name)
			}
		}
		c := one.Register("c", fapitest.FAPI1Advanced)
		if r := call(t, c, http.MethodGet, "x", "x"); r.Status != 404 {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
}

// A client over the backchannel manages its grants in the same way.
func TestBackchannel(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t, fapitest.WithBackchannel(), fapitest.WithAuditChain)
	a := managing(w, "a", fapitest.CIBAPoll, func(_ *fapitest.Client, m map[string]any) {
		m["grant_types"] = []string{fapitest.CIBAGrant, "refresh_token", "client_credentials"}
	})
	with := func(action, id, scope string) fapitest.Change {
		return managed(action, id, scope, fapitest.Set("binding_message", "B-1"))
	}
	tokens := func(action, id, scope string) fapitest.Reply {
		t.Helper()
		request := a.AuthReqID(with(action, id, scope))
		w.Decide(request, true)
		w.Clock.Advance(10 * time.Second)
		r := a.Poll(request, nil)
		fapitest.WantOK(t, r)
		return r
	}
	first := tokens("create", "", "openid accounts")
	id := first.Text("grant_id")
	request := a.AuthReqID(with("merge", id, "openid payments"))
	view, err := w.Server.Backchannel().Request(t.Context(), fapitest.Reference(request), "sub-alice")
	if err != nil || view.Change == nil {
		t.Fatalf("%v %v", view.Change, err)
	}
	if c := view.Change; c.Replaces || !slices.Equal(c.Added.Lines(), []string{"Pay"}) || len(c.Kept.Scopes) != 2 || len(c.Ended.Lines()) != 0 {
		t.Errorf("%+v", c)
	}
	var second fapitest.Reply
	var decided, made map[string]string
	for _, e := range w.NewEvents(t, func() { second = tokens("replace", id, "openid email") }) {
		switch e.Detail["event"] {
		case "backchannel_decided":
			decided = e.Detail
		case "grant_made":
			made = e.Detail
		}
	}
	if made["grant_id"] != id || made["grant_management_action"] != "replace" || made["replaces"] == "" ||
		made["request_digest"] == "" || made["request_digest"] != decided["request_digest"] {
		t.Errorf("decided %v, and the grant %v", decided, made)
	}
	if id == "" || second.Text("grant_id") != id || second.Text("scope") != "openid email" {
		t.Error(second.Raw)
	}
	fapitest.WantError(t, a.Refresh(first.Text("refresh_token"), nil), 400, "invalid_grant")
	if err := w.Server.Backchannel().Decide(t.Context(), w.ByAlice(request, true)); err == nil {
		t.Error("a grant was changed that had changed since it was shown")
	}
	if r := query(t, a, id); !slices.Equal(scopes(r), []string{"openid", "email"}) {
		t.Error(r.Raw)
	}
	fapitest.TryAll(t, a.Backchannel,
		fapitest.Bad("a grant of another user", fapitest.Changes(with("merge", id, "openid"), fapitest.Set("login_hint", "bob")), 400, "invalid_grant_id"),
		fapitest.Bad("a user who is not known", fapitest.Changes(with("merge", id, "openid"), fapitest.Set("login_hint", "nobody")), 400, "invalid_grant_id"),
		fapitest.Bad("a grant that there is not", with("merge", "x", "openid"), 400, "invalid_grant_id"),
		fapitest.Bad("a grant_id without an action", fapitest.Changes(fapitest.Set("binding_message", "B-1"), fapitest.Set("grant_id", id)), 400, "invalid_request"))
}

// Covers: GM-05, GM-06. A grant that was made by a consent of the client's ecosystem shows it, and ends it with itself; it is changed
// with its consent alone.
func TestGM06Consents(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithConsents)
	c := w.Register("uk", fapitest.All(fapitest.InUK, func(_ *fapitest.Client, m map[string]any) {
		m["scope"] = "openid accounts grant_management_query grant_management_revoke"
		m["grant_types"] = []string{"authorization_code", "refresh_token", "client_credentials"}
	}))
	lodged := w.Lodge(c)
	issued := c.TokensFor(managed("create", "", "openid accounts", fapitest.NamingByClaim(lodged.ID)))
	id := issued.Text("grant_id")
	t.Run("accepts a query that shows it", func(t *testing.T) {
		r := query(t, c, id)
		if shown, _ := r.Body["consent"].(map[string]any); shown["id"] != lodged.ID || shown["status"] != "authorised" {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
	fapitest.TryAll(t, c.Push,
		fapitest.Bad("merge into it", managed("merge", id, "openid"), 400, "invalid_request"),
		fapitest.Bad("a change of it by another consent", managed("replace", id, "openid accounts", fapitest.NamingByClaim(w.Lodge(c).ID)), 400, "invalid_request"))
	t.Run("accepts its end", func(t *testing.T) {
		if r := call(t, c, http.MethodDelete, id, own(t, c, "grant_management_revoke")); r.Status != 204 {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		ended, err := w.Store.LodgedConsent(t.Context(), c.ID, lodged.ID)
		if err != nil || ended.Status != store.ConsentRevoked || ended.EndedBy != store.EndedByClient {
			t.Errorf("%v %v", ended, err)
		}
		fapitest.WantError(t, c.Refresh(issued.Text("refresh_token"), nil), 400, "invalid_grant")
		fapitest.WantError(t, query(t, c, id), 404, "invalid_request")
	})
}

// forgetful is a source of consents that is away, or that does not know them any more.
type forgetful struct {
	consent.Source
	err error
}

// Read implements [consent.Source].
func (f *forgetful) Read(ctx context.Context, clientID, id string) (consent.Consent, error) {
	if f.err != nil {
		return consent.Consent{}, f.err
	}
	return f.Source.Read(ctx, clientID, id)
}

// A grant whose consent is not known any more can still be read; while that cannot be asked, the client is told when to try again.
func TestConsentNotThere(t *testing.T) {
	t.Parallel()
	source := &forgetful{}
	w := fapitest.NewWorld(t, fapitest.WithConsents, func(c *fapitest.Config) { c.Consents.Source = source })
	source.Source = consent.Own{Store: w.Store}
	c := w.Register("uk", fapitest.All(fapitest.InUK, func(_ *fapitest.Client, m map[string]any) {
		m["scope"] = "openid accounts grant_management_query grant_management_revoke"
		m["grant_types"] = []string{"authorization_code", "refresh_token", "client_credentials"}
	}))
	lodged := w.Lodge(c)
	id := c.TokensFor(managed("create", "", "openid accounts", fapitest.NamingByClaim(lodged.ID))).Text("grant_id")
	source.err = consent.ErrUnavailable
	r := query(t, c, id)
	fapitest.WantError(t, r, http.StatusServiceUnavailable, "temporarily_unavailable")
	if r.Header.Get("Retry-After") == "" {
		t.Error("without Retry-After")
	}
	source.err = consent.ErrNotFound
	r = query(t, c, id)
	if shown, _ := r.Body["consent"].(map[string]any); r.Status != http.StatusOK || shown["id"] != lodged.ID || shown["status"] != nil {
		t.Errorf("%d %s", r.Status, r.Raw)
	}
}
