package account_test

import (
	"net/http"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/store"
)

// Covers: LC-19. A consent that a client lodged appears in the user's account, in words and by its id, and ends there, with its tokens, on
// every node.
func TestLodgedConsents(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, withAccount, fapitest.WithConsents)
	w.AddUser("sub-bob", "bob", `{}`)
	b := &bank{World: w, app: w.Register("bank-app", ownScope)}
	c := w.Register("orchid", fapitest.All(fapitest.InUK, fapitest.SetMember("client_name", "Orchid Budget")))
	n := w.Node(nil)
	b.as("alice")
	lodged := w.Lodge(c)
	tokens := c.TokensFor(fapitest.NamingByClaim(lodged.ID))
	status := func() store.ConsentStatus {
		t.Helper()
		now, err := w.Store.LodgedConsent(t.Context(), c.ID, lodged.ID)
		if err != nil {
			t.Fatal(err)
		}
		return now.Status
	}
	p := b.at(t, "alice")
	id := ""
	token := b.token("alice")
	for _, one := range list(t, call(b.app, "GET", "/account/v1/access", token, nil), "access") {
		if one["client_id"] == c.ID {
			id = one["id"].(string)
		}
	}
	t.Run("accepts a look at it on the page", func(t *testing.T) {
		p.Visit("/account/access/"+id).Has(t, http.StatusOK, "Orchid Budget", "Balances")
	})
	t.Run("accepts a look at it by the API", func(t *testing.T) {
		grants := list(t, call(b.app, "GET", "/account/v1/access/"+id, token, nil), "grants")
		if len(grants) != 1 || grants[0]["consent_id"] != lodged.ID || !strings.Contains(fapitest.JSON(grants[0]["shown"]), "Balances") {
			t.Errorf("the grants are %s", fapitest.JSON(grants))
		}
	})
	t.Run("refuses the end by another user", func(t *testing.T) {
		fapitest.WantError(t, call(b.app, "DELETE", "/account/v1/access/"+id, b.token("bob"), nil), 404, "invalid_request")
		if got := status(); got != store.ConsentAuthorised {
			t.Errorf("the consent is %s", got)
		}
	})
	b.as("alice")
	fapitest.WantOK(t, call(b.app, "DELETE", "/account/v1/access/"+id, token, nil))
	t.Run("refuses everything after its end, on two nodes", func(t *testing.T) {
		now, err := w.Store.LodgedConsent(t.Context(), c.ID, lodged.ID)
		if err != nil || now.Status != store.ConsentRevoked || now.EndedBy != store.RevokedByUser {
			t.Errorf("the consent is %+v (%v)", now, err)
		}
		for _, at := range []*fapitest.Client{c, n.Client(c)} {
			fapitest.WantError(t, at.Refresh(tokens.Text("refresh_token"), nil), http.StatusBadRequest, "invalid_grant")
		}
		fapitest.WantError(t, c.Push(fapitest.NamingByClaim(lodged.ID)), http.StatusBadRequest, "invalid_request")
	})
}
