package account_test

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/store"
)

// token is an access token of the bank's own application for a user.
func (b *bank) token(name string) string {
	b.T.Helper()
	b.as(name)
	return b.app.Tokens().Text("access_token")
}

// Covers: KF-12. The API is for the operator's own applications alone, with a token of the scope that its holder proves to hold.
func TestKF12WhoMayCall(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	given := b.given("alice", b.budget, "")
	own := b.token("alice")
	b.as("alice")
	stranger := b.Register("stranger", ownScope)
	strange := stranger.Tokens().Text("access_token")
	bound := b.Register("bank-mtls", fapitest.All(fapitest.TLSClientAuth, fapitest.CertificateBound, ownScope))
	byCertificate := bound.Tokens().Text("access_token")
	const path = "/account/v1/access/" + budgetID
	t.Run("accepts the operator's application", func(t *testing.T) {
		r := call(b.app, "GET", path, own, nil)
		fapitest.WantOK(t, r)
		if r.Text("client_name") != "Orchid Budget" || r.Text("client_id") != "budget" {
			t.Errorf("answered %s", r.Raw)
		}
		fapitest.WantOK(t, call(bound, "GET", path, byCertificate, nil))
	})
	withScope := func(of *fapitest.Client, scope string) string {
		return of.TokensFor(func(form url.Values, _ http.Header) { form.Set("scope", scope) }).Text("access_token")
	}
	proof := func(method, path string) func(http.Header) {
		return func(h http.Header) { h.Set("DPoP", b.app.Proof(method, b.Issuer+path, own, nil)) }
	}
	for name, test := range map[string]struct {
		status int
		code   string
		reply  func() fapitest.Reply
	}{
		"another client":            {403, "access_denied", func() fapitest.Reply { return call(stranger, "GET", path, strange, nil) }},
		"a token without the scope": {403, "insufficient_scope", func() fapitest.Reply { return call(b.app, "GET", path, withScope(b.app, "openid"), nil) }},
		"no token": {401, "invalid_token", func() fapitest.Reply {
			return call(b.app, "GET", path, "", func(h http.Header) { h.Del("Authorization") })
		}},
		"a token without its proof": {401, "invalid_token", func() fapitest.Reply {
			return call(b.app, "GET", path, own, func(h http.Header) { h.Set("Authorization", "Bearer "+own); h.Del("DPoP") })
		}},
		"a proof for another address": {401, "invalid_dpop_proof", func() fapitest.Reply {
			return call(b.app, "DELETE", path, own, proof("DELETE", "/account/v1/access/"+ledgerID))
		}},
		"a proof for the route": {401, "invalid_dpop_proof", func() fapitest.Reply {
			return call(b.app, "DELETE", path, own, proof("DELETE", "/account/v1/access/{id}"))
		}},
		"a proof for another method":  {401, "invalid_dpop_proof", func() fapitest.Reply { return call(b.app, "DELETE", path, own, proof("GET", path)) }},
		"a token without certificate": {401, "invalid_token", func() fapitest.Reply { return call(bound.WithCertificate(nil), "DELETE", path, byCertificate, nil) }},
		"an address in another form":  {400, "invalid_request", func() fapitest.Reply { return call(b.app, "DELETE", "/account/v1/access/%59nVkZ2V0", own, nil) }},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			fapitest.WantError(t, test.reply(), test.status, test.code)
			alive(t, b.budget, given)
		})
	}
	t.Run("refuses a proof twice", func(t *testing.T) {
		same := b.app.Proof("GET", b.Issuer+path, own, nil)
		use := func(h http.Header) { h.Set("DPoP", same) }
		fapitest.WantOK(t, call(b.app, "GET", path, own, use))
		fapitest.WantError(t, call(b.app, "GET", path, own, use), 401, "invalid_dpop_proof")
	})
}

