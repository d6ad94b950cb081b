package rs_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/fapitest"
	"countersign/rs"
)

// Covers: RS-11. Scopes, also with a parameter; the answer says which would have been enough (RFC 6750 §3.1).
func TestRS11Scopes(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	a := newAPI(t, w, nil)
	c := w.Register("client-1", fapitest.AllScopes)
	body := fapitest.UnverifiedClaims(t, tokenOf(c))
	with := func(scope string) string {
		body["scope"] = scope
		return w.SignAsServer("ES256", "at+jwt", body)
	}
	a.handle("/both", rs.Scope("accounts", "payments"))
	a.handle("/either", rs.AnyScope("accounts:read", "accounts"))
	a.handle("GET /consents/{id}", rs.ScopeFor("consent:{id}"))
	a.handle("GET /of/{bank}/{id}", rs.ScopeFor("at:{bank}:consent:{id}"))
	a.handle("/header", rs.ScopeOf(func(call *rs.Call) string { return "tenant:" + call.Header.Get("Tenant") }))
	for name, one := range map[string]struct{ path, scope string }{
		"a scope among others":       {"/accounts", "openid accounts"},
		"all that are needed":        {"/both", "payments accounts"},
		"the first of two":           {"/either", "accounts:read"},
		"the second of two":          {"/either", "accounts"},
		"the scope of an address":    {"/consents/42", "openid consent:42"},
		"one with a URN in it":       {"/consents/urn:bank:1", "consent:urn:bank:1"},
		"two parts of the address":   {"/of/north/7", "at:north:consent:7"},
		"one that a function says":   {"/header", "tenant:blue"},
		"a part that looks like one": {"/consents/%7Bid%7D", "consent:{id}"},
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			fapitest.WantOK(t, a.call(c, http.MethodGet, one.path, with(one.scope), func(h http.Header) { h.Set("Tenant", "blue") }))
		})
	}
	for name, one := range map[string]struct{ path, scope, needed string }{
		"no scope":                           {"/accounts", "", "accounts"},
		"a scope that begins like it":        {"/accounts", "accounts:read", "accounts"},
		"one of two":                         {"/both", "accounts", "accounts payments"},
		"neither of two":                     {"/either", "payments", "accounts:read"},
		"the scope of another address":       {"/consents/42", "consent:43", "consent:42"},
		"a scope of all":                     {"/consents/42", "consent:* consent: consent", "consent:42"},
		"an address with a space in it":      {"/consents/42%20consent", "consent:42 consent", ""},
		"an address with a quotation mark":   {"/consents/42%22", "consent:42", ""},
		"an address with a letter of others": {"/consents/%C3%A9", "consent:e", ""},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			r := a.call(c, http.MethodGet, one.path, with(one.scope), nil)
			a.want(t, r, http.StatusForbidden, "insufficient_scope", rs.MissingScope)
			challenge := r.Header.Get("WWW-Authenticate")
			if said := strings.Contains(challenge, `scope="`+one.needed+`"`); said != (one.needed != "") || !strings.Contains(challenge, `error="insufficient_scope"`) {
				t.Errorf("WWW-Authenticate %q", challenge)
			}
		})
	}
	t.Run("accepts the question which consent a token is for", func(t *testing.T) {
		token := &rs.Token{Scopes: []string{"openid", "consent:42", "consent:urn:x", "consent:"}}
		if diff := cmp.Diff([]string{"42", "urn:x"}, token.ScopeValues("consent:")); diff != "" {
			t.Error(diff)
		}
	})
}

// payment is an authorization detail of the type payment_initiation.
type payment struct {
	Amount struct {
		Currency string `json:"currency"`
		Amount   string `json:"amount"`
	} `json:"instructedAmount"`
	Creditor string `json:"creditorName"`
}

