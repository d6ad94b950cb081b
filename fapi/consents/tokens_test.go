package consents_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/store"
)

// Covers: LC-47. An idempotency key makes one consent, whichever node it comes to and however often; another content is refused, and
// another client's key is another key.
func TestLC47IdempotencyKeys(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewPostgresWorld(t, nil, offer)
	a := register(t, w, "one", ofBrazil, "openid payments")
	other := register(t, w, "two", ofBrazil, "openid payments")
	nodes := []*app{a, a.at(w.Node(nil))}
	t.Run("accepts one key at two nodes at once, and makes one consent", func(t *testing.T) {
		var calls []func() fapitest.Reply
		for i := range 12 {
			body := a.message(payments, payBody, nil)
			calls = append(calls, func() fapitest.Reply { return nodes[i%2].call("POST", payments, body, keyed("the key")) })
		}
		named := map[any]bool{}
		for _, r := range fapitest.Concurrently(calls...) {
			if r.Status != 201 {
				t.Fatalf("%d %s", r.Status, r.Raw)
			}
			named[member(a.answer(r), "data.consentId")] = true
		}
		if len(named) != 1 || named[nil] {
			t.Errorf("%v", named)
		}
		if mine, yours := a.created(payments, payBody, keyed("the key")), other.created(payments, payBody, keyed("the key")); !named[mine] || named[yours] {
			t.Errorf("%s and %s of %v", mine, yours, named)
		}
		lodged, err := w.Store.ListLodgedConsents(t.Context(), store.ConsentFilter{ClientID: "one"}, store.Page{Limit: 100})
		if err != nil || len(lodged) != 1 {
			t.Errorf("%d consents, %v", len(lodged), err)
		}
	})
	t.Run("refuses another content under the key", func(t *testing.T) {
		body := a.message(payments, strings.Replace(payBody, "100.12", "100.13", 1), nil)
		nodes[1].want(nodes[1].call("POST", payments, body, keyed("the key")), 422, "ERRO_IDEMPOTENCIA")
	})
	t.Run("accepts the same content in another order", func(t *testing.T) {
		moved := strings.Replace(payBody, `"currency":"BRL","amount":"100.12"`, `"amount":"100.12", "currency":"BRL"`, 1)
		if first, second := a.created(payments, payBody, keyed("order")), a.created(payments, moved, keyed("order")); first != second {
			t.Errorf("%s, %s", first, second)
		}
	})
	for name, key := range map[string]func(http.Header){
		"no key":     nil,
		"a long key": keyed(strings.Repeat("k", 41)),
		"two keys":   func(h http.Header) { h["X-Idempotency-Key"] = []string{"a", "b"} },
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			code := "PARAMETRO_INVALIDO"
			if key == nil {
				code = "PARAMETRO_NAO_INFORMADO"
			}
			a.want(a.call("POST", payments, a.message(payments, payBody, nil), key), 400, code)
		})
	}
}

// Covers: LC-48. A consent API is for the clients of its ecosystem, with a token of their own for it, bound to their certificate.
func TestLC48Tokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := register(t, w, "one", ofUK, "openid accounts")
	thief := register(t, w, "thief", ofUK, "openid accounts")
	stranger := register(t, w, "stranger", "fapi2-security", "accounts")
	poor := register(t, w, "poor", ofBrazil, "openid accounts")
	t.Run("accepts its own", func(t *testing.T) { a.created(uk4, ukBody, nil) })
	t.Run("refuses another's token", func(t *testing.T) {
		stolen := &app{Client: thief.Client, t: t, token: a.token}
		stolen.want(stolen.call("POST", uk4, ukBody, nil), 401, "")
	})
	t.Run("refuses a bound token outside the mTLS listener", func(t *testing.T) {
		request, err := http.NewRequest("POST", w.Issuer+uk4, strings.NewReader(ukBody))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+a.token)
		request.Header.Set("Content-Type", "application/json")
		a.want(a.Do(request), 401, "")
	})
	t.Run("refuses a client of another ecosystem", func(t *testing.T) { stranger.want(stranger.call("POST", uk4, ukBody, nil), 403, "") })
	t.Run("refuses a token without the scope", func(t *testing.T) {
		poor.want(poor.call("POST", brazil, brazilBody, nil), 403, "FORBIDDEN")
	})
	t.Run("refuses a token that has expired", func(t *testing.T) {
		w.Clock.Advance(time.Hour)
		r := a.call("POST", uk4, ukBody, nil)
		a.want(r, 401, "")
		if !strings.Contains(r.Header.Get("WWW-Authenticate"), "invalid_token") {
			t.Errorf("%v", r.Header)
		}
	})
}