// Covers: KF-02, KF-05. What the application ends is ended on another node before it has the answer; what is another user's is not
// there.
func TestKF02EndByAPI(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	given, other := b.given("alice", b.budget, "["+fapitest.TwoActions+"]"), b.given("alice", b.ledger, "")
	bobs := b.given("bob", b.budget, "")
	alice, bob := b.token("alice"), b.token("bob")
	n := b.Node(nil)
	there := n.Client(b.budget)
	list1 := list(t, call(b.app, "GET", "/account/v1/access", alice, nil), "access")
	ids := map[string]string{}
	for _, one := range list1 {
		ids[one["client_id"].(string)] = one["id"].(string)
	}
	if !slices.Equal(slices.Sorted(maps.Keys(ids)), []string{"bank-app", "budget", "ledger"}) {
		t.Fatalf("alice gave %v", ids)
	}
	grants := list(t, call(b.app, "GET", "/account/v1/access/"+ids["budget"], alice, nil), "grants")
	if len(grants) != 1 || len(grants[0]["shown"].([]any)) != 1 || len(grants[0]["authorization_details"].([]any)) != 1 || grants[0]["state"] != "active" {
		t.Fatalf("the grants are %v", grants)
	}
	grant := grants[0]["id"].(string)
	t.Run("refuses what is another user's", func(t *testing.T) {
		for _, path := range []string{
			"/account/v1/access/" + ids["ledger"], "/account/v1/access/" + ids["budget"] + "/grants/" + grant, "/account/v1/access/" + ids["ledger"] + "/grants/" + grant,
			"/account/v1/access/A", "/account/v1/access/" + base64.RawURLEncoding.EncodeToString([]byte("nobody")),
		} {
			fapitest.WantError(t, call(b.app, "DELETE", path, bob, nil), 404, "invalid_request")
		}
		fapitest.WantError(t, call(b.app, "GET", "/account/v1/access/"+ids["ledger"], bob, nil), 404, "invalid_request")
		alive(t, b.budget, given)
		alive(t, b.ledger, other)
	})
	t.Run("accepts the end of all of it, on two nodes", func(t *testing.T) {
		began := time.Now()
		r := call(b.app, "DELETE", "/account/v1/access/"+ids["budget"], alice, nil)
		dead(t, there, given)
		if took := time.Since(began); took > time.Second {
			t.Logf("the call and two refusals took %v", took) // no time passes between: each call reads the grant
		}
		fapitest.WantOK(t, r)
		if r.Body["ended"] != 1.0 {
			t.Errorf("answered %s", r.Raw)
		}
		dead(t, b.budget, given)
		alive(t, there, bobs)
		alive(t, b.ledger, other)
		again := call(b.app, "DELETE", "/account/v1/access/"+ids["budget"], alice, nil)
		fapitest.WantOK(t, again)
		if again.Body["ended"] != 0.0 {
			t.Errorf("answered %s", again.Raw)
		}
		after := list(t, call(b.app, "GET", "/account/v1/access?state=ended", alice, nil), "access")
		if len(after) != 1 || after[0]["client_id"] != "budget" || after[0]["ended_at"] == nil {
			t.Errorf("what has ended is %v", after)
		}
		if got := list(t, call(b.app, "GET", "/account/v1/access/"+ids["budget"], alice, nil), "grants"); got[0]["state"] != "ended_by_user" {
			t.Errorf("the grant is %v", got)
		}
	})
	t.Run("accepts its own end", func(t *testing.T) {
		fapitest.WantOK(t, call(b.app, "DELETE", "/account/v1/access/"+ids["bank-app"], alice, nil))
		fapitest.WantError(t, call(b.app, "GET", "/account/v1/access", alice, nil), 401, "invalid_token")
	})
}

// Covers: KF-13. A passkey is removed with a token of a user who has just signed in with one; otherwise the challenge says that.
func TestKF13StepUp(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	p := b.PasskeyOwner(t, "alice")
	p.SignInByPasskeyAgain("/device/settings")
	p.AddPasskey()
	weak := b.token("alice")
	b.User.Is("sub-alice", "urn:countersign:acr:passkey")
	strong := b.app.Tokens().Text("access_token")
	passkeys := list(t, call(b.app, "GET", "/account/v1/passkeys", weak, nil), "passkeys")
	if len(passkeys) != 2 {
		t.Fatalf("there are %v", passkeys)
	}
	path := "/account/v1/passkeys/" + passkeys[0]["id"].(string)
	t.Run("refuses a password", func(t *testing.T) {
		r := call(b.app, "DELETE", path, weak, nil)
		fapitest.WantError(t, r, 401, "insufficient_user_authentication")
		challenge := r.Header.Get("WWW-Authenticate")
		for _, part := range []string{"DPoP ", `error="insufficient_user_authentication"`, `acr_values="urn:countersign:acr:passkey"`, `max_age="600"`} {
			if !strings.Contains(challenge, part) {
				t.Errorf("%s lacks %s", challenge, part)
			}
		}
	})
	t.Run("accepts a passkey", func(t *testing.T) {
		fapitest.WantOK(t, call(b.app, "DELETE", path, strong, nil))
		fapitest.WantError(t, call(b.app, "DELETE", path, strong, nil), 404, "invalid_request")
	})
	t.Run("refuses the last", func(t *testing.T) {
		left := list(t, call(b.app, "GET", "/account/v1/passkeys", weak, nil), "passkeys")
		if len(left) != 1 || left[0]["last"] != true {
			t.Fatalf("left are %v", left)
		}
		fapitest.WantError(t, call(b.app, "DELETE", "/account/v1/passkeys/"+left[0]["id"].(string), strong, nil), 409, "invalid_request")
	})
}