// Covers: RS-12. authorization_details by type, with a check of their values (RFC 9396).
func TestRS12Details(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	a := newAPI(t, w, nil)
	c := w.Register("client-1", fapitest.AllScopes)
	a.handle("/payments/{payee}", rs.Details("payment_initiation", func(_ context.Context, call *rs.Call, details []payment) error {
		for _, each := range details {
			if each.Creditor == call.Value("payee") {
				return nil
			}
		}
		return rs.Refuse("no payment to this payee was authorized")
	}))
	real := `[{"type":"payment_initiation","locations":["` + fapitest.LedgerAPI + `"],"instructedAmount":{"currency":"EUR","amount":"5.00"},"creditorName":"Baker"}]`
	token := tokenOf(c, fapitest.Set("authorization_details", real))
	t.Run("accepts what the user authorized at a real server", func(t *testing.T) {
		fapitest.WantOK(t, a.call(c, http.MethodPost, "/payments/Baker", token, nil))
	})
	t.Run("refuses another payee", func(t *testing.T) {
		r := a.call(c, http.MethodPost, "/payments/Butcher", token, nil)
		a.want(t, r, http.StatusForbidden, "insufficient_scope", rs.NotAllowed)
		if r.Text("error_description") != "no payment to this payee was authorized" {
			t.Errorf("answered %s", r.Raw)
		}
	})
	body := fapitest.UnverifiedClaims(t, token)
	for name, details := range map[string]any{
		"no details":                    nil,
		"details of another type":       []any{map[string]any{"type": "account_information"}},
		"details of no type":            []any{map[string]any{"creditorName": "Baker"}},
		"an amount of the wrong type":   []any{map[string]any{"type": "payment_initiation", "creditorName": "Baker", "instructedAmount": 5}},
		"a detail that is no object":    []any{"payment_initiation"},
		"a member twice":                []any{json.RawMessage(`{"type":"payment_initiation","creditorName":"x","creditorName":"Baker"}`)},
		"a type twice":                  []any{json.RawMessage(`{"type":"other","type":"payment_initiation","creditorName":"Baker"}`)},
		"a type in another case":        []any{map[string]any{"type": "Payment_Initiation", "creditorName": "Baker"}},
		"a member's name in other case": []any{map[string]any{"type": "payment_initiation", "creditorname": "Baker"}},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			changed := map[string]any{}
			for claim, value := range body {
				changed[claim] = value
			}
			changed["authorization_details"] = details
			if details == nil {
				delete(changed, "authorization_details")
			}
			r := a.call(c, http.MethodPost, "/payments/Baker", w.SignAsServer("ES256", "at+jwt", changed), nil)
			if r.Status != http.StatusForbidden && r.Status != http.StatusUnauthorized { // a member twice makes the whole token unreadable
				t.Errorf("answered %d %s", r.Status, r.Raw)
			}
		})
	}
	a.handle("/check", rs.Check(func(_ context.Context, _ *rs.Call, token *rs.Token) error {
		switch token.ClientID {
		case c.ID:
			return nil
		case "client-2":
			return errors.New("the database of tenants is away")
		}
		return rs.Refuse("no tenant of ours")
	}))
	t.Run("accepts and refuses as a check of the API's own says", func(t *testing.T) {
		second, third := w.Register("client-2", fapitest.AllScopes), w.Register("client-3", fapitest.AllScopes)
		fapitest.WantOK(t, a.call(c, http.MethodGet, "/check", token, nil))
		r := a.call(second, http.MethodGet, "/check", tokenOf(second), nil)
		a.want(t, r, http.StatusServiceUnavailable, "temporarily_unavailable", rs.Unavailable)
		if strings.Contains(r.Raw, "tenants") {
			t.Errorf("answered %s", r.Raw)
		}
		a.want(t, a.call(third, http.MethodGet, "/check", tokenOf(third), nil), http.StatusForbidden, "insufficient_scope", rs.NotAllowed)
	})
}

