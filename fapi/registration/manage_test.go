package registration_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"countersign/store"
)

// TestDR05Read: a client reads what is registered of it, defaults included (RFC 7592 §2.1).
func TestDR05Read(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithRegistration)
	key := fapitest.NewKey(t, jose.ES256)
	c := w.Applicant(nil)
	created := c.RegisteredSelf(w.InitialToken("Bank", 10), fapitest.RegistrationRequest(key, nil))
	address, token := created.Text("registration_client_uri"), created.Text("registration_access_token")

	t.Run("accepts its token and answers as at registration", func(t *testing.T) {
		r := c.SendJSON(http.MethodGet, address, token, nil, nil)
		if r.Status != http.StatusOK || r.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		if diff := cmp.Diff(created.Body, r.Body); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("refuses another method", func(t *testing.T) {
		r := c.SendJSON(http.MethodPost, address, token, fapitest.RegistrationRequest(key, nil), nil)
		fapitest.WantError(t, r, http.StatusMethodNotAllowed, "invalid_request")
		if r.Header.Get("Allow") != "GET, PUT, DELETE, HEAD" {
			t.Errorf("Allow: %s", r.Header.Get("Allow"))
		}
	})
	if logs := w.Logs.String(); strings.Contains(logs, token) || !strings.Contains(logs, "client_registered") {
		t.Error("the log has the registration access token, or does not tell of the registration")
	}
}

// TestDR05RefusalsAreTheSame: whoever has no right to a registration learns nothing about it.
func TestDR05RefusalsAreTheSame(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithRegistration)
	token := w.InitialToken("Bank", 10)
	c := w.Applicant(nil)
	body := fapitest.RegistrationRequest(fapitest.NewKey(t, jose.ES256), nil)
	live, other, dead, disabled := manages(c, token, body), manages(c, token, body), manages(c, token, body), manages(c, token, body)
	if r := dead.delete(); r.Status != http.StatusNoContent {
		t.Fatalf("%d %s", r.Status, r.Raw)
	}
	record, err := w.Store.Client(t.Context(), disabled.id)
	if err != nil {
		t.Fatal(err)
	}
	record.Disabled, record.Version = true, record.Version+1
	if err := w.Store.PutClient(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	w.Register("operators", nil)
	const unknown = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
	operators := strings.Replace(live.address, live.id, "operators", 1)
	type shape struct {
		Status    int
		Challenge string
		Type      string
		Cache     string
		Body      map[string]any
	}
	shapeOf := func(r fapitest.Reply) shape {
		delete(r.Body, "correlation_id")
		return shape{r.Status, r.Header.Get("WWW-Authenticate"), r.Header.Get("Content-Type"), r.Header.Get("Cache-Control"), r.Body}
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		want := c.SendJSON(method, live.address, fapitest.RandomString(), nil, nil)
		fapitest.WantUnauthorized(t, want)
		wanted := shapeOf(want)
		for name, attempt := range map[string]fapitest.Reply{
			"another client's token":                 c.SendJSON(method, live.address, other.token, nil, nil),
			"the initial access token":               c.SendJSON(method, live.address, token, nil, nil),
			"an unknown client":                      c.SendJSON(method, strings.Replace(live.address, live.id, unknown, 1), live.token, nil, nil),
			"a deleted client":                       c.SendJSON(method, dead.address, dead.token, nil, nil),
			"a disabled client":                      c.SendJSON(method, disabled.address, disabled.token, nil, nil),
			"a client of the operator":               c.SendJSON(method, operators, live.token, nil, nil),
			"a client of the operator, empty digest": c.SendJSON(method, operators, strings.Repeat("\u00e0", 4), nil, nil),
			"an identifier with a NUL":               c.SendJSON(method, strings.Replace(live.address, live.id, "%00", 1), live.token, nil, nil),
			"an identifier that is not UTF-8":        c.SendJSON(method, strings.Replace(live.address, live.id, "%ff", 1), live.token, nil, nil),
			"an endless identifier":                  c.SendJSON(method, strings.Replace(live.address, live.id, strings.Repeat("a", 5000), 1), live.token, nil, nil),
		} {
			t.Run("refuses "+method+" of "+name, func(t *testing.T) {
				if diff := cmp.Diff(wanted, shapeOf(attempt)); diff != "" {
					t.Error(diff)
				}
			})
		}
		t.Run("refuses "+method+" without a token", func(t *testing.T) {
			known, not := c.SendJSON(method, live.address, "", nil, nil), c.SendJSON(method, dead.address, "", nil, nil)
			fapitest.WantUnauthorized(t, known)
			if diff := cmp.Diff(shapeOf(known), shapeOf(not)); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("accepts the right token after all that", func(t *testing.T) {
		if r := live.read(); r.Status != http.StatusOK {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
}

// TestDR05Replace: an update is a full replacement that names its client and sets nothing that is the server's
// (RFC 7592 §2.2).
func TestDR05Replace(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithRegistration)
	token := w.InitialToken("Bank", 10)
	key := fapitest.NewKey(t, jose.ES256)
	c := w.Applicant(nil)
	with := func(name string, value any) func(map[string]any) {
		return func(m map[string]any) { m[name] = value }
	}

	t.Run("accepts a replacement and forgets what it does not have", func(t *testing.T) {
		m := manages(c, token, fapitest.RegistrationRequest(key, func(m map[string]any) { m["client_uri"] = "https://client.example/" }))
		before := m.read()
		w.Clock.Advance(1e9)
		r := m.replace(func(m map[string]any) {
			delete(m, "client_uri")
			delete(m, "grant_types")
			m["client_name"], m["scope"] = "Renamed", "openid"
		})
		if r.Status != http.StatusOK || r.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		want := before.Body
		want["client_name"], want["scope"], want["grant_types"] = "Renamed", "openid", []any{"authorization_code"}
		delete(want, "client_uri")
		if diff := cmp.Diff(want, r.Body); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(r.Body, m.read().Body); diff != "" {
			t.Errorf("the token or the registration is another one afterwards: %s", diff)
		}
		record, err := w.Store.Client(t.Context(), m.id)
		if err != nil || record.Version != 2 || record.Organisation != "Bank" || !record.UpdatedAt.Equal(w.Clock.Now()) {
			t.Errorf("stored %+v, %v", record, err)
		}
	})
	t.Run("accepts new keys, which count at once", func(t *testing.T) {
		m := manages(c, token, fapitest.RegistrationRequest(key, nil))
		played := played(w, m.read(), key)
		if r := played.Push(nil); r.Status != http.StatusCreated {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		fresh := fapitest.NewKey(t, jose.ES256)
		if r := m.replace(with("jwks", json.RawMessage(`{"keys":[`+string(fresh.PublicJWK())+`]}`))); r.Status != http.StatusOK {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		fapitest.WantError(t, played.Push(nil), http.StatusUnauthorized, "invalid_client")
		played.Key = fresh
		if r := played.Push(nil); r.Status != http.StatusCreated {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})

	m := manages(c, token, fapitest.RegistrationRequest(key, nil))
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
			fapitest.WantError(t, r, http.StatusBadRequest, test.code)
			if !strings.Contains(r.Text("error_description"), test.says) {
				t.Errorf("%q does not name %s", r.Text("error_description"), test.says)
			}
			if diff := cmp.Diff(before.Body, m.read().Body); diff != "" {
				t.Errorf("refused, and changed all the same: %s", diff)
			}
		})
	}
	t.Run("accepts what it read, without what is the server's", func(t *testing.T) {
		body := m.read().Body
		for _, name := range []string{"registration_access_token", "registration_client_uri", "client_id_issued_at"} {
			delete(body, name)
		}
		if r := m.SendJSON(http.MethodPut, m.address, m.token, body, nil); r.Status != http.StatusOK {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
}

// rival changes a client just before somebody else's change is stored.
type rival struct {
	store.Store
	once sync.Once
}

// PutClient implements store.Clients.
func (r *rival) PutClient(ctx context.Context, client store.Client, evidence ...store.Evidence) error {
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
	return r.Store.PutClient(ctx, client, evidence...)
}

// TestDR05Conflict: of two replacements at once one is told that it came too late.
func TestDR05Conflict(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithRegistration, func(c *fapitest.Config) { c.Store = &rival{Store: c.Store} })
	m := manages(w.Applicant(nil), w.InitialToken("Bank", 1), fapitest.RegistrationRequest(fapitest.NewKey(t, jose.ES256), nil))
	t.Run("refuses the later one", func(t *testing.T) {
		fapitest.WantError(t, m.replace(nil), http.StatusConflict, "invalid_request")
	})
	t.Run("accepts it when it is sent again", func(t *testing.T) {
		if r := m.replace(nil); r.Status != http.StatusOK {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
}

// Covers: DR-06. With a client goes everything that it was granted (RFC 7592 §2.3, §5).
func TestDR05Delete(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithRegistration)
	key := fapitest.NewKey(t, jose.ES256)
	m := manages(w.Applicant(nil), w.InitialToken("Bank", 10), fapitest.RegistrationRequest(key, nil))
	c := played(w, m.read(), key)
	code, tokens := c.Authorize(), c.Tokens()
	if r := c.Get("/accounts", tokens.Text("access_token"), nil); r.Status != http.StatusOK {
		t.Fatalf("%d %s", r.Status, r.Raw)
	}
	t.Run("accepts its token", func(t *testing.T) {
		if r := m.delete(); r.Status != http.StatusNoContent || r.Raw != "" || r.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %q %v", r.Status, r.Raw, r.Header)
		}
	})
	t.Run("refuses its access token afterwards", func(t *testing.T) {
		fapitest.WantError(t, c.Get("/accounts", tokens.Text("access_token"), nil), http.StatusUnauthorized, "invalid_token")
	})
	t.Run("refuses its refresh token, its code and a new request at once", func(t *testing.T) {
		fapitest.WantError(t, c.Refresh(tokens.Text("refresh_token"), nil), http.StatusUnauthorized, "invalid_client")
		fapitest.WantError(t, c.Redeem(code, nil), http.StatusUnauthorized, "invalid_client")
		fapitest.WantError(t, c.Push(nil), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("refuses to be managed afterwards", func(t *testing.T) {
		fapitest.WantUnauthorized(t, m.read())
		fapitest.WantUnauthorized(t, m.replace(nil))
		fapitest.WantUnauthorized(t, m.delete())
	})
}
