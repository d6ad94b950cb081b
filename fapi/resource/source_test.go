package resource_test

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
	bank.Knows("sub-alice", map[string]any{"name": "Alice of the Bank", "email": "alice@bank.example", "locale": "pt", "phone_number": "+351"})
	options := append([]fapitest.Option{fapitest.WithAuditChain, fapitest.ClaimsFrom(t, bank, change)}, more...)
	return fapitest.NewWorld(t, options...), bank
}

// Covers: KB-15, KB-19, KB-26. UserInfo gives what the source says of what the token's scopes and the claims parameter ask for;
// two clients share nothing; what the directory has is not given.
func TestKB19UserInfoOfSource(t *testing.T) {
	t.Parallel()
	w, bank := bankWorld(t, func(c *claimsource.Config) { c.Cache = time.Minute })
	c := w.Register("client-1", nil)
	other := w.Register("client-2", nil)
	wide := c.TokensFor(fapitest.Set("scope", "openid profile email")).Text("access_token")
	slim := other.TokensFor(fapitest.Set("scope", "openid email")).Text("access_token")
	told := func(t *testing.T, c *fapitest.Client, token string) map[string]any {
		t.Helper()
		r := c.Get("/userinfo", token, nil)
		fapitest.WantOK(t, r)
		return r.Body
	}
	t.Run("accepts the claims of the scopes", func(t *testing.T) {
		want := map[string]any{"sub": "sub-alice", "name": "Alice of the Bank", "locale": "pt", "email": "alice@bank.example"}
		if diff := cmp.Diff(want, told(t, c, wide)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		asked := bank.Asked()
		if len(asked) != 1 || asked[0]["purpose"] != "userinfo" || asked[0]["client_id"] != "client-1" {
			t.Errorf("asked %v", asked)
		}
	})
	t.Run("refuses another client what the first may have, and asks for no more than it may", func(t *testing.T) {
		if diff := cmp.Diff(map[string]any{"sub": "sub-alice", "email": "alice@bank.example"}, told(t, other, slim)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		asked := bank.Asked()
		if len(asked) != 1 {
			t.Fatalf("asked %v", asked)
		}
		if diff := cmp.Diff([]any{"email", "email_verified"}, asked[0]["claims"]); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("accepts the same again without a question", func(t *testing.T) {
		told(t, c, wide)
		told(t, other, slim)
		if asked := bank.Asked(); len(asked) != 0 {
			t.Errorf("asked %v", asked)
		}
	})
	t.Run("refuses more than was asked for", func(t *testing.T) {
		if got := told(t, c, wide); got["phone_number"] != nil {
			t.Errorf("told %v", got)
		}
	})
	t.Run("accepts a claim by name", func(t *testing.T) {
		named := w.Register("client-3", func(c *fapitest.Client, m map[string]any) {
			c.Scope = "openid phone"
			m["scope"] = c.Scope
		})
		issued := named.TokensFor(fapitest.Changes(fapitest.Set("scope", "openid"), fapitest.Set("claims", `{"userinfo":{"phone_number":null}}`)))
		if diff := cmp.Diff(map[string]any{"sub": "sub-alice", "phone_number": "+351"}, told(t, named, issued.Text("access_token"))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// Covers: KB-20, KB-22. UserInfo is not answered without the source, because a client would take it for a user who has no such
// claims; nor for a user who is disabled there. What the server answers itself goes on.
func TestKB20UserInfo(t *testing.T) {
	t.Parallel()
	w, bank := bankWorld(t, nil)
	c := w.Register("client-1", nil)
	token := c.Tokens().Text("access_token")
	t.Run("refuses while the source is away, and accepts after it", func(t *testing.T) {
		bank.IsAway(true)
		r := c.Get("/userinfo", token, nil)
		fapitest.WantError(t, r, http.StatusServiceUnavailable, "temporarily_unavailable")
		if r.Header.Get("Retry-After") == "" || r.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("header %v", r.Header)
		}
		bank.IsAway(false)
		fapitest.WantOK(t, c.Get("/userinfo", token, nil))
	})
	t.Run("accepts a token for which nothing is asked", func(t *testing.T) {
		plain := c.TokensFor(fapitest.Set("scope", "openid accounts")).Text("access_token")
		bank.IsAway(true)
		defer bank.IsAway(false)
		fapitest.WantOK(t, c.Get("/userinfo", plain, nil))
		fapitest.WantOK(t, c.Get("/accounts", plain, nil))
	})
	t.Run("refuses an answer about another user", func(t *testing.T) {
		bank.Answers(func(rw http.ResponseWriter, _ *http.Request, _ map[string]any) {
			fapitest.WriteAnswer(rw, map[string]any{"sub": "sub-bob", "name": "Bob canary-7f3a"})
		})
		defer bank.Answers(nil)
		events := w.NewEvidence(t, func() {
			r := c.Get("/userinfo", token, nil)
			fapitest.WantError(t, r, http.StatusInternalServerError, "server_error")
			if strings.Contains(r.Raw, "canary") {
				t.Errorf("answered %s", r.Raw)
			}
		})
		if len(events) != 1 || events[0].Detail["event"] != "claims_source_wrong_subject" {
			t.Errorf("recorded %+v", events)
		}
	})
	t.Run("refuses a user who is disabled there", func(t *testing.T) {
		bank.Knows("sub-alice", map[string]any{"active": false, "name": "Alice"})
		fapitest.WantError(t, c.Get("/userinfo", token, nil), http.StatusUnauthorized, "invalid_token")
	})
}

// Covers: KB-20. A client with signed requests has the error signed, and signed UserInfo is of the source too.
func TestKB20SignedUserInfo(t *testing.T) {
	t.Parallel()
	w, bank := bankWorld(t, nil)
	c := w.Register("client-1", fapitest.SetMember("userinfo_signed_response_alg", "ES256"))
	token := c.Tokens().Text("access_token")
	t.Run("accepts signed UserInfo", func(t *testing.T) {
		if _, body := w.Verify(c.Get("/userinfo", token, nil).Raw); body["name"] != "Alice of the Bank" || body["email_verified"] != nil {
			t.Errorf("told %v", body)
		}
	})
	t.Run("refuses it while the source is away", func(t *testing.T) {
		bank.IsAway(true)
		fapitest.WantError(t, c.Get("/userinfo", token, nil), http.StatusServiceUnavailable, "temporarily_unavailable")
	})
}
