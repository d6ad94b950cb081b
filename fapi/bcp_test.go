package fapi_test

import (
	"net/http"
	"net/url"
	"testing"

	"countersign/fapi/fapitest"
)

// Covers: BC-10. A client cannot pass for a user: no token has the client's name as its subject, and client names
// are not taken from users'.
func TestBC10ClientIsNoPerson(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("sub-alice", nil) // a client whose identifier is the subject of a user
	issued := c.Tokens()
	t.Run("accepts and keeps client and user apart in the token", func(t *testing.T) {
		_, access := w.Verify(issued.Text("access_token"))
		if access["sub"] != "sub-alice" || access["client_id"] != c.ID || access["auth_time"] == nil {
			t.Errorf("%v", access)
		}
	})
	t.Run("refuses a token without a user where one is needed", func(t *testing.T) {
		r := c.Post("/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"openid"}}, nil)
		if r.Status == http.StatusOK {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
}

// Covers: BC-11. Nothing is handed over in fragments, in messages between windows, or in forms.
func TestBC11NoBrowserFlows(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	fapitest.TryAll(t, c.Push, fapitest.Good("the query", fapitest.Set("response_mode", "query")))
	for _, mode := range []string{"fragment", "form_post", "web_message", "web_message_relay", "query.jwt", "fragment.jwt", "Query", "cookie"} {
		fapitest.TryAll(t, c.Push, fapitest.Bad("response_mode "+mode, fapitest.Set("response_mode", mode), 400, "invalid_request"))
	}
	t.Run("accepts and leaves the fragment empty", func(t *testing.T) {
		if sentTo := c.Redirected(t, nil); sentTo.Fragment != "" || !sentTo.Query().Has("code") || sentTo.Query().Has("access_token") || sentTo.Query().Has("id_token") {
			t.Errorf("sent to %s", sentTo)
		}
	})
}
