package tokens_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/fapitest"
	"countersign/internal/claimsource"
)

// bankWorld is a world that asks a bank about users, which knows alice; change, if it is not nil, alters how.
func bankWorld(t *testing.T, change func(*claimsource.Config), more ...fapitest.Option) (*fapitest.World, *fapitest.Bank) {
	t.Helper()
	bank := fapitest.NewBank(t)
	bank.Knows("sub-alice", map[string]any{"name": "Alice of the Bank", "email": "alice@bank.example", "locale": "pt"})
	options := append([]fapitest.Option{fapitest.WithAuditChain, fapitest.ClaimsFrom(t, bank, change)}, more...)
	return fapitest.NewWorld(t, options...), bank
}

// asking asks for claims in the ID token.
func asking(claims string) fapitest.Change { return fapitest.Set("claims", `{"id_token":`+claims+`}`) }

const (
	voluntary = `{"name":null,"phone_number":null}`
	essential = `{"name":{"essential":true},"email":null}`
)

func checkingActive(c *claimsource.Config) { c.CheckActive = true }

// codeFor is a code of a request that a change alters.
func codeFor(t *testing.T, c *fapitest.Client, change fapitest.Change) string {
	t.Helper()
	return c.Redirected(t, change).Query().Get("code")
}

// Covers: KB-15, KB-26. The claims of an ID token are the source's, of those that were asked for and that it may give, and
// none that the directory has; who is known there by the subject alone has them too.
func TestKB26SourceOfIDToken(t *testing.T) {
	t.Parallel()
	w, bank := bankWorld(t, func(c *claimsource.Config) { c.Claims = []string{"name", "email", "locale"} })
	c := w.Register("client-1", nil)
	told := func(t *testing.T, change fapitest.Change) map[string]any {
		t.Helper()
		id := fapitest.UnverifiedClaims(t, c.TokensFor(change).Text("id_token"))
		about := map[string]any{"sub": id["sub"]}
		for _, name := range []string{"name", "email", "email_verified", "locale", "phone_number"} {
			if value, has := id[name]; has {
				about[name] = value
			}
		}
		return about
	}
	t.Run("accepts the claims that were asked for", func(t *testing.T) {
		bank.Asked()
		if diff := cmp.Diff(map[string]any{"sub": "sub-alice", "name": "Alice of the Bank"}, told(t, asking(voluntary))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		asked := bank.Asked()
		if len(asked) != 1 || asked[0]["purpose"] != "token" || asked[0]["client_id"] != "client-1" || asked[0]["subject"] != "sub-alice" {
			t.Fatalf("asked %v", asked)
		}
		if diff := cmp.Diff([]any{"name"}, asked[0]["claims"]); diff != "" || asked[0]["correlation_id"] == nil {
			t.Errorf("asked %v (-want +got):\n%s", asked, diff)
		}
	})
	t.Run("accepts no question where no claim is asked for", func(t *testing.T) {
		c.Tokens()
		if asked := bank.Asked(); len(asked) != 0 {
			t.Errorf("asked %v", asked)
		}
	})
	t.Run("refuses the claims that the directory has", func(t *testing.T) {
		if diff := cmp.Diff(map[string]any{"sub": "sub-alice", "email": "alice@bank.example"}, told(t, asking(`{"email":null,"email_verified":null}`))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("refuses a claim of a scope that the client may not ask for", func(t *testing.T) {
		other := w.Register("client-2", func(c *fapitest.Client, m map[string]any) { c.Scope, m["scope"] = "openid", "openid" })
		bank.Asked()
		id := fapitest.UnverifiedClaims(t, other.TokensFor(asking(voluntary)).Text("id_token"))
		if asked := bank.Asked(); id["name"] != nil || len(asked) != 0 {
			t.Errorf("told %v, asked %v", id, asked)
		}
	})
	t.Run("refuses a value that was not asked for", func(t *testing.T) {
		if got := told(t, asking(`{"name":{"value":"Bob"},"locale":{"values":["pt","es"]}}`)); got["name"] != nil || got["locale"] != "pt" {
			t.Errorf("told %v", got)
		}
	})
	t.Run("accepts a user of whom the directory has nothing but the subject", func(t *testing.T) {
		w.AddUser("sub-carol", "sub-carol", "")
		bank.Knows("sub-carol", map[string]any{"name": "Carol of the Bank"})
		w.User.Is("sub-carol", fapitest.ACRPassword)
		defer w.User.Is("sub-alice", fapitest.ACRPassword)
		if diff := cmp.Diff(map[string]any{"sub": "sub-carol", "name": "Carol of the Bank"}, told(t, asking(voluntary))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// Covers: KB-20. While the source is away, tokens are issued without voluntary claims, and none without an essential one; the
// code is as good as before.
func TestKB20OutageOfTokens(t *testing.T) {
	t.Parallel()
	w, bank := bankWorld(t, nil)
	c := w.Register("client-1", nil)
	away := func(t *testing.T) {
		t.Helper()
		bank.IsAway(true)
		t.Cleanup(func() { bank.IsAway(false); w.Clock.Advance(time.Minute) })
	}
	t.Run("accepts a code without the voluntary claims", func(t *testing.T) {
		away(t)
		issued := c.Redeem(codeFor(t, c, asking(voluntary)), nil)
		fapitest.WantOK(t, issued)
		if id := fapitest.UnverifiedClaims(t, issued.Text("id_token")); id["name"] != nil || id["sub"] != "sub-alice" {
			t.Errorf("told %v", id)
		}
		if !strings.Contains(w.Logs.String(), "voluntary claims left out") {
			t.Error("not a word in the log")
		}
		t.Run("accepts its refresh token", func(t *testing.T) { fapitest.WantOK(t, c.Refresh(issued.Text("refresh_token"), nil)) })
	})
	t.Run("refuses a code without the essential claim, and accepts it when the source is back", func(t *testing.T) {
		code := codeFor(t, c, asking(essential))
		away(t)
		for range 8 { // the source is left alone meanwhile
			r := c.Redeem(code, nil)
			fapitest.WantError(t, r, http.StatusServiceUnavailable, "temporarily_unavailable")
			if r.Header.Get("Retry-After") == "" || r.Body["access_token"] != nil {
				t.Errorf("%v %s", r.Header, r.Raw)
			}
		}
		bank.IsAway(false)
		w.Clock.Advance(5 * time.Second)
		issued := c.Redeem(code, nil)
		fapitest.WantOK(t, issued)
		if id := fapitest.UnverifiedClaims(t, issued.Text("id_token")); id["name"] != "Alice of the Bank" {
			t.Errorf("told %v", id)
		}
	})
	t.Run("accepts a user who has no value for an essential claim", func(t *testing.T) { // OpenID Connect Core §5.5.1
		fapitest.WantOK(t, c.Redeem(codeFor(t, c, asking(`{"nickname":{"essential":true}}`)), nil))
	})
	t.Run("accepts an essential claim that the source may not give", func(t *testing.T) {
		narrow, _ := bankWorld(t, func(c *claimsource.Config) { c.Claims = []string{"email"} })
		other := narrow.Register("client-1", nil)
		fapitest.WantOK(t, other.Redeem(codeFor(t, other, asking(`{"nickname":{"essential":true}}`)), nil))
	})
}

// Covers: KB-21, KB-22. Where the source says who is active, nothing is issued or refreshed without it, nothing is consumed
// meanwhile, and nothing is issued for a user who is disabled there.
func TestKB21Active(t *testing.T) {
	t.Parallel()
	w, bank := bankWorld(t, checkingActive)
	c := w.Register("client-1", nil)
	t.Run("accepts an active user, asked about for each token", func(t *testing.T) {
		bank.Asked()
		issued := c.Tokens()
		fapitest.WantOK(t, c.Refresh(issued.Text("refresh_token"), nil))
		asked := bank.Asked()
		if len(asked) != 2 || asked[0]["purpose"] != "token" || asked[1]["purpose"] != "refresh" || len(asked[1]["claims"].([]any)) != 0 {
			t.Errorf("asked %v", asked)
		}
	})
	t.Run("refuses tokens and refresh while the source is away, and accepts both after it", func(t *testing.T) {
		issued, code := c.Tokens(), c.Authorize()
		bank.IsAway(true)
		fapitest.WantError(t, c.Redeem(code, nil), http.StatusServiceUnavailable, "temporarily_unavailable")
		fapitest.WantError(t, c.Refresh(issued.Text("refresh_token"), nil), http.StatusServiceUnavailable, "temporarily_unavailable")
		bank.IsAway(false)
		fapitest.WantOK(t, c.Redeem(code, nil))
		fapitest.WantOK(t, c.Refresh(issued.Text("refresh_token"), nil))
	})
	t.Run("accepts a client's own token without a question", func(t *testing.T) {
		own := w.Register("client-2", fapitest.All(fapitest.SetMember("grant_types", []string{"client_credentials"}), fapitest.SetMember("response_types", []string{}),
			fapitest.SetMember("redirect_uris", nil), fapitest.SetMember("scope", "accounts")))
		bank.IsAway(true)
		defer bank.IsAway(false)
		bank.Asked()
		fapitest.WantOK(t, own.ClientCredentials(fapitest.Set("scope", "accounts")))
		if asked := bank.Asked(); len(asked) != 0 {
			t.Errorf("asked %v", asked)
		}
	})
	t.Run("refuses a user who is disabled there, ends the sessions, and records it once", func(t *testing.T) {
		b := w.Browser()
		issued, code := c.TokensIn(b, nil), c.Authorize()
		signedIn := func() bool {
			return c.AuthorizeIn(b, fapitest.Set("prompt", "none")).Get("error") != "login_required"
		}
		if !signedIn() {
			t.Fatal("not signed in")
		}
		bank.Knows("sub-alice", map[string]any{"active": false, "name": "Alice of the Bank"})
		events := w.NewEvidence(t, func() {
			fapitest.WantError(t, c.Redeem(code, nil), http.StatusBadRequest, "invalid_grant")
			fapitest.WantError(t, c.Refresh(issued.Text("refresh_token"), nil), http.StatusBadRequest, "invalid_grant")
		})
		if len(events) != 1 || events[0].Detail["event"] != "user_inactive" || events[0].Detail["subject"] != "sub-alice" || events[0].ClientID != c.ID {
			t.Errorf("recorded %+v", events)
		}
		if signedIn() {
			t.Error("still signed in")
		}
		bank.Knows("sub-alice", map[string]any{"name": "Alice of the Bank"})
		t.Run("accepts the refresh token of a user who is enabled again", func(t *testing.T) {
			fapitest.WantOK(t, c.Refresh(issued.Text("refresh_token"), nil))
		})
		t.Run("refuses the session of before", func(t *testing.T) {
			if signedIn() {
				t.Error("signed in again")
			}
		})
	})
	t.Run("refuses a user whom the directory has disabled, whatever the source says", func(t *testing.T) {
		code := c.Authorize()
		w.Disable("sub-alice", true)
		defer w.Disable("sub-alice", false)
		fapitest.WantError(t, c.Redeem(code, nil), http.StatusBadRequest, "invalid_grant")
	})
	t.Run("refuses a user who was erased, whatever the source says", func(t *testing.T) {
		w.AddUser("sub-dave", "dave", "")
		bank.Knows("sub-dave", map[string]any{"name": "Dave"})
		w.User.Is("sub-dave", fapitest.ACRPassword)
		defer w.User.Is("sub-alice", fapitest.ACRPassword)
		code := c.Authorize()
		if err := w.Store.EraseUser(t.Context(), "sub-dave"); err != nil {
			t.Fatal(err)
		}
		fapitest.WantError(t, c.Redeem(code, nil), http.StatusBadRequest, "invalid_grant")
	})
}

// Covers: KB-21. The answer that somebody is active is used again no longer than the rule says, on each node by itself.
func TestKB21ActiveKept(t *testing.T) {
	t.Parallel()
	w, bank := bankWorld(t, func(c *claimsource.Config) { c.CheckActive, c.Cache = true, 30*time.Second })
	c := w.Register("client-1", nil)
	issued := c.Tokens()
	refresh := issued.Text("refresh_token")
	bank.Knows("sub-alice", map[string]any{"active": false})
	t.Run("accepts a refresh within the rule", func(t *testing.T) {
		w.Clock.Advance(29 * time.Second)
		fapitest.WantOK(t, c.Refresh(refresh, nil))
	})
	t.Run("refuses one after it", func(t *testing.T) {
		w.Clock.Advance(time.Second)
		fapitest.WantError(t, c.Refresh(refresh, nil), http.StatusBadRequest, "invalid_grant")
	})
	t.Run("refuses one after it while the source is away", func(t *testing.T) {
		bank.Knows("sub-alice", map[string]any{})
		fapitest.WantOK(t, c.Refresh(refresh, nil))
		bank.IsAway(true)
		w.Clock.Advance(30 * time.Second)
		fapitest.WantError(t, c.Refresh(refresh, nil), http.StatusServiceUnavailable, "temporarily_unavailable")
	})
}

// Covers: KB-17. A source that answers about another user has nothing issued, also where the claim is voluntary; the log and
// the audit log say so, and what it said about the other user is nowhere.
func TestKB17NothingIssued(t *testing.T) {
	t.Parallel()
	w, bank := bankWorld(t, nil)
	c := w.Register("client-1", nil)
	lie := func(rw http.ResponseWriter, _ *http.Request, _ map[string]any) {
		fapitest.WriteAnswer(rw, map[string]any{"sub": "sub-bob", "name": "Bob canary-7f3a", "active": true})
	}
	for name, change := range map[string]fapitest.Change{"a voluntary claim": asking(voluntary), "an essential one": asking(essential)} {
		t.Run("refuses a code with "+name, func(t *testing.T) {
			bank.Answers(lie)
			code := codeFor(t, c, change)
			var r fapitest.Reply
			events := w.NewEvidence(t, func() {
				r = c.Redeem(code, nil)
				c.Redeem(code, nil) // recorded once
			})
			fapitest.WantError(t, r, http.StatusInternalServerError, "server_error")
			if r.Body["access_token"] != nil || strings.Contains(r.Raw, "canary") || strings.Contains(r.Raw, "sub-bob") {
				t.Errorf("answered %s", r.Raw)
			}
			if len(events) != 1 || events[0].Detail["event"] != "claims_source_wrong_subject" || events[0].Detail["subject"] != "sub-alice" {
				t.Errorf("recorded %+v", events)
			}
			if log := w.Logs.String(); !strings.Contains(log, "claims source answered about another user") || strings.Contains(log, "canary") {
				t.Errorf("logged %s", log)
			}
			bank.Answers(nil)
			t.Run("accepts the code with the truth", func(t *testing.T) { fapitest.WantOK(t, c.Redeem(code, nil)) })
			w.Clock.Advance(time.Hour)
		})
	}
}

// Covers: KB-22. A decision on another device gives no tokens either for a user who is disabled at the source.
func TestKB22Backchannel(t *testing.T) {
	t.Parallel()
	w, bank := bankWorld(t, checkingActive, fapitest.WithBackchannel(), func(c *fapitest.Config) { c.ACRValues = []string{fapitest.ACRKey} })
	c := w.Register("client-1", fapitest.CIBAPoll)
	ask := func(t *testing.T) string {
		t.Helper()
		id := c.AuthReqID(fapitest.Set("binding_message", "W4SCT"))
		w.Decide(id, true)
		w.Clock.Advance(10 * time.Second)
		return id
	}
	t.Run("accepts an active user", func(t *testing.T) { fapitest.WantOK(t, c.Poll(ask(t), nil)) })
	t.Run("refuses one who is disabled there", func(t *testing.T) {
		id := ask(t)
		bank.Knows("sub-alice", map[string]any{"active": false})
		fapitest.WantError(t, c.Poll(id, nil), http.StatusBadRequest, "invalid_grant")
	})
	t.Run("refuses while the source is away, and accepts after it", func(t *testing.T) {
		bank.Knows("sub-alice", map[string]any{})
		id := ask(t)
		bank.IsAway(true)
		fapitest.WantError(t, c.Poll(id, nil), http.StatusServiceUnavailable, "temporarily_unavailable")
		bank.IsAway(false)
		w.Clock.Advance(10 * time.Second)
		fapitest.WantOK(t, c.Poll(id, nil))
	})
}

// Covers: KB-20, KB-21. Of many who redeem one code while the source comes and goes, one gets tokens.
func TestKB21Race(t *testing.T) {
	t.Parallel()
	w, bank := bankWorld(t, checkingActive)
	c := w.Register("client-1", nil)
	code := codeFor(t, c, asking(essential))
	bank.Answers(func(rw http.ResponseWriter, _ *http.Request, question map[string]any) {
		time.Sleep(20 * time.Millisecond) // all wait for it at once
		fapitest.WriteAnswer(rw, map[string]any{"sub": question["subject"], "name": "Alice"})
	})
	t.Run("accepts one", func(t *testing.T) {
		calls := make([]func() fapitest.Reply, 6)
		for i := range calls {
			calls[i] = func() fapitest.Reply { return c.Redeem(code, nil) }
		}
		issued := 0
		for _, r := range fapitest.Concurrently(calls...) {
			if r.Status == http.StatusOK {
				issued++
			}
		}
		if issued != 1 {
			t.Errorf("%d got tokens", issued)
		}
	})
	t.Run("refuses the code afterwards", func(t *testing.T) {
		fapitest.WantError(t, c.Redeem(code, nil), http.StatusBadRequest, "invalid_grant")
	})
}
