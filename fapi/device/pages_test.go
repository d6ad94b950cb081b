package device_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/browser"
	"countersign/fapi/fapitest"
	"countersign/store"
)

// TestDeviceDecides: a user sees who asks for what, and approves with a passkey; the client gets tokens that say so.
func TestDeviceDecides(t *testing.T) {
	t.Parallel()
	w, c := fapitest.NewDeviceWorld(t)
	alice := w.PasskeyOwner(t, "alice")
	alice.Visit("/device").Has(t, http.StatusOK, "Nothing waits for you")
	authReqID := c.AuthReqID(func(form url.Values, _ http.Header) { form.Set("binding_message", "OSLO 4711") })
	id := fapitest.Reference(authReqID)
	alice.Visit("/device").Has(t, http.StatusOK, "1 request waits", "Example asker", "OSLO 4711", "/device/requests/"+id)
	alice.Visit("/device/requests/"+id).Has(t, http.StatusOK, "OSLO 4711", "asker", "See your accounts", "Did you ask for this?")
	if r := c.Poll(authReqID, nil); r.Text("error") != "authorization_pending" {
		t.Fatalf("before the decision: %s", r.Raw)
	}
	w.Clock.Advance(10 * time.Second)
	alice.Decide(id, "approve").Has(t, http.StatusOK, "This was approved")
	r := c.Poll(authReqID, nil)
	if r.Status != http.StatusOK {
		t.Fatalf("after approving: %d %s", r.Status, r.Raw)
	}
	var idToken map[string]any
	if err := json.Unmarshal(fapitest.Payload(t, r.Text("id_token")), &idToken); err != nil {
		t.Fatal(err)
	}
	if idToken["acr"] != browser.PasskeyACR || idToken["sub"] != "sub-alice" {
		t.Errorf("the ID token says %v", idToken)
	}
	if amr, _ := json.Marshal(idToken["amr"]); string(amr) != `["hwk","user","mfa"]` {
		t.Errorf("amr is %s", amr)
	}

	authReqID = c.AuthReqID(nil)
	id = fapitest.Reference(authReqID)
	alice.Decide(id, "deny").Has(t, http.StatusOK, "This was denied")
	if r := c.Poll(authReqID, nil); r.Text("error") != "access_denied" {
		t.Errorf("after denying: %s", r.Raw)
	}
	on := alice.Visit("/device/requests/" + id)
	if strings.Contains(on.Body, `id="approve"`) {
		t.Error("a decided request can be decided")
	}
}

// TestDeviceSignsWhatIsSeen: the passkey's answer counts for one decision about one request, by one user in one
// browser, once.
func TestDeviceSignsWhatIsSeen(t *testing.T) {
	t.Parallel()
	w, c := fapitest.NewDeviceWorld(t)
	alice, bob := w.PasskeyOwner(t, "alice"), w.PasskeyOwner(t, "bob")
	first, second := fapitest.Reference(c.AuthReqID(nil)), fapitest.Reference(c.AuthReqID(nil))
	path := "/device/requests/" + first
	waiting := func(name string) {
		t.Helper()
		alice.Visit(path).Has(t, http.StatusOK, "Did you ask for this?")
		if t.Failed() {
			t.Fatalf("%s decided", name)
		}
	}
	on := alice.Visit(path)
	refused := func(name, action, answer string) {
		t.Helper()
		alice.Send(on, path, action, "passkey", answer).Has(t, http.StatusOK, "Nothing was decided")
		waiting(name)
	}
	refused("the answer for another request", "approve", alice.Passkey.Get(t, alice.Visit("/device/requests/"+second).Options(t, "approve")))
	refused("another person's passkey", "approve", bob.Passkey.Get(t, on.Options(t, "approve")))
	alice.Send(on, path, "approve", "password", "right").Has(t, http.StatusOK, "Nothing was decided")
	waiting("a password, of somebody with a passkey")

	w.Clock.Advance(10 * time.Minute) // the limit of refusals lets go; the requests are over
	first = fapitest.Reference(c.AuthReqID(nil))
	path = "/device/requests/" + first
	another := w.DeviceBrowser(t)
	another.Passkey = alice.Passkey
	another.SignInByPasskey(path)
	elsewhere := another.Visit(path)
	on = alice.Visit(path)
	refused("the answer of another browser", "approve", alice.Passkey.Get(t, elsewhere.Options(t, "approve")))

	bob.Visit(path).Has(t, http.StatusNotFound)
	answer := alice.Passkey.Get(t, on.Options(t, "approve"))
	alice.Send(on, path, "approve", "passkey", answer).Has(t, http.StatusOK, "This was approved")
	alice.Send(on, path, "approve", "passkey", answer).Has(t, http.StatusOK, "This was approved") // a page loaded again
	alice.Send(on, path, "deny").Has(t, http.StatusOK, "This was approved")
}

