package authorize_test

import (
	"net/http"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/internal/passkey/passkeytest"
)

// Covers: FD-27. A passkey that begins to be synced signs in, and goes on to; its user is told once, on the device page.
func TestFD27PasskeyChanged(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewDeviceWorld(t)
	alice := w.PasskeyOwner(t, "alice")
	app := w.Register("app", nil)
	const told = "Your passkey may now be copied"
	lacks := func() {
		t.Helper()
		if page := alice.Visit("/device"); strings.Contains(page.Body, told) {
			t.Errorf("told again: %s", page.Body)
		}
	}
	signIn := func() {
		t.Helper()
		alice.Send(alice.Visit("/device"), "/device", "sign-out")
		on := alice.Read(alice.HTTP.Get(w.AuthorizeURL("app", app.Push(nil).Text("request_uri"))))
		options := on.One(t, `data-passkey="get" data-options="([^"]*)"`)
		alice.Send(on, on.Path, "passkey", "passkey", alice.Passkey.Get(t, options))
	}
	lacks()
	alice.Passkey.Flags |= passkeytest.BackupEligible | passkeytest.BackedUp
	t.Run("accepts it, and tells the user once", func(t *testing.T) {
		signIn()
		alice.Visit("/device").Has(t, http.StatusOK, "alice", told)
		lacks()
	})
	t.Run("accepts it again, with a counter that goes back", func(t *testing.T) {
		alice.Passkey.Counter, alice.Passkey.Step = 0, 0
		signIn()
		lacks()
	})
	found, err := w.Store.Passkey(t.Context(), alice.Passkey.ID)
	if err != nil || !found.Synced || !found.ClonedAt.IsZero() {
		t.Errorf("stored %+v, %v", found, err)
	}
	t.Run("refuses a counter that goes back of one that is bound to its device", func(t *testing.T) {
		bob := w.PasskeyOwner(t, "bob")
		for _, counter := range []uint32{10, 5} {
			bob.Passkey.Counter = counter
			bob.Send(bob.Visit("/device"), "/device", "sign-out")
			on := bob.Read(bob.HTTP.Get(w.AuthorizeURL("app", app.Push(nil).Text("request_uri"))))
			answered := bob.Send(on, on.Path, "passkey", "passkey", bob.Passkey.Get(t, on.One(t, `data-passkey="get" data-options="([^"]*)"`)))
			if refused := strings.Contains(answered.Body, "The passkey was not accepted"); refused != (counter == 5) {
				t.Errorf("counter %d: refused %v", counter, refused)
			}
		}
	})
}