// Covers: LC-55. Nobody piles up consents that await a decision, nor calls without end.
func TestLC55Limits(t *testing.T) {
	t.Parallel()
	t.Run("refuses call after call", func(t *testing.T) {
		w := newWorld(t, func(c *fapitest.Config) { c.Limits.ClientPerSecond, c.Limits.ClientBurst = 1, 5 })
		a := register(t, w, "one", ofBrazil, "openid consents")
		var last fapitest.Reply
		for range 10 {
			last = a.call("GET", below(brazil, "urn:bank:1"), "", nil)
		}
		a.want(last, 429, "LIMITE_EXCEDIDO")
		if last.Header.Get("Retry-After") == "" {
			t.Errorf("%v", last.Header)
		}
	})
	w := newWorld(t, func(c *fapitest.Config) { c.Consents.Quota = store.ConsentQuota{Client: 2} })
	a := register(t, w, "one", ofBrazil, "openid consents accounts payments")
	other := register(t, w, "two", ofBrazil, "openid consents accounts payments")
	first := a.created(brazil, brazilBody, nil)
	paid := a.created(payments, payBody, keyed("the key"))
	t.Run("refuses a third that would await a decision", func(t *testing.T) {
		a.want(a.call("POST", brazil, brazilBody, nil), 429, "LIMITE_EXCEDIDO")
	})
	t.Run("accepts the key of one that there is", func(t *testing.T) {
		if again := a.created(payments, payBody, keyed("the key")); again != paid {
			t.Errorf("%s, not %s", again, paid)
		}
	})
	t.Run("accepts another client's", func(t *testing.T) { other.created(brazil, brazilBody, nil) })
	t.Run("accepts one more after the end of one", func(t *testing.T) {
		if r := a.call("DELETE", below(brazil, first), "", nil); r.Status != 204 {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		a.created(brazil, brazilBody, nil)
	})
}

// Covers: LC-56. What an application lodged is what its user authorises; the API tells that it was, at every node; and when the
// application ends it, its tokens end with it, at every node.
func TestLC56Whole(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewPostgresWorld(t, nil, offer)
	server := w.ResourceServer("resources", w.Issuer)
	there := w.Node(nil)
	a := register(t, w, "one", ofUK, "openid accounts", func(c *fapitest.Client, m map[string]any) {
		c.AtMTLS, m["grant_types"] = true, []string{"authorization_code", "refresh_token", "client_credentials"}
		m["redirect_uris"], m["response_types"] = []string{c.RedirectURI}, []string{"code"}
	})
	id := a.created(uk4, ukBody, nil)
	tokens := a.TokensFor(fapitest.NamingByClaim(id))
	t.Run("accepts that the user authorised it", func(t *testing.T) {
		r := a.at(there).call("GET", below(uk4, id), "", nil)
		if r.Status != 200 || member(r.Body, "Data.Status") != "AUTH" {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
		if of := there.Client(server).Introspect(tokens.Text("access_token"), nil); of.Body["active"] != true {
			t.Errorf("%s", of.Raw)
		}
	})
	t.Run("refuses its tokens once the application ended it", func(t *testing.T) {
		if r := a.at(there).call("DELETE", below(uk4, id), "", nil); r.Status != 204 {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		fapitest.WantInactive(t, server.Introspect(tokens.Text("access_token"), nil))
		fapitest.WantError(t, a.Refresh(tokens.Text("refresh_token"), nil), 400, "invalid_grant")
		if r := a.Push(fapitest.NamingByClaim(id)); r.Status != 400 || r.Text("error") != "invalid_request" {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
}

// Covers: LC-56. In the ecosystems what its API made is shown to its user, and to no other, and the API tells what became of it.
func TestLC56Ecosystems(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AddUser("sub-alice", "alice", `{"name":"Alice Example","cpf":"11111111111","national_id":"1111111111"}`)
	w.AddUser("sub-bob", "bob", `{"name":"Bob Example","cpf":"22222222222","national_id":"2222222222"}`)
	byScope := func(before string) func(string) fapitest.Change {
		return func(id string) fapitest.Change { return fapitest.Set("scope", before+id) }
	}
	for path, one := range map[string]struct {
		profile, scopes, body, status string
		naming                        func(string) fapitest.Change
	}{
		uk3:      {ofUK, "openid accounts", ukBody, "Authorised", fapitest.NamingByClaim},
		uk4:      {ofUK, "openid accounts", ukBody, "AUTH", fapitest.NamingByClaim},
		brazil:   {ofBrazil, "openid consents accounts", brazilBody, "AUTHORISED", byScope("openid accounts consent:")},
		payments: {ofBrazil, "openid payments", payBody, "AUTHORISED", byScope("openid payments consent:")},
		ksa:      {ofKSA, "openid accounts", ksaBody, "Authorized", byScope("openid accounts:")},
	} {
		name := strings.NewReplacer("/", "-", ".", "-").Replace(path[1:])
		a := register(t, w, name, one.profile, one.scopes, func(c *fapitest.Client, m map[string]any) {
			c.AtMTLS, m["grant_types"] = true, []string{"authorization_code", "refresh_token", "client_credentials"}
			m["redirect_uris"], m["response_types"] = []string{c.RedirectURI}, []string{"code"}
		})
		naming := one.naming
		if path == ksa { // whose base is FAPI 2.0 Message Signing
			naming = func(id string) fapitest.Change { return fapitest.Changes(one.naming(id), a.Signing(nil)) }
		}
		t.Run("accepts it at "+path, func(t *testing.T) {
			id := a.created(path, one.body, keyed("k"))
			fapitest.WantOK(t, a.TokensFor(naming(id)))
			if got := statusOf(a, path, id); got != one.status {
				t.Errorf("it is %v", got)
			}
		})
		t.Run("refuses it for its user at "+path, func(t *testing.T) {
			id := a.created(path, one.body, keyed("l"))
			w.User.Does("deny")
			defer w.User.Does("allow")
			fapitest.WantRedirectError(t, a.AuthorizeIn(w.Browser(), naming(id)), "access_denied")
			if got := statusOf(a, path, id); got == one.status || got == nil {
				t.Errorf("it is %v", got)
			}
		})
		if strings.Contains(one.body, "11111") {
			t.Run("refuses it to another user at "+path, func(t *testing.T) {
				id := a.created(path, one.body, keyed("m"))
				w.User.Is("sub-bob", fapitest.ACRPassword)
				defer w.User.Is("sub-alice", fapitest.ACRPassword)
				fapitest.WantRedirectError(t, a.AuthorizeIn(w.Browser(), naming(id)), "access_denied")
			})
		}
	}
}

// statusOf is the status of a consent, as its API tells it.
func statusOf(a *app, path, id string) any {
	answer := a.answer(a.call("GET", below(path, id), "", nil))
	for _, name := range []string{"Data.Status", "Data.ConsentStatus", "data.status"} {
		if status := member(answer, name); status != nil {
			return status
		}
	}
	return nil
}