// Covers: FD-134. TestDeviceWithoutPasskey: the password stands in to approve, denying needs nothing, and a password not where a passkey is asked for.
func TestDeviceWithoutPasskey(t *testing.T) {
	t.Parallel()
	w, c := fapitest.NewDeviceWorld(t)
	alice := w.DeviceBrowser(t)
	alice.SignIn("alice")
	authReqID := c.AuthReqID(nil)
	path := "/device/requests/" + fapitest.Reference(authReqID)
	on := alice.Visit(path)
	alice.Send(on, path, "approve", "password", "wrong").Has(t, http.StatusOK, "Nothing was decided: the password is not right")
	alice.Send(on, path, "approve").Has(t, http.StatusOK, "Nothing was decided")
	alice.Send(on, path, "approve", "password", "right").Has(t, http.StatusOK, "This was approved")

	authReqID = c.AuthReqID(func(form url.Values, _ http.Header) { form.Set("acr_values", browser.PasskeyACR) })
	path = "/device/requests/" + fapitest.Reference(authReqID)
	on = alice.Visit(path)
	alice.Send(on, path, "approve", "password", "right").Has(t, http.StatusForbidden)
	alice.Visit(path).Has(t, http.StatusOK, "Did you ask for this?")
	alice.Send(on, path, "deny").Has(t, http.StatusOK, "This was denied")
}

// TestDeviceRefusesMany: guessing a password for a decision, and deciding without end, are limited.
func TestDeviceRefusesMany(t *testing.T) {
	t.Parallel()
	w, c := fapitest.NewDeviceWorld(t)
	alice := w.DeviceBrowser(t)
	alice.SignIn("alice")
	path := "/device/requests/" + fapitest.Reference(c.AuthReqID(nil))
	on := alice.Visit(path)
	for range 5 {
		alice.Send(on, path, "approve", "password", "wrong").Has(t, http.StatusOK)
	}
	alice.Send(on, path, "approve", "password", "wrong").Has(t, http.StatusTooManyRequests)
	w.Clock.Advance(time.Minute)
	alice.Send(on, path, "approve", "password", "right").Has(t, http.StatusOK, "This was approved")
	for range 29 {
		path = "/device/requests/" + fapitest.Reference(c.AuthReqID(nil))
		alice.Send(alice.Visit(path), path, "approve", "password", "right").Has(t, http.StatusOK, "This was approved")
	}
	path = "/device/requests/" + fapitest.Reference(c.AuthReqID(nil))
	alice.Send(alice.Visit(path), path, "approve", "password", "right").Has(t, http.StatusTooManyRequests)
	alice.Visit(path).Has(t, http.StatusOK, "Did you ask for this?")
}

// TestDeviceTwoPeopleOneBrowser: what was shown to one user cannot be decided by the next.
func TestDeviceTwoPeopleOneBrowser(t *testing.T) {
	t.Parallel()
	w, c := fapitest.NewDeviceWorld(t)
	shared := w.DeviceBrowser(t)
	shared.SignIn("alice")
	path := "/device/requests/" + fapitest.Reference(c.AuthReqID(nil))
	old := shared.Visit(path)
	shared.Send(old, path, "sign-out").Has(t, http.StatusOK, "Sign in")
	shared.SignIn("bob").Has(t, http.StatusOK, "bob")
	shared.Send(old, path, "approve", "password", "right").Has(t, http.StatusForbidden, "Nothing was done")
	shared.Visit(path).Has(t, http.StatusNotFound)
	alice := w.DeviceBrowser(t)
	alice.SignIn("alice")
	alice.Visit(path).Has(t, http.StatusOK, "Did you ask for this?")
}

