package login_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"countersign/fapi/event"
	"countersign/fapi/fapitest"
	"countersign/fapi/tokens"
	"countersign/store"
)

// Covers: KE-18. Each step is in the audit log with the same digest of what was asked, and with what of it was allowed.
func TestKE18Audited(t *testing.T) {
	t.Parallel()
	w, b := newBank(t, true, true)
	c := everybody(w, "client-1")
	t.Run("accepts a sign-in and a decision at the login", func(t *testing.T) {
		browser := w.Browser()
		var asked map[string]any
		events := w.NewEvents(t, func() {
			handle := arrive(t, c, browser, nil)
			asked = b.asked(t, handle)
			message := with(b.message(t, handle), fapitest.Claims{"allowed": map[string]any{"scopes": []string{"openid", "accounts"}}})
			wantCode(t, browser, b.done(t, handle, message))
		})
		var names []string
		parts := map[string]bool{}
		for _, e := range events {
			names = append(names, e.Detail["event"])
			if e.Detail["event"] != event.GrantMade && e.Detail["interaction"] != asked["consent_id"] {
				t.Errorf("of another interaction: %v", e.Detail)
			}
			if part := e.Detail["request_digest"]; part != "" {
				parts[part] = true
			}
			if shown := e.Detail["shown"]; shown != "" && shown != asked["request_digest"] {
				t.Errorf("of another request: %v", e.Detail)
			}
			if e.Detail["subject"] != "sub-alice" || e.ClientID != "client-1" || e.CorrelationID == "" {
				t.Errorf("%v", e)
			}
		}
		if want := []string{event.HandOffAnswered, event.SignedIn, event.ConsentDecided, event.GrantMade}; !slices.Equal(names, want) {
			t.Fatalf("%v, want %v", names, want)
		}
		if answered := events[0].Detail; answered["outcome"] != "allowed" || answered["acr"] != acrSCA || answered["amr"] != "pwd hwk" {
			t.Errorf("%v", answered)
		}
		if decided := events[2].Detail; decided["allowed"] != "true" || decided["scope"] != "openid accounts" || decided["shown_at"] == "" {
			t.Errorf("%v", decided)
		}
		if want := (tokens.Detail{}).DigestFor([]string{"openid", "accounts"}); len(parts) != 1 || !parts[want] {
			t.Errorf("allowed %v, want %s", parts, want)
		}
	})
	t.Run("accepts a denial as the user's, and another refusal as none", func(t *testing.T) {
		for code, want := range map[string]string{"access_denied": event.ConsentDecided, "login_required": event.RequestEnded} {
			browser := w.Browser()
			events := w.NewEvents(t, func() {
				handle := arrive(t, c, browser, nil)
				wantError(t, browser, b.done(t, handle, fapitest.Claims{"request_digest": b.asked(t, handle)["request_digest"], "error": code}), code)
			})
			if len(events) != 2 || events[0].Detail["event"] != event.HandOffAnswered || events[0].Detail["outcome"] != code ||
				events[1].Detail["event"] != want || events[1].Detail["allowed"] == "true" {
				t.Errorf("%v", events)
			}
		}
	})
	t.Run("accepts the same of the built-in pages", func(t *testing.T) {
		w := fapitest.NewWorld(t, fapitest.WithAuditChain)
		c := w.Register("client-1", nil)
		digests := map[string]bool{}
		events := w.NewEvents(t, func() { c.Authorize() })
		for _, e := range events[1:] { // the first is the sign-in
			digests[e.Detail["request_digest"]] = true
		}
		if len(events) != 3 || len(digests) != 1 || digests[""] {
			t.Errorf("%v", events)
		}
	})
	t.Run("refuses to record an answer that does not count", func(t *testing.T) {
		handle := arrive(t, c, w.Browser(), nil)
		message := b.message(t, handle)
		if events := w.NewEvents(t, func() {
			b.answer(handle, with(message, fapitest.Claims{"acr": "urn:bank:gold"}))
			b.answer(handle, with(message, fapitest.Claims{"subject": "sub-new", "username": "alice"}))
		}); len(events) != 0 {
			t.Errorf("%v", events)
		}
	})
}

// some is a part of a list, in its order.
func some[T any](random *rand.Rand, all []T) []T {
	var part []T
	for _, each := range all {
		if random.IntN(2) == 0 {
			part = append(part, each)
		}
	}
	return part
}

