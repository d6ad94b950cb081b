package grants_test

import (
	"net/http"
	"net/url"
	"testing"

	"countersign/fapi/fapitest"
)

func TestMain(m *testing.M) { fapitest.Main(m) }

// managing registers a client that may manage its grants.
func managing(w *fapitest.World, id string, more ...fapitest.ClientOption) *fapitest.Client {
	return w.Register(id, fapitest.All(append([]fapitest.ClientOption{fapitest.AllScopes, func(c *fapitest.Client, m map[string]any) {
		m["scope"] = c.Scope + " grant_management_query grant_management_revoke"
		m["grant_types"] = []string{"authorization_code", "refresh_token", "client_credentials"}
	}}, more...)...))
}

// managed has a request manage a grant; an empty id is left out.
func managed(action, id, scope string, more ...fapitest.Change) fapitest.Change {
	return fapitest.Changes(append([]fapitest.Change{func(form url.Values, _ http.Header) {
		form.Set("grant_management_action", action)
		form.Set("scope", scope)
		if id != "" {
			form.Set("grant_id", id)
		}
	}}, more...)...)
}

// own gets a token for the client itself.
func own(t *testing.T, c *fapitest.Client, scope string) string {
	t.Helper()
	r := c.ClientCredentials(fapitest.Set("scope", scope))
	fapitest.WantOK(t, r)
	return r.Text("access_token")
}

// call calls the API.
func call(t *testing.T, c *fapitest.Client, method, id, token string) fapitest.Reply {
	t.Helper()
	path := "/grants/" + url.PathEscape(id)
	request, err := http.NewRequest(method, c.Base()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if c.DPoP {
		request.Header.Set("Authorization", "DPoP "+token)
		request.Header.Set("DPoP", c.Proof(method, c.Base()+path, token, nil))
	}
	return c.Do(request)
}

// query reads a grant.
func query(t *testing.T, c *fapitest.Client, id string) fapitest.Reply {
	t.Helper()
	return call(t, c, http.MethodGet, id, own(t, c, "grant_management_query"))
}

// scopes are those of an answer.
func scopes(r fapitest.Reply) []string {
	var names []string
	list, _ := r.Body["scopes"].([]any)
	for _, each := range list {
		one, _ := each.(map[string]any)
		name, _ := one["scope"].(string)
		names = append(names, name)
	}
	return names
}
