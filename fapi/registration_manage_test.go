package fapi_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/internal/jose"
	"countersign/store"
)

// managed is a registration that its client looks after.
type managed struct {
	*client
	token, address, id string
	// body is what was registered.
	body map[string]any
}

func (c *client) manages(bearer string, body map[string]any) managed {
	c.w.t.Helper()
	r := c.enrolled(bearer, body)
	return managed{c, r.text("registration_access_token"), r.text("registration_client_uri"), r.text("client_id"), body}
}

func (m managed) read() reply { return m.send(http.MethodGet, m.address, m.token, nil, nil) }

func (m managed) delete() reply { return m.send(http.MethodDelete, m.address, m.token, nil, nil) }

// replace sends what was registered with the client_id; change may alter it.
func (m managed) replace(change func(map[string]any)) reply {
	m.w.t.Helper()
	body := map[string]any{"client_id": m.id}
	for name, value := range m.body {
		body[name] = value
	}
	if change != nil {
		change(body)
	}
	return m.send(http.MethodPut, m.address, m.token, body, nil)
}

// TestDR05Read: a client reads what is registered of it, defaults included (RFC 7592 §2.1).
func TestDR05Read(t *testing.T) {
	w := newWorld(t, offersRegistration)
	key := newKey(t, jose.ES256)
	c := w.applicant(nil)
	created := c.enrolled(w.initialToken("Bank", 10), enrolment(key, nil))
	address, token := created.text("registration_client_uri"), created.text("registration_access_token")

	t.Run("accepts its token and answers as at registration", func(t *testing.T) {
		r := c.send(http.MethodGet, address, token, nil, nil)
		if r.status != http.StatusOK || r.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %s", r.status, r.raw)
		}
		if diff := cmp.Diff(created.body, r.body); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("refuses another method", func(t *testing.T) {
		r := c.send(http.MethodPost, address, token, enrolment(key, nil), nil)
		wantError(t, r, http.StatusMethodNotAllowed, "invalid_request")
		if r.header.Get("Allow") != "GET, PUT, DELETE, HEAD" {
			t.Errorf("Allow: %s", r.header.Get("Allow"))
		}
	})
	if logs := w.logs.String(); strings.Contains(logs, token) || !strings.Contains(logs, "client registered") {
		t.Error("the log has the registration access token, or does not tell of the registration")
	}
}

// TestDR05RefusalsAreTheSame: whoever has no right to a registration learns nothing about it.
func TestDR05RefusalsAreTheSame(t *testing.T) {
	w := newWorld(t, offersRegistration)
	token := w.initialToken("Bank", 10)
	c := w.applicant(nil)
	body := enrolment(newKey(t, jose.ES256), nil)
	live, other, dead, disabled := c.manages(token, body), c.manages(token, body), c.manages(token, body), c.manages(token, body)
	if r := dead.delete(); r.status != http.StatusNoContent {
		t.Fatalf("%d %s", r.status, r.raw)
	}
	record, err := w.store.Client(t.Context(), disabled.id)
	if err != nil {
		t.Fatal(err)
	}
	record.Disabled, record.Version = true, record.Version+1
	if err := w.store.PutClient(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	w.register("operators", nil)
	const unknown = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
	operators := strings.Replace(live.address, live.id, "operators", 1)
	type shape struct {
		Status    int
		Challenge string
		Type      string
		Cache     string
		Body      map[string]any
	}
	shapeOf := func(r reply) shape {
		delete(r.body, "correlation_id")
		return shape{r.status, r.header.Get("WWW-Authenticate"), r.header.Get("Content-Type"), r.header.Get("Cache-Control"), r.body}
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		want := c.send(method, live.address, random(), nil, nil)
		wantUnauthorised(t, want)
		wanted := shapeOf(want)
		for name, attempt := range map[string]reply{
			"another client's token":                 c.send(method, live.address, other.token, nil, nil),
			"the initial access token":               c.send(method, live.address, token, nil, nil),
			"an unknown client":                      c.send(method, strings.Replace(live.address, live.id, unknown, 1), live.token, nil, nil),
			"a deleted client":                       c.send(method, dead.address, dead.token, nil, nil),
			"a disabled client":                      c.send(method, disabled.address, disabled.token, nil, nil),
			"a client of the operator":               c.send(method, operators, live.token, nil, nil),
			"a client of the operator, empty digest": c.send(method, operators, strings.Repeat("\u00e0", 4), nil, nil),
			"an identifier with a NUL":               c.send(method, strings.Replace(live.address, live.id, "%00", 1), live.token, nil, nil),
			"an identifier that is not UTF-8":        c.send(method, strings.Replace(live.address, live.id, "%ff", 1), live.token, nil, nil),
			"an endless identifier":                  c.send(method, strings.Replace(live.address, live.id, strings.Repeat("a", 5000), 1), live.token, nil, nil),
		} {
			t.Run("refuses "+method+" of "+name, func(t *testing.T) {
				if diff := cmp.Diff(wanted, shapeOf(attempt)); diff != "" {
					t.Error(diff)
				}
			})
		}
		t.Run("refuses "+method+" without a token", func(t *testing.T) {
			known, not := c.send(method, live.address, "", nil, nil), c.send(method, dead.address, "", nil, nil)
			wantUnauthorised(t, known)
			if diff := cmp.Diff(shapeOf(known), shapeOf(not)); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("accepts the right token after all that", func(t *testing.T) {
		if r := live.read(); r.status != http.StatusOK {
			t.Errorf("%d %s", r.status, r.raw)
		}
	})
}

// TestDR05Replace: an update is a full replacement that names its client and sets nothing that is the server's
// (RFC 7592 §2.2).
func TestDR05Replace(t *testing.T) {
	w := newWorld(t, offersRegistration)
	token := w.initialToken("Bank", 10)
	key := newKey(t, jose.ES256)
	c := w.applicant(nil)
	with := func(name string, value any) func(map[string]any) {
		return func(m map[string]any) { m[name] = value }
	}

	t.Run("accepts a replacement and forgets what it does not have", func(t *testing.T) {
		m := c.manages(token, enrolment(key, func(m map[string]any) { m["client_uri"] = "https://client.example/" }))
		before := m.read()
		w.clock.Advance(1e9)
		r := m.replace(func(m map[string]any) {
			delete(m, "client_uri")
			delete(m, "grant_types")
			m["client_name"], m["scope"] = "Renamed", "openid"
		})
		if r.status != http.StatusOK || r.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %s", r.status, r.raw)
		}
		want := before.body
		want["client_name"], want["scope"], want["grant_types"] = "Renamed", "openid", []any{"authorization_code"}
		delete(want, "client_uri")
		if diff := cmp.Diff(want, r.body); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(r.body, m.read().body); diff != "" {
			t.Errorf("the token or the registration is another one afterwards: %s", diff)
		}
		record, err := w.store.Client(t.Context(), m.id)
		if err != nil || record.Version != 2 || record.Organisation != "Bank" || !record.UpdatedAt.Equal(w.clock.Now()) {
			t.Errorf("stored %+v, %v", record, err)
		}
	})
	t.Run("accepts new keys, which count at once", func(t *testing.T) {
		m := c.manages(token, enrolment(key, nil))
		played := w.played(m.read(), key)
		if r := played.push(nil); r.status != http.StatusCreated {
			t.Fatalf("%d %s", r.status, r.raw)
		}
		fresh := newKey(t, jose.ES256)
		if r := m.replace(with("jwks", json.RawMessage(`{"keys":[`+string(fresh.PublicJWK())+`]}`))); r.status != http.StatusOK {
			t.Fatalf("%d %s", r.status, r.raw)
		}
		wantError(t, played.push(nil), http.StatusUnauthorized, "invalid_client")
		played.key = fresh
		if r := played.push(nil); r.status != http.StatusCreated {
			t.Errorf("%d %s", r.status, r.raw)
		}
	})

	m := c.manages(token, enrolment(key, nil))
	for name, test := range map[string]struct {
		change func(map[string]any)
		code   string
		says   string
	}{
		"refuses one without client_id":             {func(m map[string]any) { delete(m, "client_id") }, "invalid_client_metadata", "client_id"},
		"refuses one with another client_id":        {with("client_id", "6ba7b810-9dad-41d1-80b4-00c04fd430c8"), "invalid_client_metadata", "client_id"},
		"refuses a client_id that is no text":       {with("client_id", 1), "invalid_client_metadata", "client_id"},
		"refuses registration_access_token":         {with("registration_access_token", m.token), "invalid_client_metadata", "registration_access_token"},
		"refuses registration_client_uri":           {with("registration_client_uri", m.address), "invalid_client_metadata", "registration_client_uri"},
		"refuses client_secret_expires_at":          {with("client_secret_expires_at", 0), "invalid_client_metadata", "client_secret_expires_at"},
		"refuses client_id_issued_at":               {with("client_id_issued_at", 0), "invalid_client_metadata", "client_id_issued_at"},
		"refuses client_secret":                     {with("client_secret", "secret"), "invalid_client_metadata", "client_secret"},
		"refuses what registration refuses":         {with("redirect_uris", []string{"http://client.example/"}), "invalid_redirect_uri", "not https"},
		"refuses a scope that is not to be had":     {with("scope", "openid payments"), "invalid_client_metadata", "payments"},
		"refuses to become a resource server":       {with("resource_identifiers", []string{"https://api.example"}), "invalid_client_metadata", "resource_identifiers"},
		"refuses a software statement":              {with("software_statement", "x"), "invalid_software_statement", "software_statement"},
		"refuses a weaker way to authenticate":      {with("token_endpoint_auth_method", "none"), "invalid_client_metadata", "token_endpoint_auth_method"},
		"refuses keys by value and by address":      {with("jwks_uri", "https://client.example/jwks"), "invalid_client_metadata", "jwks_uri"},
		"refuses one change without all the others": {func(m map[string]any) { clear(m); m["client_id"] = "x" }, "invalid_client_metadata", "client_name"},
	} {
		t.Run(name, func(t *testing.T) {
			before := m.read()
			r := m.replace(test.change)
			wantError(t, r, http.StatusBadRequest, test.code)
			if !strings.Contains(r.text("error_description"), test.says) {
				t.Errorf("%q does not name %s", r.text("error_description"), test.says)
			}
			if diff := cmp.Diff(before.body, m.read().body); diff != "" {
				t.Errorf("refused, and changed all the same: %s", diff)
			}
		})
	}
	t.Run("accepts what it read, without what is the server's", func(t *testing.T) {
		body := m.read().body
		for _, name := range []string{"registration_access_token", "registration_client_uri", "client_id_issued_at"} {
			delete(body, name)
		}
		if r := m.send(http.MethodPut, m.address, m.token, body, nil); r.status != http.StatusOK {
			t.Errorf("%d %s", r.status, r.raw)
		}
	})
}

// rival changes a client just before somebody else's change is stored.
type rival struct {
	store.Store
	once sync.Once
}

// PutClient implements store.Clients.
func (r *rival) PutClient(ctx context.Context, client store.Client) error {
	var err error
	if client.Version > 1 {
		r.once.Do(func() {
			var record store.Client
			if record, err = r.Store.Client(ctx, client.ID); err == nil {
				record.Version++
				err = r.Store.PutClient(ctx, record)
			}
		})
	}
	if err != nil {
		return err
	}
	return r.Store.PutClient(ctx, client)
}

// TestDR05Conflict: of two replacements at once one is told that it came too late.
func TestDR05Conflict(t *testing.T) {
	w := newWorld(t, offersRegistration, func(c *fapiConfig, _ *autoInteractor) { c.Store = &rival{Store: c.Store} })
	m := w.applicant(nil).manages(w.initialToken("Bank", 1), enrolment(newKey(t, jose.ES256), nil))
	t.Run("refuses the later one", func(t *testing.T) {
		wantError(t, m.replace(nil), http.StatusConflict, "invalid_request")
	})
	t.Run("accepts it when it is sent again", func(t *testing.T) {
		if r := m.replace(nil); r.status != http.StatusOK {
			t.Errorf("%d %s", r.status, r.raw)
		}
	})
}

// Covers: DR-06. With a client goes everything that it was granted (RFC 7592 §2.3, §5).
func TestDR05Delete(t *testing.T) {
	w := newWorld(t, offersRegistration)
	key := newKey(t, jose.ES256)
	m := w.applicant(nil).manages(w.initialToken("Bank", 10), enrolment(key, nil))
	c := w.played(m.read(), key)
	code, tokens := c.authorize(), c.tokens()
	if r := c.get("/accounts", tokens.text("access_token"), nil); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.raw)
	}
	t.Run("accepts its token", func(t *testing.T) {
		if r := m.delete(); r.status != http.StatusNoContent || r.raw != "" || r.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %q %v", r.status, r.raw, r.header)
		}
	})
	t.Run("refuses its access token afterwards", func(t *testing.T) {
		wantError(t, c.get("/accounts", tokens.text("access_token"), nil), http.StatusUnauthorized, "invalid_token")
	})
	t.Run("refuses its refresh token, its code and a new request at once", func(t *testing.T) {
		wantError(t, c.refresh(tokens.text("refresh_token"), nil), http.StatusUnauthorized, "invalid_client")
		wantError(t, c.redeem(code, nil), http.StatusUnauthorized, "invalid_client")
		wantError(t, c.push(nil), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("refuses to be managed afterwards", func(t *testing.T) {
		wantUnauthorised(t, m.read())
		wantUnauthorised(t, m.replace(nil))
		wantUnauthorised(t, m.delete())
	})
}
