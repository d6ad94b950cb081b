package device_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign/fapi/browser"
	"countersign/fapi/fapitest"
	"countersign/fapi/rar"
)

// Covers: KX-05. Accounts of the claims source are offered on the device and in applications: first they are chosen, and what is decided
// on and signed are those alone. While the source is away nothing can be approved.
func TestKX05OfferedOnTheDevice(t *testing.T) {
	t.Parallel()
	source := fapitest.NewBank(t)
	w, _ := fapitest.NewDeviceWorld(t, func(c *fapitest.Config) { c.AuthorizationDetailTypes = fapitest.DetailTypes() },
		fapitest.OfferingFrom(rar.FromClaims), fapitest.ClaimsFrom(t, source, nil))
	source.Knows("sub-alice", map[string]any{"accounts": fapitest.Offered()})
	c := w.Register("sharer", fapitest.All(fapitest.CIBAPoll, fapitest.SetMember("authorization_details_types", []string{"own_accounts"})))
	ask := func() (id, path string) {
		id = c.AuthReqID(fapitest.Changes(fapitest.Set("authorization_details", "["+fapitest.OwnAccounts+"]"), fapitest.Set("scope", "openid")))
		return id, "/device/requests/" + fapitest.Reference(id)
	}
	const granted = `[{"accounts":["GB33BUKB20201555555555"],"type":"own_accounts"}]`
	wantGranted := func(t *testing.T, id string) {
		t.Helper()
		issued := c.Poll(id, nil)
		fapitest.WantOK(t, issued)
		if got := fapitest.JSON(fapitest.UnverifiedClaims(t, issued.Text("access_token"))["authorization_details"]); got != granted {
			t.Errorf("the token has %s", got)
		}
	}
	alice := w.PasskeyOwner(t, "alice")
	chosen := []string{"choose.0./accounts.1", "1"}
	t.Run("accepts what was chosen on the page", func(t *testing.T) {
		id, path := ask()
		on := alice.Visit(path)
		on.Has(t, http.StatusOK, "Everyday", "Current account · DE•• 8603 · ending 8603", "€1,234.50", "Savings", `id="choose"`)
		again := alice.Send(on, path, "choose", chosen...)
		again.Has(t, http.StatusOK, "Savings", `id="approve"`)
		if strings.Contains(again.Body, "Everyday") {
			t.Fatalf("shows what was not chosen: %s", again.Body)
		}
		done := alice.Send(again, path, "approve", append(chosen, "passkey", alice.Passkey.Get(t, again.Options(t, "approve")))...)
		done.Has(t, http.StatusOK, "Approved", "Savings")
		wantGranted(t, id)
	})
	t.Run("refuses to approve while the source is away, and accepts to deny", func(t *testing.T) {
		_, path := ask()
		again := alice.Send(alice.Visit(path), path, "choose", chosen...)
		answer := alice.Passkey.Get(t, again.Options(t, "approve"))
		source.IsAway(true)
		page := alice.Send(again, path, "approve", append(chosen, "passkey", answer)...)
		if strings.Contains(page.Body, "Approved") || strings.Contains(page.Body, "Savings") {
			t.Errorf("%d %s", page.Status, page.Body)
		}
		alice.Visit(path).Has(t, http.StatusOK, "None can be shown at the moment")
		alice.Send(alice.Visit(path), path, "deny").Has(t, http.StatusOK, "Denied")
		source.IsAway(false)
		w.Clock.Advance(31e9)
	})
	app := enrolledApp(t, w, "alice")
	read := func() (string, fapitest.Reply) {
		id, _ := ask()
		reply := app.get("/requests/" + fapitest.Reference(id))
		fapitest.WantOK(t, reply)
		return id, reply
	}
	approve := func(reply fapitest.Reply) fapitest.Reply {
		return app.post(reply.Text("approve"), url.Values{"acr": {browser.PasskeyACR}, "amr": {"hwk fpt"}, "choose.0./accounts.1": {"1"}})
	}
	t.Run("accepts what was chosen in an application, whatever the balance is by then", func(t *testing.T) {
		id, reply := read()
		changed := fapitest.Offered()
		changed[0]["balance"] = map[string]string{"amount": "0.01", "currency": "EUR"}
		source.Knows("sub-alice", map[string]any{"accounts": changed})
		fapitest.WantOK(t, approve(reply))
		wantGranted(t, id)
	})
	t.Run("refuses it when other accounts are offered since", func(t *testing.T) {
		_, reply := read()
		changed := fapitest.Offered()
		changed[0], changed[1] = changed[1], changed[0]
		source.Knows("sub-alice", map[string]any{"accounts": changed})
		fapitest.WantError(t, approve(reply), http.StatusConflict, "invalid_request")
	})
}