// TestDeviceForms: a form without its token, or from another site, does nothing.
func TestDeviceForms(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewDeviceWorld(t)
	alice := w.DeviceBrowser(t)
	on := alice.Visit("/device")
	on.Body = `name="form_token" value="invented"`
	alice.Send(on, "/device", "sign-in", "username", "alice", "password", "right").Has(t, http.StatusForbidden)
	alice.SignIn("alice")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.Issuer+"/device/settings", strings.NewReader("action=code"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Sec-Fetch-Site", "cross-site")
	alice.Read(alice.HTTP.Do(request)).Has(t, http.StatusForbidden)
	alice.Send(alice.Visit("/device/settings"), "/device/settings", "").Has(t, http.StatusBadRequest)
}

// TestDeviceSettings: whoever has a passkey changes what he confirms with only after using one.
func TestDeviceSettings(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewDeviceWorld(t)
	alice := w.PasskeyOwner(t, "alice")
	key := alice.Passkey
	// Her password alone, in another browser.
	thief := w.DeviceBrowser(t)
	thief.SignIn("alice")
	on := thief.Visit("/device/settings")
	on.Has(t, http.StatusOK, "sign out and in again with a passkey")
	for _, action := range []string{"add-passkey", "remove-passkey", "remove-device", "code"} {
		thief.Send(on, "/device/settings", action, "name", "Mine", "id", "AAAA", "passkey", "{}").Has(t, http.StatusOK, "Sign in again first")
	}
	if have, err := w.Store.Passkeys(t.Context(), "sub-alice"); err != nil || len(have) != 1 {
		t.Fatalf("passkeys: %v, %v", have, err)
	}

	alice.SignInByPasskeyAgain("/device/settings").Has(t, http.StatusOK, "Phone", "on one device only")
	on = alice.AddPasskey()
	on.Has(t, http.StatusOK, "The passkey is added")
	alice.Send(on, "/device/settings", "add-passkey", "name", "bad\u202ename", "passkey", "{}").Has(t, http.StatusOK, "This name cannot be used")
	alice.Send(on, "/device/settings", "add-passkey", "name", "Phone", "passkey", "{}").Has(t, http.StatusOK, "was not accepted")
	code := alice.Send(on, "/device/settings", "code").One(t, `id="code" dir="ltr">([A-Z2-7 ]+)<`)
	if len(strings.ReplaceAll(code, " ", "")) != 26 {
		t.Errorf("the code is %q", code)
	}
	alice.Passkey = key
	alice.Send(on, "/device/settings", "remove-passkey", "id", on.One(t, `name="id" value="([^"]+)"`)).Has(t, http.StatusOK, "The passkey is removed")
	if have, err := w.Store.Passkeys(t.Context(), "sub-alice"); err != nil || len(have) != 1 {
		t.Errorf("after removing one: %v, %v", have, err)
	}
	w.Clock.Advance(10 * time.Minute)
	alice.Visit("/device/settings").Has(t, http.StatusOK, "sign out and in again with a passkey")
}

// TestDeviceCopiedPasskey: a counter that does not grow gives a copy away; from then on neither is taken.
func TestDeviceCopiedPasskey(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewDeviceWorld(t)
	alice := w.PasskeyOwner(t, "alice")
	alice.SignInByPasskeyAgain("/device").Has(t, http.StatusOK, "Signed in as")
	alice.Passkey.Step = 0
	alice.SignInByPasskeyAgain("/device").Has(t, http.StatusOK, "The passkey was not accepted")
	alice.Passkey.Step = 10
	alice.SignInByPasskey("/device").Has(t, http.StatusOK, "The passkey was not accepted")
	if !strings.Contains(w.Logs.String(), "signature counter did not increase") {
		t.Error("the log does not tell of the copy")
	}
	passkeys, err := w.Store.Passkeys(t.Context(), "sub-alice")
	if err != nil || len(passkeys) != 1 || passkeys[0].ClonedAt.IsZero() {
		t.Errorf("stored: %+v, %v", passkeys, err)
	}
}

// Covers: CI-13. TestDeviceDisabledPerson: who is disabled is signed out, and cannot come back.
func TestDeviceDisabledPerson(t *testing.T) {
	t.Parallel()
	w, c := fapitest.NewDeviceWorld(t)
	alice := w.PasskeyOwner(t, "alice")
	id := fapitest.Reference(c.AuthReqID(nil))
	on := alice.Visit("/device/requests/" + id)
	answer := alice.Passkey.Get(t, on.Options(t, "approve"))
	w.Disable("sub-alice", true)
	alice.Send(on, "/device/requests/"+id, "approve", "passkey", answer).Has(t, http.StatusForbidden)
	alice.Visit("/device").Has(t, http.StatusOK, "Sign in to see")
	alice.SignInByPasskey("/device").Has(t, http.StatusOK, "The passkey was not accepted")
	record, err := w.Store.BackchannelRequest(t.Context(), store.DigestOf("unknown"))
	if err == nil {
		t.Errorf("an unknown request is %v", record)
	}
	w.Disable("sub-alice", false)
	alice.Visit("/device/requests/"+id).Has(t, http.StatusOK, "Did you ask for this?")
}

// TestDeviceWithoutBackchannel: where nobody is asked anything, users keep their passkeys and there is nothing else.
func TestDeviceWithoutBackchannel(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithDevices, func(c *fapitest.Config) { c.Backchannel = nil })
	alice := w.DeviceBrowser(t)
	alice.Send(alice.Visit("/device/settings"), "/device/settings", "sign-in", "username", "alice", "password", "right").Has(t, http.StatusOK, "Passkeys")
	alice.AddPasskey().Has(t, http.StatusOK, "The passkey is added")
	for _, path := range []string{"/device", "/device/events", "/device/api/requests"} {
		alice.Visit(path).Has(t, http.StatusNotFound)
	}
}

