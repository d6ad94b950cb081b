package grants_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/store"
)

const payment = `[{"type":"payment_initiation","actions":["initiate"],"instructedAmount":{"currency":"EUR","amount":"12.00"},"creditorName":"Shop"}]`

// Covers: GM-01, GM-02. What a request may say of grants, and what of it is refused, with nothing changed.
func TestGM02Requests(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	a, b := managing(w, "a"), managing(w, "b")
	id := a.TokensFor(managed("create", "", "openid accounts")).Text("grant_id")
	foreign := b.TokensFor(managed("create", "", "openid accounts")).Text("grant_id")
	gone := a.TokensFor(managed("create", "", "openid accounts"))
	fapitest.WantOK(t, a.Revoke(gone.Text("refresh_token"), nil))
	hint := func(c *fapitest.Client, scope string) string {
		return c.TokensFor(fapitest.Set("scope", scope)).Text("id_token")
	}
	fapitest.TryAll(t, a.Push,
		fapitest.Good("a request without an action", nil),
		fapitest.Good("a new grant", managed("create", "", "openid")),
		fapitest.Good("merge with a grant of the client", managed("merge", id, "openid payments")),
		fapitest.Good("replace of it", managed("replace", id, "openid payments")),
		fapitest.Good("a hint of its user", managed("merge", id, "openid", fapitest.Set("id_token_hint", hint(a, "openid")))),
		fapitest.Bad("another client's grant", managed("merge", foreign, "openid"), 400, "invalid_grant_id"),
		fapitest.Bad("a grant that has ended", managed("merge", gone.Text("grant_id"), "openid"), 400, "invalid_grant_id"),
		fapitest.Bad("a grant that there is not", managed("replace", fapitest.RandomString(), "openid"), 400, "invalid_grant_id"),
		fapitest.Bad("a grant_id that is too long", managed("replace", strings.Repeat("a", 200), "openid"), 400, "invalid_grant_id"),
		fapitest.Bad("create with a grant_id", managed("create", id, "openid"), 400, "invalid_request"),
		fapitest.Bad("merge without a grant_id", managed("merge", "", "openid"), 400, "invalid_request"),
		fapitest.Bad("replace without a grant_id", managed("replace", "", "openid"), 400, "invalid_request"),
		fapitest.Bad("a grant_id without an action", fapitest.Set("grant_id", id), 400, "invalid_request"),
		fapitest.Bad("an action that there is not", managed("update", id, "openid"), 400, "invalid_request"),
		fapitest.Bad("an action of the API", managed("revoke", id, "openid"), 400, "invalid_request"),
		fapitest.Bad("a scope of the API, which no user grants", fapitest.Set("scope", "openid grant_management_query"), 400, "invalid_scope"),
		fapitest.Bad("a client that does not authenticate", managed("create", "", "openid", fapitest.Unset("client_assertion")), 401, "invalid_client"),
	)
	w.User.Is("sub-bob", fapitest.ACRPassword)
	fapitest.TryAll(t, a.Push, fapitest.Bad("a hint of another user", managed("merge", id, "openid", fapitest.Set("id_token_hint", hint(a, "openid"))), 400, "invalid_grant_id"))
	t.Run("refuses another user who signs in", func(t *testing.T) {
		if q := a.Redirected(t, managed("merge", id, "openid payments")).Query(); q.Get("code") != "" || q.Get("error") == "" {
			t.Errorf("%v", q)
		}
	})
	w.User.Is("sub-alice", fapitest.ACRPassword)
	t.Run("accepts that the grant is as it was", func(t *testing.T) {
		if r := query(t, a, id); r.Status != 200 || !slices.Equal(scopes(r), []string{"openid", "accounts"}) {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
	t.Run("refuses prompt=none to change a grant", func(t *testing.T) {
		browser := w.Browser()
		a.TokensIn(browser, managed("create", "", "openid accounts"))
		q := a.AuthorizeIn(browser, managed("replace", id, "openid", fapitest.Set("prompt", "none")))
		if q.Get("error") != "consent_required" && q.Get("error") != "login_required" {
			t.Errorf("%v", q)
		}
	})
}

// Covers: GM-03. The grant_id is in the token response and in introspection, is random, and is nowhere else.
func TestGM03GrantID(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	a := managing(w, "a")
	q := a.Redirected(t, managed("create", "", "openid accounts")).Query()
	r := a.Redeem(q.Get("code"), nil)
	fapitest.WantOK(t, r)
	id := r.Text("grant_id")
	t.Run("accepts 256 random bits in the token response", func(t *testing.T) {
		if len(id) != 43 || q.Has("grant_id") || strings.Contains(r.Text("access_token"), id) {
			t.Errorf("%q, %v", id, q)
		}
	})
	t.Run("accepts the same one in the response to a refresh", func(t *testing.T) {
		if again := a.Refresh(r.Text("refresh_token"), nil); again.Text("grant_id") != id {
			t.Errorf("%d %s", again.Status, again.Raw)
		}
	})
	t.Run("accepts it in introspection", func(t *testing.T) {
		server := w.ResourceServer("resource server", w.Issuer)
		if got := server.Introspect(r.Text("access_token"), nil); got.Text("grant_id") != id {
			t.Errorf("%d %s", got.Status, got.Raw)
		}
	})
	t.Run("accepts another one for each new grant", func(t *testing.T) {
		if other := a.TokensFor(managed("create", "", "openid accounts")).Text("grant_id"); other == id || other == "" {
			t.Errorf("%q", other)
		}
	})
	t.Run("refuses one to a request without an action", func(t *testing.T) {
		if plain := a.Tokens(); plain.Text("grant_id") != "" {
			t.Error(plain.Raw)
		}
	})
}

// Covers: GM-04, GM-05. A grant is merged and replaced: its name stays, its tokens end, and it allows what the page said.
func TestGM04Changes(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	a := managing(w, "a")
	made := w.Clock.Now()
	first := a.TokensFor(managed("create", "", "openid accounts", fapitest.Set("claims", `{"userinfo":{"email":null}}`)))
	id := first.Text("grant_id")
	w.Clock.Advance(time.Minute)
	evidence := w.NewEvents(t, func() {})
	if len(evidence) > 0 {
		t.Fatal("evidence of nothing")
	}
	var second fapitest.Reply
	events := w.NewEvents(t, func() {
		second = a.TokensFor(managed("merge", id, "openid payments", fapitest.Set("authorization_details", payment)))
	})
	t.Run("accepts merge", func(t *testing.T) {
		if second.Text("grant_id") != id || second.Text("scope") != "openid accounts payments" || !strings.Contains(second.Raw, `"Shop"`) {
			t.Errorf("%s", second.Raw)
		}
	})
	t.Run("refuses the tokens from before", func(t *testing.T) {
		fapitest.WantError(t, a.Refresh(first.Text("refresh_token"), nil), 400, "invalid_grant")
		fapitest.WantError(t, a.Get("/accounts", first.Text("access_token"), nil), 401, "invalid_token")
		fapitest.WantOK(t, a.Get("/accounts", second.Text("access_token"), nil))
		fapitest.WantOK(t, a.Refresh(second.Text("refresh_token"), nil))
	})
	t.Run("accepts evidence of it", func(t *testing.T) {
		for _, e := range events {
			if e.Detail["event"] == "grant_made" && e.Detail["grant_id"] == id && e.Detail["grant_management_action"] == "merge" && e.Detail["replaces"] != "" {
				return
			}
		}
		t.Error("there is none")
	})
	t.Run("accepts a query of all of it, without tokens and user", func(t *testing.T) {
		r := query(t, a, id)
		var answer struct {
			Claims      []string          `json:"claims"`
			Details     []json.RawMessage `json:"authorization_details"`
			CreatedAt   int64             `json:"created_at"`
			LastUpdated int64             `json:"last_updated"`
			UpdatedBy   string            `json:"updated_by"`
			ExpiresAt   int64             `json:"expires_at"`
		}
		if err := json.Unmarshal([]byte(r.Raw), &answer); err != nil || r.Status != 200 {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		if !slices.Equal(scopes(r), []string{"openid", "accounts", "payments"}) || !slices.Equal(answer.Claims, []string{"email"}) || len(answer.Details) != 1 ||
			answer.CreatedAt != made.Unix() || answer.LastUpdated != made.Add(time.Minute).Unix() || answer.UpdatedBy != "client" || answer.ExpiresAt <= answer.LastUpdated {
			t.Error(r.Raw)
		}
		if strings.Contains(r.Raw, "alice") || strings.Contains(r.Raw, "token") || r.Header.Get("Cache-Control") != "no-store" {
			t.Error(r.Raw)
		}
	})
	third := a.TokensFor(managed("replace", id, "openid accounts"))
	t.Run("accepts a page that says what stays, is new and ends", func(t *testing.T) {
		c := w.User.Sees().Change
		if c == nil || !c.Replaces || len(c.Kept.Scopes) != 2 || len(c.Added.Lines()) != 0 ||
			!slices.Equal(c.Ended.Lines(), []string{"€12.00 to Shop", "Pay", "email"}) {
			t.Errorf("%+v", c)
		}
	})
	t.Run("accepts replace", func(t *testing.T) {
		if third.Text("grant_id") != id || third.Text("scope") != "openid accounts" || strings.Contains(third.Raw, "Shop") {
			t.Error(third.Raw)
		}
		if r := query(t, a, id); !slices.Equal(scopes(r), []string{"openid", "accounts"}) || r.Body["claims"] != nil || r.Body["created_at"] != float64(made.Unix()) {
			t.Error(r.Raw)
		}
		fapitest.WantError(t, a.Refresh(second.Text("refresh_token"), nil), 400, "invalid_grant")
	})
	t.Run("accepts that merge leaves out what is not registered any more", func(t *testing.T) {
		w.ChangeMember(a, "scope", "openid payments grant_management_query grant_management_revoke")
		w.Clock.Advance(2 * time.Second) // for what is cached of the client
		if r := a.TokensFor(managed("merge", id, "payments")); r.Text("scope") != "openid payments" {
			t.Error(r.Raw)
		}
	})
	t.Run("accepts resources of both", func(t *testing.T) {
		b := managing(w, "b")
		of := func(resource string) fapitest.Change {
			return func(form url.Values, _ http.Header) { form.Add("resource", resource) }
		}
		id := b.TokensFor(managed("create", "", "accounts", of(fapitest.LedgerAPI))).Text("grant_id")
		fapitest.WantOK(t, b.TokensFor(managed("merge", id, "payments", of(fapitest.PaymentAPI))))
		r := query(t, b, id)
		for _, resource := range []string{fapitest.LedgerAPI, fapitest.PaymentAPI} {
			if !strings.Contains(r.Raw, resource) {
				t.Error(r.Raw)
			}
		}
	})
	t.Run("accepts that an account lists one grant", func(t *testing.T) {
		given, err := w.Store.ListGiven(t.Context(), "sub-alice", "a", store.Page{Limit: 10})
		if err != nil || len(given) != 1 || given[0].ManagedID != id {
			t.Errorf("%v %v", given, err)
		}
	})
}

// A grant that has changed since a request for it was made is not changed by it: neither before a page, nor on it.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	a := managing(w, "a")
	id := a.TokensFor(managed("create", "", "openid accounts")).Text("grant_id")
	pushed := a.Push(managed("merge", id, "openid payments"))
	winner := a.TokensFor(managed("merge", id, "openid email"))
	q := w.Browser().Sent(t, w.AuthorizeURL(a.ID, pushed.Text("request_uri")))
	if q.Get("error") != "invalid_grant_id" || q.Get("grant_id") != "" {
		t.Errorf("%v", q)
	}
	if r := query(t, a, id); !slices.Equal(scopes(r), []string{"openid", "accounts", "email"}) {
		t.Error(r.Raw)
	}
	fapitest.WantOK(t, a.Refresh(winner.Text("refresh_token"), nil))
}

// Covers: GM-06, GM-07. The API: who may query and revoke, and how others are refused.
func TestGM06API(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	a, b := managing(w, "a"), managing(w, "b")
	issued := a.TokensFor(managed("create", "", "openid accounts"))
	id := issued.Text("grant_id")
	plain := a.Tokens()
	reading, ending := own(t, a, "grant_management_query"), own(t, a, "grant_management_revoke")
	for name, one := range map[string]struct {
		by                *fapitest.Client
		method, id, token string
		status            int
		code              string
	}{
		"another client's grant":          {b, "GET", id, own(t, b, "grant_management_query"), 404, "invalid_request"},
		"the end of another client's":     {b, "DELETE", id, own(t, b, "grant_management_revoke"), 404, "invalid_request"},
		"a grant that there is not":       {a, "GET", fapitest.RandomString(), reading, 404, "invalid_request"},
		"the end of one":                  {a, "DELETE", fapitest.RandomString(), ending, 404, "invalid_request"},
		"a name that is too long":         {a, "GET", strings.Repeat("a", 200), reading, 404, "invalid_request"},
		"a query with the other scope":    {a, "GET", id, ending, 403, "insufficient_scope"},
		"an end with the other scope":     {a, "DELETE", id, reading, 403, "insufficient_scope"},
		"a token of the grant":            {a, "GET", id, issued.Text("access_token"), 403, "insufficient_scope"},
		"a token of another grant":        {a, "DELETE", id, plain.Text("access_token"), 403, "insufficient_scope"},
		"no token of this server":         {a, "GET", id, "x", 401, "invalid_token"},
		"a token bound to another key":    {b, "GET", id, reading, 401, "invalid_token"},
		"no token of this server, to end": {a, "DELETE", id, "x", 401, "invalid_token"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			fapitest.WantError(t, call(t, one.by, one.method, one.id, one.token), one.status, one.code)
		})
	}
	t.Run("refuses a method that there is not", func(t *testing.T) {
		if r := call(t, a, http.MethodPut, id, reading); r.Status != 405 {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
	n := w.Node(nil)
	t.Run("accepts an end, on all nodes at once", func(t *testing.T) {
		there := n.Client(a)
		fapitest.WantOK(t, there.Get("/accounts", issued.Text("access_token"), nil))
		var r fapitest.Reply
		events := w.NewEvents(t, func() { r = call(t, a, http.MethodDelete, id, ending) })
		if r.Status != 204 || r.Raw != "" {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		fapitest.WantError(t, there.Get("/accounts", issued.Text("access_token"), nil), 401, "invalid_token")
		fapitest.WantError(t, there.Refresh(issued.Text("refresh_token"), nil), 400, "invalid_grant")
		fapitest.WantError(t, call(t, there, http.MethodGet, id, reading), 404, "invalid_request")
		fapitest.WantError(t, call(t, a, http.MethodDelete, id, ending), 404, "invalid_request")
		if len(events) != 1 || events[0].Detail["event"] != "grant_revoked" || events[0].Detail["by"] != store.RevokedByClient || events[0].Detail["grant_id"] != id {
			t.Errorf("%v", events)
		}
		fapitest.WantOK(t, a.Get("/accounts", plain.Text("access_token"), nil))
	})
	t.Run("accepts a certificate in place of a proof", func(t *testing.T) {
		c := managing(w, "c", fapitest.TLSClientAuth)
		id := c.TokensFor(managed("create", "", "openid accounts")).Text("grant_id")
		fapitest.WantOK(t, query(t, c, id))
		if r := call(t, c, http.MethodDelete, id, own(t, c, "grant_management_revoke")); r.Status != 204 {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
	t.Run("refuses a grant of a user who is gone", func(t *testing.T) {
		id := a.TokensFor(managed("create", "", "openid accounts")).Text("grant_id")
		w.Disable("sub-alice", true)
		fapitest.WantError(t, call(t, a, http.MethodGet, id, reading), 404, "invalid_request")
		w.Disable("sub-alice", false)
	})
}

// Two nodes replace one grant at once: one wins, and the other's client is told.
func TestRaceOfNodes(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	a := managing(w, "a")
	n := w.Node(nil)
	there := n.Client(a)
	for range 5 {
		id := a.TokensFor(managed("create", "", "openid accounts")).Text("grant_id")
		here, away := w.Browser(), n.Browser(w.Browser())
		uris := []string{a.Push(managed("merge", id, "openid payments")).Text("request_uri"), there.Push(managed("replace", id, "openid email")).Text("request_uri")}
		answers := make(chan url.Values, 2)
		go func() { answers <- here.Sent(t, w.AuthorizeURL(a.ID, uris[0])) }()
		go func() { answers <- away.Sent(t, w.AuthorizeURL(a.ID, uris[1])) }()
		codes := 0
		for range 2 {
			switch q := <-answers; {
			case q.Get("code") != "":
				codes++
				fapitest.WantOK(t, a.Redeem(q.Get("code"), nil))
			case q.Get("error") != "invalid_grant_id":
				t.Errorf("%v", q)
			}
		}
		if codes == 0 {
			t.Error("nobody has won")
		}
		if r := query(t, a, id); r.Status != 200 {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	}
}

// Covers: GM-09. A grant that nobody claims ends; one that was claimed goes on.
func TestGM09Unclaimed(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	a := managing(w, "a")
	claimed := a.TokensFor(managed("create", "", "openid accounts")).Text("grant_id")
	unclaimed := a.TokensFor(managed("create", "", "openid accounts")).Text("grant_id")
	if q := a.Redirected(t, managed("merge", unclaimed, "openid payments")).Query(); q.Get("code") == "" {
		t.Fatalf("%v", q)
	}
	purged := func(after time.Duration) {
		t.Helper()
		w.Clock.Advance(after)
		if _, err := w.Store.Purge(t.Context(), 1000); err != nil {
			t.Fatal(err)
		}
	}
	purged(30 * time.Minute)
	t.Run("accepts what was merged into it while it may still be", func(t *testing.T) {
		if r := query(t, a, unclaimed); r.Status != 200 || !slices.Contains(scopes(r), "payments") {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
	purged(4 * time.Hour)
	t.Run("accepts a grant that was claimed", func(t *testing.T) {
		if r := query(t, a, claimed); r.Status != 200 {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
	t.Run("refuses one whose code nobody redeemed", func(t *testing.T) {
		if r := query(t, a, unclaimed); r.Status != 404 {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
		fapitest.TryAll(t, a.Push, fapitest.Bad("a merge with it", managed("merge", unclaimed, "openid"), 400, "invalid_grant_id"))
	})
}