// Covers: RS-13. Step-up: who authenticated too long ago or too weakly is told what to ask for, and gets in by that (RFC 9470).
func TestRS13StepUp(t *testing.T) {
	t.Parallel()
	w, user := fapitest.NewFullWorld(t)
	a := newAPI(t, w, nil)
	a.handle("/fresh", rs.MaxAge(2*time.Minute))
	a.handle("/strong", rs.ACR(fapitest.ACRKey))
	a.handle("/pay", rs.Scope("accounts"), rs.ACR(fapitest.ACRKey, "urn:other"), rs.MaxAge(time.Minute))
	c := w.Register("client-1", fapitest.AllScopes)
	issued := c.TokensFor(forLedger)
	token := issued.Text("access_token")
	get := func(path, token string) fapitest.Reply { return a.call(c, http.MethodGet, path, token, nil) }
	wantChallenge := func(t *testing.T, r fapitest.Reply, parameters string) {
		t.Helper()
		a.want(t, r, http.StatusUnauthorized, "insufficient_user_authentication", rs.StepUp)
		if challenge := r.Header.Get("WWW-Authenticate"); !strings.HasPrefix(challenge, "DPoP ") || !strings.HasSuffix(challenge, parameters) {
			t.Errorf("WWW-Authenticate %q, want %q at its end", challenge, parameters)
		}
	}
	t.Run("accepts who has just authenticated", func(t *testing.T) { fapitest.WantOK(t, get("/fresh", token)) })
	t.Run("refuses who authenticated too weakly", func(t *testing.T) {
		wantChallenge(t, get("/strong", token), `, acr_values="`+fapitest.ACRKey+`"`)
	})
	t.Run("refuses with all that is needed, whatever is missing", func(t *testing.T) {
		wantChallenge(t, get("/pay", token), `, acr_values="`+fapitest.ACRKey+` urn:other", max_age="60"`)
	})
	w.Clock.Advance(2*time.Minute + time.Second)
	t.Run("refuses who authenticated too long ago", func(t *testing.T) { wantChallenge(t, get("/fresh", token), `, max_age="120"`) })
	t.Run("refuses a refreshed token: the user has not authenticated again", func(t *testing.T) {
		fresh := c.Refresh(issued.Text("refresh_token"), forLedger).Text("access_token")
		wantChallenge(t, get("/fresh", fresh), `, max_age="120"`)
	})
	t.Run("refuses a token without a user", func(t *testing.T) {
		machine := w.Register("machine", fapitest.ClientCredentialsOnly)
		r := a.call(machine, http.MethodGet, "/fresh", machine.ClientCredentials(forLedger).Text("access_token"), nil)
		wantChallenge(t, r, `, max_age="120"`)
	})
	t.Run("accepts who does as the challenge says", func(t *testing.T) {
		user.Is("sub-alice", fapitest.ACRKey)
		stepped := tokenOf(c, fapitest.Set("acr_values", fapitest.ACRKey), fapitest.Set("max_age", "60"))
		for _, path := range []string{"/fresh", "/strong", "/pay"} {
			fapitest.WantOK(t, get(path, stepped))
		}
	})
}

