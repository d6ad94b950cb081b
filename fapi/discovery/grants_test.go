package discovery_test

import (
	"net/http"
	"testing"

	"countersign/fapi/fapitest"
)

// probeGrantManagement shows that an action of Grant Management does something.
func probeGrantManagement(t *testing.T, w probedWorld, value string) {
	c := w.Register("client-"+fapitest.RandomString(), func(c *fapitest.Client, m map[string]any) {
		m["scope"] = c.Scope + " grant_management_query grant_management_revoke"
		m["grant_types"] = []string{"authorization_code", "refresh_token", "client_credentials"}
	})
	id := c.TokensFor(fapitest.Set("grant_management_action", "create")).Text("grant_id")
	token := func() string {
		return c.ClientCredentials(fapitest.Set("scope", "grant_management_query grant_management_revoke")).Text("access_token")
	}
	if r := c.Get("/grants/"+id, token(), nil); r.Status != http.StatusOK {
		t.Errorf("answered %d %s", r.Status, r.Raw)
	}
	switch value {
	case "create", "query":
	case "merge", "replace":
		changed := c.TokensFor(fapitest.Changes(fapitest.Set("grant_management_action", value), fapitest.Set("grant_id", id)))
		if changed.Text("grant_id") != id {
			t.Error(changed.Raw)
		}
	case "revoke":
		held := token()
		if r := c.SendJSON(http.MethodDelete, c.Base()+"/grants/"+id, "", nil, func(r *http.Request) {
			r.Header.Set("Authorization", "DPoP "+held)
			r.Header.Set("DPoP", c.Proof(http.MethodDelete, c.Base()+"/grants/"+id, held, nil))
		}); r.Status != http.StatusNoContent {
			t.Errorf("answered %d %s", r.Status, r.Raw)
		}
	default:
		t.Errorf("there is no test for the action %q", value)
	}
}

func probeActionRequired(t *testing.T, w probedWorld, value bool) {
	c := w.Register("client-"+fapitest.RandomString(), nil)
	if r := c.Push(nil); value != (r.Status == http.StatusBadRequest) {
		t.Errorf("advertised %v, and answered %d %s", value, r.Status, r.Raw)
	}
}