// Covers: FD-04. A form decides about what its page showed, also with a password.
func TestFD04DevicePage(t *testing.T) {
	t.Parallel()
	w, c := fapitest.NewDeviceWorld(t)
	alice := w.DeviceBrowser(t)
	alice.SignIn("alice")
	path := "/device/requests/" + fapitest.Reference(c.AuthReqID(nil))
	on := alice.Visit(path)
	w.ChangeMember(c, "client_name", "Evil Corp")
	t.Run("refuses a page that showed another client", func(t *testing.T) {
		on = alice.Send(on, path, "approve", "password", "right")
		on.Has(t, http.StatusOK, "Nothing was decided: the request has changed", "Evil Corp")
	})
	t.Run("accepts the page that shows it as it is", func(t *testing.T) {
		alice.Send(on, path, "approve", "password", "right").Has(t, http.StatusOK, "This was approved")
	})
}

// Covers: FD-134. TestDeviceLastPasskey: the last passkey goes only after a page that says what then, and once it was used
// for that in this browser.
func TestDeviceLastPasskey(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewDeviceWorld(t)
	const path = "/device/settings"
	alice := w.PasskeyOwner(t, "alice")
	first := alice.Passkey
	left := func(want int) {
		t.Helper()
		if have, err := w.Store.Passkeys(t.Context(), "sub-alice"); err != nil || len(have) != want {
			t.Errorf("%d passkeys are left (%v), want %d", len(have), err, want)
		}
	}
	alice.SignInByPasskeyAgain(path)
	on := alice.Visit(path)
	id := on.One(t, `name="id" value="([^"]+)"`)
	asked := alice.Send(on, path, "remove-passkey", "id", id)
	asked.Has(t, http.StatusOK, "Remove your last passkey?", "Whoever knows your password can then sign in as you", "Phone")
	left(1)
	options := asked.One(t, `data-passkey="get" data-options="([^"]*)"`)

	for name, answer := range map[string]string{
		"refuses no answer":                   "",
		"refuses the answer to other options": alice.Passkey.Get(t, w.DeviceBrowser(t).Visit("/device").One(t, `data-passkey="get" data-options="([^"]*)"`)),
	} {
		t.Run(name, func(t *testing.T) {
			alice.Send(asked, path, "remove-last", "id", id, "passkey", answer).Has(t, http.StatusOK, "Nothing was removed", "Remove your last passkey?")
			left(1)
		})
	}
	t.Run("refuses a thief with the password", func(t *testing.T) {
		thief := w.DeviceBrowser(t)
		thief.SignIn("alice")
		stolen := thief.Visit(path)
		thief.Send(stolen, path, "remove-passkey", "id", id).Has(t, http.StatusOK, "Sign in again first")
		thief.Send(stolen, path, "remove-last", "id", id, "passkey", first.Get(t, options)).Has(t, http.StatusOK, "Sign in again first")
		left(1)
	})
	w.Clock.Advance(2 * time.Minute) // the limit of changes lets go a little
	t.Run("accepts that another was added meanwhile", func(t *testing.T) {
		alice.AddPasskey().Has(t, http.StatusOK, "The passkey is added")
		second := alice.Passkey
		alice.Passkey = first
		alice.RemoveLast(asked).Has(t, http.StatusOK, "Passkeys and applications")
		left(2)
		on := alice.Visit(path)
		alice.Send(on, path, "remove-passkey", "id", id).Has(t, http.StatusOK, "The passkey is removed")
		left(1)
		alice.Passkey = second
	})
	w.Clock.Advance(2 * time.Minute)
	t.Run("accepts the last one, used for it", func(t *testing.T) {
		on := alice.Visit(path)
		asked := alice.Send(on, path, "remove-passkey", "id", on.One(t, `name="id" value="([^"]+)"`))
		alice.RemoveLast(asked).Has(t, http.StatusOK, "The passkey is removed", "You have none yet")
		left(0)
	})
}