// Covers: KE-19. What was shown is what was stored is what the token says, for whatever is asked and whatever part of it is allowed:
// by one digest, and by the token itself.
func TestKE19ShownStoredGranted(t *testing.T) {
	t.Parallel()
	w, b := newBank(t, true, true)
	c := w.Register("client-1", fapitest.All(fapitest.AllScopes, fapitest.SetMember("scope", "openid profile email accounts payments offline_access")))
	names := []string{"birthdate", "gender", "nickname", "zoneinfo"}
	w.AddUser("sub-alice", "alice", `{"birthdate":"2000-01-01","gender":"f","nickname":"al","zoneinfo":"Europe/Berlin","email":"a@example.com"}`)
	requests := map[string]string{}
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 19))
		scopes := append([]string{"openid"}, some(random, []string{"email", "accounts", "payments"})...)
		var details []string
		for range random.IntN(4) {
			detail := fapitest.OneAction
			if random.IntN(3) > 0 {
				detail = strings.Replace(fapitest.OnePayment, "123.50", fmt.Sprintf("%d.%02d", random.IntN(9999), random.IntN(100)), 1)
			}
			details = append(details, detail)
		}
		claims := some(random, names)
		change := fapitest.Changes(fapitest.Set("scope", strings.Join(scopes, " ")), func(form url.Values, _ http.Header) {
			if len(details) > 0 {
				form["authorization_details"] = []string{"[" + strings.Join(details, ",") + "]"}
			}
			if len(claims) > 0 {
				form["claims"] = []string{`{"userinfo":{"` + strings.Join(claims, `":null,"`) + `":null}}`}
			}
		})
		browser := w.Browser()
		handle := arrive(t, c, browser, change)
		asked := b.asked(t, handle)
		digest := asked["request_digest"].(string)
		if content := fmt.Sprint(scopes, details, claims); requests[digest] != "" && requests[digest] != content {
			t.Fatalf("seed %d: %s and %s have one digest", seed, requests[digest], content)
		} else {
			requests[digest] = content
		}
		allowed := map[string]any{"scopes": append([]string{"openid"}, some(random, scopes[1:])...)}
		partOfClaims, part := some(random, claims), []json.RawMessage{}
		for _, detail := range some(random, details) {
			part = append(part, json.RawMessage(detail))
		}
		allowed["claims"], allowed["authorization_details"] = append([]string{}, partOfClaims...), part
		var issued, info fapitest.Reply
		events := w.NewEvents(t, func() {
			returnTo := b.done(t, handle, with(b.message(t, handle), fapitest.Claims{"allowed": allowed}))
			issued = c.Redeem(wantCode(t, browser, returnTo), nil)
			info = c.Get("/userinfo", issued.Text("access_token"), nil)
		})
		granted := map[string]bool{}
		for _, e := range events {
			if of := e.Detail["shown"]; of != "" && of != digest {
				t.Errorf("seed %d: %v is of another request than %s", seed, e.Detail, digest)
			}
			if of := e.Detail["request_digest"]; of != "" {
				granted[of] = true
			}
		}
		var kept struct {
			Digest string `json:"digest"`
		}
		grant, err := w.Store.AccessGrant(t.Context(), store.IssuedDigest(fapitest.UnverifiedClaims(t, issued.Text("access_token"))["jti"].(string)))
		if err != nil || json.Unmarshal(grant.Detail, &kept) != nil || len(granted) != 1 || !granted[kept.Digest] {
			t.Errorf("seed %d: answered, decided and granted %v, and the grant has %s, %v", seed, granted, kept.Digest, err)
		}
		_, token := w.Verify(issued.Text("access_token"))
		got, want := strings.Fields(token["scope"].(string)), slices.Clone(allowed["scopes"].([]string))
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("seed %d: scope %v, allowed %v", seed, got, want)
		}
		if got, want := canonical(t, token["authorization_details"]), canonical(t, part); got != want && !(got == "null" && want == "[]") {
			t.Errorf("seed %d: authorization_details %s, allowed %s", seed, got, want)
		}
		for _, name := range names {
			if _, told := info.Body[name]; told != slices.Contains(partOfClaims, name) {
				t.Errorf("seed %d: %s of %s, allowed %v", seed, name, info.Raw, partOfClaims)
			}
		}
		if _, told := info.Body["email"]; told != slices.Contains(want, "email") {
			t.Errorf("seed %d: email of %s, allowed %v", seed, info.Raw, want)
		}
	}
	t.Run("accepts parts", func(t *testing.T) {
		if len(requests) < 20 {
			t.Errorf("only %d different requests", len(requests))
		}
	})
	t.Run("refuses the digest of another request", func(t *testing.T) {
		one, other := arrive(t, c, w.Browser(), fapitest.Set("scope", "openid")), arrive(t, c, w.Browser(), fapitest.Set("scope", "openid email"))
		refused(t, b.answer(one, with(b.message(t, one), fapitest.Claims{"request_digest": b.asked(t, other)["request_digest"]})), 400, "request_digest")
	})
}

// canonical is a value as JSON with its members in order.
func canonical(t *testing.T, value any) string {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var read any
	if err := json.Unmarshal(raw, &read); err != nil {
		t.Fatal(err)
	}
	raw, err = json.Marshal(read)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
