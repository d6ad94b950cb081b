package device_test

import (
	"net/http"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/internal/audit"
)

// Covers: FD-76. A user blocks who asks on the page of a request, and unblocks in the settings; both are in the audit log.
func TestFD76BlockOnPage(t *testing.T) {
	t.Parallel()
	w, c := fapitest.NewDeviceWorld(t, fapitest.WithAuditChain)
	p := w.DeviceBrowser(t)
	p.SignIn("alice").Has(t, http.StatusOK, "Signed in as")
	id := c.AuthReqID(nil)
	path := "/device/requests/" + fapitest.Reference(id)
	page := p.Visit(path)
	page.Has(t, http.StatusOK, "Block requests from", "It is not told")
	t.Run("refuses to block without the form of the page", func(t *testing.T) {
		other := w.DeviceBrowser(t)
		other.SignIn("bob")
		other.Send(page, path, "block").Has(t, http.StatusForbidden)
		other.Send(other.Visit("/device"), path, "block").Has(t, http.StatusNotFound)
		fapitest.WantError(t, c.Poll(id, nil), 400, "authorization_pending")
	})
	t.Run("accepts the button", func(t *testing.T) {
		events := w.NewEvidence(t, func() {
			p.Send(page, path, "block").Has(t, http.StatusOK, "It is blocked", "This was denied")
		})
		fapitest.WantKinds(t, events, audit.SecurityEvent, audit.SecurityEvent) // what was pending was denied
		fapitest.WantError(t, c.Poll(id, nil), 400, "access_denied")
		w.Clock.Advance(30_000_000_000)
		c.AuthReqID(nil)
		p.Visit("/device").Has(t, http.StatusOK, "Nothing waits for you")
	})
	t.Run("accepts the button in the settings", func(t *testing.T) {
		settings := p.Visit("/device/settings")
		settings.Has(t, http.StatusOK, "Blocked on", "Example asker")
		organisation := settings.One(t, `name="organisation" value="([^"]*)"`)
		events := w.NewEvidence(t, func() {
			p.Send(settings, "/device/settings", "unblock", "organisation", organisation).Has(t, http.StatusOK, "It can ask you again")
		})
		fapitest.WantKinds(t, events, audit.SecurityEvent)
		c.AuthReqID(nil)
		p.Visit("/device").Has(t, http.StatusOK, "1 request waits")
	})
	t.Run("refuses a form that names nothing", func(t *testing.T) {
		p.Send(p.Visit("/device/settings"), "/device/settings", "unblock").Has(t, http.StatusBadRequest)
	})
}
