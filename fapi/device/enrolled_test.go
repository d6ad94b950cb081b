package device_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/browser"
	"countersign/fapi/fapitest"
	"countersign/store"
)

// code makes a code for an application at the settings.
func code(t *testing.T, p *fapitest.DeviceBrowser) string {
	t.Helper()
	return p.Send(p.Visit("/device/settings"), "/device/settings", "code").One(t, `id="code" dir="ltr">([A-Z2-7 ]+)<`)
}

// Covers: FD-83. An application has the level of the sign-in under which its code was made, whatever becomes of the user or
// of its key afterwards.
func TestFD83LevelOfEnrolment(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewDeviceWorld(t)
	alice := w.DeviceBrowser(t)
	alice.SignIn("alice")
	enrol := w.Issuer + "/device/api/enrol"
	enrolled := func(a *app, code string) fapitest.Reply {
		t.Helper()
		return a.post(enrol, url.Values{"code": {code}, "name": {"Bank app"}})
	}
	level := func(a *app, want string) {
		t.Helper()
		d, err := w.Store.DeviceByKey(t.Context(), a.key.ID())
		if err != nil || d.ACR != want {
			t.Errorf("enrolled at %q, %v, want %q", d.ACR, err, want)
		}
	}
	byPassword := newApp(t, w)
	r := enrolled(byPassword, code(t, alice))
	if !cmp.Equal(r.Body["acr_values"], []any{browser.PasswordACR}) || !cmp.Equal(r.Body["amr_values"], []any{"pin", "pwd", "user"}) {
		t.Errorf("told %s", r.Raw)
	}
	level(byPassword, browser.PasswordACR)

	t.Run("refuses a code that a password made, once there is a passkey", func(t *testing.T) {
		pending := code(t, alice)
		alice.AddPasskey().Has(t, http.StatusOK, "The passkey is added")
		refused(t, enrolled(newApp(t, w), pending), http.StatusBadRequest, "invalid_grant")
	})
	t.Run("refuses a code to a session of a password, once there is a passkey", func(t *testing.T) {
		on := alice.Visit("/device/settings")
		alice.Send(on, "/device/settings", "code").Has(t, http.StatusOK, "Sign in again first")
	})
	alice.SignInByPasskeyAgain("/device/settings")
	level(byPassword, browser.PasswordACR) // a passkey of its user raises nothing
	byPasskey := newApp(t, w)
	r = enrolled(byPasskey, code(t, alice))
	if methods, ok := r.Body["amr_values"].([]any); !ok || !slices.Contains(methods, any("hwk")) {
		t.Errorf("told %s", r.Raw)
	}
	level(byPasskey, browser.PasskeyACR)
	t.Run("refuses a key that is enrolled, under a passkey too", func(t *testing.T) {
		refused(t, enrolled(byPassword, code(t, alice)), http.StatusBadRequest, "invalid_request")
		level(byPassword, browser.PasswordACR)
	})
	t.Run("accepts it again after it was removed, at the level of the new code", func(t *testing.T) {
		old, err := w.Store.DeviceByKey(t.Context(), byPassword.key.ID())
		if err != nil {
			t.Fatal(err)
		}
		alice.Send(alice.Visit("/device/settings"), "/device/settings", "remove-device", "id", old.ID)
		if r := enrolled(byPassword, code(t, alice)); r.Status != http.StatusCreated {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		level(byPassword, browser.PasskeyACR)
	})
	t.Run("accepts a code of a password again when the passkey is gone, at that level", func(t *testing.T) {
		on := alice.Visit("/device/settings")
		alice.RemoveLast(alice.Send(on, "/device/settings", "remove-passkey", "id", on.One(t, `name="id" value="([^"]+)"`)))
		alice.Send(on, "/device/settings", "sign-out")
		alice.SignIn("alice")
		w.Clock.Advance(2 * time.Minute) // changes are limited
		lowered := newApp(t, w)
		if r := enrolled(lowered, code(t, alice)); r.Status != http.StatusCreated {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		level(lowered, browser.PasswordACR)
	})
}

// Covers: FD-84. With the first passkey the page asks what becomes of the applications from before, until it is answered.
func TestFD84FirstPasskeyAsks(t *testing.T) {
	t.Parallel()
	const asked, settings = "Do you know these applications?", "/device/settings"
	named := func(t *testing.T, w *fapitest.World, name string) *app {
		t.Helper()
		a := newApp(t, w)
		d := store.Device{ID: name, Subject: "sub-alice", Name: name, JKT: a.key.ID(), ACR: browser.PasswordACR, CreatedAt: w.Clock.Now()}
		if err := w.Store.AddDevice(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(time.Second)
		return a
	}
	hasNot := func(t *testing.T, p fapitest.Page) {
		t.Helper()
		if p.Status != http.StatusOK || strings.Contains(p.Body, asked) {
			t.Errorf("%d, asked: %s", p.Status, p.Body)
		}
	}
	t.Run("accepts keeping, at the level of a password", func(t *testing.T) {
		w, c := fapitest.NewDeviceWorld(t)
		a := named(t, w, "Old app")
		alice := w.DeviceBrowser(t)
		alice.SignIn("alice")
		hasNot(t, alice.Visit(settings))
		on := alice.AddPasskey()
		on.Has(t, http.StatusOK, asked, "Old app", "counts for no more", "Sign out, and in again with your passkey")
		alice.Visit("/device").Has(t, http.StatusOK, "Keep or remove them")
		alice.Send(on, settings, "keep-devices").Has(t, http.StatusOK, "Sign in again first", asked)
		on = alice.SignInByPasskeyAgain(settings)
		on.Has(t, http.StatusOK, asked, `id="keep-devices"`, `id="remove-devices"`)
		alice.Send(on, settings, "keep-devices").Has(t, http.StatusOK, "The applications are kept", "Old app")
		hasNot(t, alice.Visit(settings))
		if home := alice.Visit("/device"); strings.Contains(home.Body, "Keep or remove them") {
			t.Error("the first page asks again")
		}
		named(t, w, "New app")
		hasNot(t, alice.Visit(settings))

		one := a.get("/requests/" + fapitest.Reference(c.AuthReqID(nil)))
		refused(t, a.post(one.Text("approve"), byFinger), http.StatusForbidden, "access_denied")
		if r := a.post(one.Text("approve"), url.Values{"amr": {"pwd"}}); r.Status != http.StatusOK {
			t.Errorf("as a password: %d %s", r.Status, r.Raw)
		}

		// A passkey that takes the place of the only one is a first one again.
		on = alice.Visit(settings)
		alice.RemoveLast(alice.Send(on, settings, "remove-passkey", "id", on.One(t, `name="id" value="([^"]+)"`)))
		alice.Send(on, settings, "sign-out")
		alice.SignIn("alice")
		w.Clock.Advance(time.Second)
		hasNot(t, alice.Visit(settings))
		alice.AddPasskey().Has(t, http.StatusOK, asked, "Old app", "New app")
	})
	t.Run("accepts removing: they decide nothing any more", func(t *testing.T) {
		w, c := fapitest.NewDeviceWorld(t)
		first, second := named(t, w, "Old app"), named(t, w, "Older app")
		alice := w.PasskeyOwner(t, "alice")
		w.Clock.Advance(time.Second)
		later := named(t, w, "Later app")
		on := alice.SignInByPasskeyAgain(settings)
		alice.Send(on, settings, "remove-devices").Has(t, http.StatusOK, "The applications are removed", "Later app")
		id := fapitest.Reference(c.AuthReqID(nil))
		for _, a := range []*app{first, second} {
			refused(t, a.get("/requests/"+id), http.StatusUnauthorized, "invalid_token")
		}
		if r := later.get("/requests/" + id); r.Text("state") != "waiting" {
			t.Errorf("the other: %d %s", r.Status, r.Raw)
		}
	})
	t.Run("refuses to ask who has none, or had a passkey before", func(t *testing.T) {
		w, _ := fapitest.NewDeviceWorld(t)
		alice := w.PasskeyOwner(t, "alice")
		hasNot(t, alice.Visit(settings))
		alice.SignInByPasskeyAgain(settings)
		w.Clock.Advance(time.Second)
		if r := newApp(t, w).post(w.Issuer+"/device/api/enrol", url.Values{"code": {code(t, alice)}, "name": {"App"}}); r.Status != http.StatusCreated {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		alice.AddPasskey().Has(t, http.StatusOK, "The passkey is added", "added under a passkey")
		hasNot(t, alice.Visit(settings))
	})
}

// Covers: FD-85. What is no application claims nothing: a browser that gets notifications has no part in a decision, and the
// page says what was proven for it, whatever the session says.
func TestFD85OnlyWhatWasProven(t *testing.T) {
	t.Parallel()
	w, c := fapitest.NewDeviceWorld(t)
	alice := w.DeviceBrowser(t)
	alice.SignIn("alice")
	t.Run("accepts a password at the page, as a password, whatever the form claims", func(t *testing.T) {
		authReqID := c.AuthReqID(nil)
		path := "/device/requests/" + fapitest.Reference(authReqID)
		alice.Send(alice.Visit(path), path, "approve", "password", "right", "acr", browser.PasskeyACR, "amr", "hwk mfa").
			Has(t, http.StatusOK, "This was approved")
		wantToken(t, w, c, authReqID, url.Values{"acr": {browser.PasswordACR}, "amr": {"pwd"}})
	})
	t.Run("refuses a subscription of notifications as an application", func(t *testing.T) {
		a := newApp(t, w)
		err := w.Store.PutSubscription(t.Context(), store.Subscription{
			ID: store.DigestOf("push"), Subject: "sub-alice", Endpoint: "https://push.example/1", KeyID: a.key.ID(), CreatedAt: w.Clock.Now(),
		})
		if err != nil {
			t.Fatal(err)
		}
		refused(t, a.get("/requests"), http.StatusUnauthorized, "invalid_token")
	})
	t.Run("refuses the password in a session of a password, once there is a passkey", func(t *testing.T) {
		path := "/device/requests/" + fapitest.Reference(c.AuthReqID(nil))
		on := alice.Visit(path) // shown before the passkey was there
		alice.AddPasskey()
		alice.Send(on, path, "approve", "password", "right").Has(t, http.StatusOK, "Nothing was decided")
	})
}
