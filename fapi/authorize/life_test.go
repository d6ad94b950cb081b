package authorize_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"countersign/fapi/fapitest"
)

// Covers: KC-22. What is allowed ends when its details say: the grant, its refresh token and the last access token of it.
func TestKC22EndsWithItsDetails(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	c, api := w.Register("client-1", fapitest.AllScopes), w.ResourceServer("rs-1", w.Issuer)
	until := func(end time.Time) fapitest.Change {
		return fapitest.Set("authorization_details", fmt.Sprintf(
			`[{"type":"account_information","actions":["list_accounts"],"validUntil":%q},%s]`, end.UTC().Format(time.RFC3339), fapitest.OnePayment))
	}
	end := w.Clock.Now().Add(2 * time.Hour)
	issued := c.TokensFor(until(end))
	t.Run("accepts an access token that ends before", func(t *testing.T) {
		if life, ok := issued.Body["expires_in"].(float64); !ok || life <= 0 || life > 3600 {
			t.Errorf("%v", issued.Body["expires_in"])
		}
	})
	t.Run("accepts a refresh, with a token that ends with it", func(t *testing.T) {
		w.Clock.Advance(2*time.Hour - 90*time.Second)
		again := c.Refresh(issued.Text("refresh_token"), nil)
		fapitest.WantOK(t, again)
		if exp := fapitest.UnverifiedClaims(t, again.Text("access_token"))["exp"]; exp != float64(end.Unix()) || again.Body["expires_in"] != 90.0 {
			t.Errorf("ends at %v after %v s, and not at %d", exp, again.Body["expires_in"], end.Unix())
		}
		if !api.Introspect(again.Text("access_token"), nil).Body["active"].(bool) {
			t.Error("it is not active")
		}
		w.Clock.Advance(91 * time.Second)
		fapitest.WantInactive(t, api.Introspect(again.Text("access_token"), nil))
	})
	t.Run("refuses a refresh after it", func(t *testing.T) {
		fapitest.WantError(t, c.Refresh(issued.Text("refresh_token"), nil), http.StatusBadRequest, "invalid_grant")
	})
	t.Run("refuses what has ended when it is asked for", func(t *testing.T) {
		fapitest.WantError(t, c.Push(until(w.Clock.Now())), http.StatusBadRequest, "invalid_authorization_details")
		fapitest.WantError(t, c.Push(until(w.Clock.Now().Add(-time.Hour))), http.StatusBadRequest, "invalid_authorization_details")
	})
	t.Run("refuses what has ended when the browser comes", func(t *testing.T) {
		pushed := c.Push(until(w.Clock.Now().Add(20 * time.Second)))
		if pushed.Status != http.StatusCreated {
			t.Fatal(pushed.Raw)
		}
		w.Clock.Advance(30 * time.Second)
		_, _, to := w.Browser().Visit(w.AuthorizeURL(c.ID, pushed.Text("request_uri")))
		if to == nil {
			t.Fatal("not sent back")
		}
		fapitest.WantRedirectError(t, to.Query(), "invalid_authorization_details")
	})
}