// Covers: RS-14. The metadata of the resource say what its routes require, and challenges say where they are (RFC 9728).
func TestRS14Metadata(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	a := newAPI(t, w, func(config *rs.Config) {
		config.Metadata = rs.Metadata{Name: "Ledger", Scopes: []string{"extra"}, Documentation: "https://docs.example/ledger"}
	})
	a.handle("/pay", rs.AnyScope("payments", "payments:admin"), rs.Details("payment_initiation", func(context.Context, *rs.Call, []payment) error { return nil }))
	c := w.Register("client-1", fapitest.AllScopes)
	without := func() []string {
		return a.get(c, "", func(h http.Header) { h.Del("Authorization") }).Header.Values("WWW-Authenticate")
	}
	t.Run("refuses without an address in the challenge while there are none", func(t *testing.T) {
		if all := strings.Join(without(), " "); strings.Contains(all, "resource_metadata") {
			t.Errorf("challenges %q", all)
		}
	})
	path, handler := a.guard.Metadata()
	a.mux.Handle(path, handler)
	t.Run("accepts anybody", func(t *testing.T) {
		if path != "/.well-known/oauth-protected-resource/api" {
			t.Errorf("they are at %s", path)
		}
		response, raw := w.Request(t, http.MethodGet, a.URL+path, nil, "")
		var read map[string]any
		if err := json.Unmarshal([]byte(raw), &read); err != nil || response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/json" {
			t.Fatalf("%v: %d %s", err, response.StatusCode, raw)
		}
		want := map[string]any{
			"resource": fapitest.LedgerAPI, "authorization_servers": []any{w.Issuer}, "bearer_methods_supported": []any{"header"},
			"scopes_supported":                           []any{"accounts", "extra", "payments", "payments:admin"},
			"authorization_details_types_supported":      []any{"payment_initiation"},
			"dpop_signing_alg_values_supported":          []any{"PS256", "ES256", "EdDSA"},
			"dpop_bound_access_tokens_required":          false,
			"tls_client_certificate_bound_access_tokens": true,
			"resource_name":                              "Ledger", "resource_documentation": "https://docs.example/ledger",
		}
		if diff := cmp.Diff(want, read); diff != "" {
			t.Errorf("metadata (-want +got): %s", diff)
		}
	})
	t.Run("refuses with their address in each challenge", func(t *testing.T) {
		where := `resource_metadata="https://ledger.example/.well-known/oauth-protected-resource/api"`
		if diff := cmp.Diff([]string{`DPoP algs="PS256 ES256 EdDSA", ` + where, "Bearer " + where}, without()); diff != "" {
			t.Errorf("challenges (-want +got): %s", diff)
		}
		if r := a.get(c, "x", nil); !strings.HasSuffix(r.Header.Get("WWW-Authenticate"), where) {
			t.Errorf("challenge %q", r.Header.Get("WWW-Authenticate"))
		}
	})
	t.Run("refuses to change them", func(t *testing.T) {
		if response, _ := w.Request(t, http.MethodPost, a.URL+path, nil, ""); response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("answered %d", response.StatusCode)
		}
	})
	t.Run("refuses to publish what has no address", func(t *testing.T) {
		urn := newAPI(t, w, func(config *rs.Config) { config.Audience = fapitest.PaymentAPI })
		urn.mux.Handle(urn.guard.Metadata())
		if response, _ := w.Request(t, http.MethodGet, urn.URL+"/.well-known/oauth-protected-resource", nil, ""); response.StatusCode != http.StatusNotFound {
			t.Errorf("answered %d", response.StatusCode)
		}
		if r := urn.get(c, "x", nil); strings.Contains(r.Header.Get("WWW-Authenticate"), "resource_metadata") {
			t.Errorf("challenge %q", r.Header.Get("WWW-Authenticate"))
		}
	})
}

// Covers: RS-15. x-fapi-interaction-id comes back, or is made, and can be demanded.
func TestRS15InteractionID(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	a := newAPI(t, w, nil)
	a.handle("/named", rs.InteractionID())
	c := w.Register("client-1", fapitest.AllScopes)
	token := tokenOf(c)
	const id = "93bac548-d2de-4546-b106-880a5018460d"
	send := func(path, id string) fapitest.Reply {
		return a.call(c, http.MethodGet, path, token, func(h http.Header) {
			if id != "" {
				h.Set("x-fapi-interaction-id", id)
			}
		})
	}
	for _, path := range []string{"/accounts", "/named"} {
		t.Run("accepts an id and says it again at "+path, func(t *testing.T) {
			r := send(path, id)
			if r.Status != http.StatusOK || r.Header.Get("x-fapi-interaction-id") != id || r.Text("Interaction") != id {
				t.Errorf("answered %d %v %s", r.Status, r.Header, r.Raw)
			}
		})
	}
	for _, bad := range []string{"", "1", id + "0", strings.Replace(id, "-", "x", 1), strings.Replace(id, "9", "g", 1), id[:35] + "\t"} {
		t.Run("refuses where it is demanded, and else makes one for, "+bad, func(t *testing.T) {
			a.want(t, send("/named", bad), http.StatusBadRequest, "invalid_request", rs.BadInteractionID)
			r := send("/accounts", bad)
			if made := r.Header.Get("x-fapi-interaction-id"); r.Status != http.StatusOK || len(made) != 36 || made == bad || r.Text("Interaction") != made {
				t.Errorf("answered %d %v %s", r.Status, r.Header, r.Raw)
			}
		})
	}
}