// Covers: KF-14. The API answers as docs/api/account-v1.yaml says and not otherwise, to good calls and to bad ones.
func TestKF14Documented(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.given("alice", b.budget, "["+fapitest.TwoActions+"]")
	b.given("alice", b.ledger, "["+fapitest.OnePayment+"]")
	token := b.token("alice")
	stranger := b.Register("stranger", ownScope)
	strange := stranger.Tokens().Text("access_token")
	p := b.PasskeyOwner(t, "alice")
	p.SignInByPasskeyAgain("/device/settings")
	now := b.Clock.Now()
	if err := b.Store.AddDevice(t.Context(), store.Device{ID: "phone", Subject: "sub-alice", Name: "Phone", JKT: "thumbprint", CreatedAt: now, UsedAt: now}); err != nil {
		t.Fatal(err)
	}
	subscription := store.Subscription{ID: store.DigestOf("endpoint"), Subject: "sub-alice", Endpoint: "https://push.example/1", KeyID: "kid", CreatedAt: now}
	if err := b.Store.PutSubscription(t.Context(), subscription); err != nil {
		t.Fatal(err)
	}
	first := func(path, member string) string {
		all := list(t, call(b.app, "GET", path, token, nil), member)
		if len(all) == 0 {
			t.Fatalf("%s has no %s", path, member)
		}
		return all[0]["id"].(string)
	}
	document, err := described()
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{
		"/account/v1/access/{id}": budgetID, "/account/v1/access/{id}/grants/{grant}": ledgerID,
		"/account/v1/sessions/{id}":     first("/account/v1/sessions", "sessions"),
		"/account/v1/passkeys/{id}":     first("/account/v1/passkeys", "passkeys"),
		"/account/v1/applications/{id}": first("/account/v1/applications", "applications"),
		"/account/v1/browsers/{id}":     first("/account/v1/browsers", "notified"),
	}
	grant := first("/account/v1/access/"+ledgerID, "grants")
	statuses := map[int]int{}
	paths := slices.Sorted(maps.Keys(document["paths"].(map[string]any)))
	t.Run("accepts what is described", func(t *testing.T) {
		for _, path := range paths {
			for _, method := range []string{"GET", "DELETE"} { // what is ended is listed first
				if at(t, document, "paths", path, strings.ToLower(method)) == nil {
					continue
				}
				fill := func(id, grant string) string { return strings.NewReplacer("{id}", id, "{grant}", grant).Replace(path) }
				good := fill(ids[path], grant)
				calls := []fapitest.Reply{
					call(b.app, method, good+"?limit=0", token, nil), call(b.app, method, good+"?limit=1&limit=2", token, nil),
					call(b.app, method, good+"?after=%00", token, nil), call(b.app, method, good+"?after=", token, nil), call(b.app, method, good+"?unknown=1", token, nil), call(b.app, method, good+"?state=x", token, nil),
					call(b.app, method, fill("AAAA", "none"), token, nil), call(b.app, method, fill("....", "%20"), token, nil), call(b.app, method, fill(strings.Repeat("A", 3000), "x"), token, nil),
					call(stranger, method, good, strange, nil), call(b.app, method, good, "invalid", nil),
					call(b.app, method, good, token, func(h http.Header) { h.Del("Authorization") }), call(b.app, method, good, token, nil),
				}
				if method == "GET" && !strings.Contains(path, "{") {
					calls = append(calls, call(b.app, method, good+"?limit=1", token, nil))
				}
				for _, r := range calls {
					statuses[r.Status]++
					documented(t, method, path, r)
				}
				b.Clock.Advance(time.Second)
			}
		}
		for _, status := range []int{200, 400, 401, 403, 404} {
			if statuses[status] < 5 {
				t.Errorf("the statuses are %v", statuses)
			}
		}
	})
	t.Run("accepts every route as described", func(t *testing.T) {
		if len(paths) != 11 {
			t.Errorf("%d paths are described", len(paths))
		}
	})
	t.Run("refuses another method", func(t *testing.T) {
		for _, path := range paths {
			fapitest.WantError(t, call(b.app, "PUT", strings.NewReplacer("{id}", "AAAA", "{grant}", "x").Replace(path), token, nil), 405, "invalid_request")
		}
	})
	t.Run("refuses too many calls", func(t *testing.T) {
		for range 300 {
			if r := call(b.app, "GET", "/account/v1/access", token, nil); r.Status != http.StatusOK {
				documented(t, "GET", "/account/v1/access", r)
				if r.Status != http.StatusTooManyRequests {
					t.Errorf("answered %d %s", r.Status, r.Raw)
				}
				return
			}
		}
		t.Error("300 calls were answered")
	})
}
