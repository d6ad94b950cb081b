package fapi_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi"
	"countersign/store"
)

// TestDeviceDecides: a person sees who asks for what, and approves with a passkey; the client gets tokens that say so.
func TestDeviceDecides(t *testing.T) {
	w, c := newDeviceWorld(t)
	alice := w.owner(t, "alice")
	alice.visit("/device").has(t, http.StatusOK, "Nothing waits for you")
	authReqID := c.asked(func(form url.Values, _ http.Header) { form.Set("binding_message", "OSLO 4711") })
	id := fapi.BackchannelReference(authReqID)
	alice.visit("/device").has(t, http.StatusOK, "One request waits", "Example asker", "OSLO 4711", "/device/requests/"+id)
	alice.visit("/device/requests/"+id).has(t, http.StatusOK, "OSLO 4711", "asker", "See your accounts", "Did you ask for this?")
	if r := c.fetch(authReqID, nil); r.text("error") != "authorization_pending" {
		t.Fatalf("before the decision: %s", r.raw)
	}
	w.clock.Advance(10 * time.Second)
	alice.decide(id, "approve").has(t, http.StatusOK, "This was approved")
	r := c.fetch(authReqID, nil)
	if r.status != http.StatusOK {
		t.Fatalf("after approving: %d %s", r.status, r.raw)
	}
	var idToken map[string]any
	if err := json.Unmarshal(payload(t, r.text("id_token")), &idToken); err != nil {
		t.Fatal(err)
	}
	if idToken["acr"] != fapi.PasskeyACR || idToken["sub"] != "sub-alice" {
		t.Errorf("the ID token says %v", idToken)
	}
	if amr, _ := json.Marshal(idToken["amr"]); string(amr) != `["hwk","user","mfa"]` {
		t.Errorf("amr is %s", amr)
	}

	authReqID = c.asked(nil)
	id = fapi.BackchannelReference(authReqID)
	alice.decide(id, "deny").has(t, http.StatusOK, "This was denied")
	if r := c.fetch(authReqID, nil); r.text("error") != "access_denied" {
		t.Errorf("after denying: %s", r.raw)
	}
	on := alice.visit("/device/requests/" + id)
	if strings.Contains(on.body, `id="approve"`) {
		t.Error("a decided request can be decided")
	}
}

// TestDeviceSignsWhatIsSeen: the passkey's answer counts for one decision about one request, by one person in one
// browser, once.
func TestDeviceSignsWhatIsSeen(t *testing.T) {
	w, c := newDeviceWorld(t)
	alice, bob := w.owner(t, "alice"), w.owner(t, "bob")
	first, second := fapi.BackchannelReference(c.asked(nil)), fapi.BackchannelReference(c.asked(nil))
	path := "/device/requests/" + first
	waiting := func(name string) {
		t.Helper()
		alice.visit(path).has(t, http.StatusOK, "Did you ask for this?")
		if t.Failed() {
			t.Fatalf("%s decided", name)
		}
	}
	on := alice.visit(path)
	refused := func(name, action, answer string) {
		t.Helper()
		alice.send(on, path, action, "passkey", answer).has(t, http.StatusOK, "Nothing was decided")
		waiting(name)
	}
	refused("the answer for denying", "approve", alice.passkey.Get(t, on.options(t, "deny")))
	refused("the answer for another request", "approve", alice.passkey.Get(t, alice.visit("/device/requests/"+second).options(t, "approve")))
	refused("another person's passkey", "approve", bob.passkey.Get(t, on.options(t, "approve")))
	alice.send(on, path, "approve", "password", "right").has(t, http.StatusOK, "Nothing was decided")
	waiting("a password, of somebody with a passkey")

	w.clock.Advance(10 * time.Minute) // the brake on refusals lets go; the requests are over
	first = fapi.BackchannelReference(c.asked(nil))
	path = "/device/requests/" + first
	another := w.holder(t)
	another.passkey = alice.passkey
	another.signInByPasskey(path)
	elsewhere := another.visit(path)
	on = alice.visit(path)
	refused("the answer of another browser", "approve", alice.passkey.Get(t, elsewhere.options(t, "approve")))

	bob.visit(path).has(t, http.StatusNotFound)
	answer := alice.passkey.Get(t, on.options(t, "approve"))
	alice.send(on, path, "approve", "passkey", answer).has(t, http.StatusOK, "This was approved")
	alice.send(on, path, "approve", "passkey", answer).has(t, http.StatusOK, "This was approved") // a page loaded again
	alice.send(on, path, "deny", "passkey", alice.passkey.Get(t, on.options(t, "deny"))).has(t, http.StatusOK, "This was approved")
}

// TestDeviceWithoutPasskey: the password stands in, for either decision, and not where a passkey is asked for.
func TestDeviceWithoutPasskey(t *testing.T) {
	w, c := newDeviceWorld(t)
	alice := w.holder(t)
	alice.signIn("alice")
	authReqID := c.asked(nil)
	path := "/device/requests/" + fapi.BackchannelReference(authReqID)
	on := alice.visit(path)
	alice.send(on, path, "approve", "password", "wrong").has(t, http.StatusOK, "Nothing was decided: the password is not right")
	alice.send(on, path, "approve").has(t, http.StatusOK, "Nothing was decided")
	alice.send(on, path, "approve", "password", "right").has(t, http.StatusOK, "This was approved")

	authReqID = c.asked(func(form url.Values, _ http.Header) { form.Set("acr_values", fapi.PasskeyACR) })
	path = "/device/requests/" + fapi.BackchannelReference(authReqID)
	on = alice.visit(path)
	alice.send(on, path, "approve", "password", "right").has(t, http.StatusForbidden)
	alice.visit(path).has(t, http.StatusOK, "Did you ask for this?")
	alice.send(on, path, "deny", "password", "right").has(t, http.StatusOK, "This was denied")
}

// TestDeviceRefusesMany: guessing a password for a decision, and deciding without end, are braked.
func TestDeviceRefusesMany(t *testing.T) {
	w, c := newDeviceWorld(t)
	alice := w.holder(t)
	alice.signIn("alice")
	path := "/device/requests/" + fapi.BackchannelReference(c.asked(nil))
	on := alice.visit(path)
	for range 5 {
		alice.send(on, path, "approve", "password", "wrong").has(t, http.StatusOK)
	}
	alice.send(on, path, "approve", "password", "wrong").has(t, http.StatusTooManyRequests)
	w.clock.Advance(time.Minute)
	alice.send(on, path, "approve", "password", "right").has(t, http.StatusOK, "This was approved")
	for range 29 {
		path = "/device/requests/" + fapi.BackchannelReference(c.asked(nil))
		alice.send(on, path, "approve", "password", "right").has(t, http.StatusOK, "This was approved")
	}
	path = "/device/requests/" + fapi.BackchannelReference(c.asked(nil))
	alice.send(on, path, "approve", "password", "right").has(t, http.StatusTooManyRequests)
	alice.visit(path).has(t, http.StatusOK, "Did you ask for this?")
}

// TestDeviceTwoPeopleOneBrowser: what was shown to one person cannot be decided by the next.
func TestDeviceTwoPeopleOneBrowser(t *testing.T) {
	w, c := newDeviceWorld(t)
	shared := w.holder(t)
	shared.signIn("alice")
	path := "/device/requests/" + fapi.BackchannelReference(c.asked(nil))
	old := shared.visit(path)
	shared.send(old, path, "sign-out").has(t, http.StatusOK, "Sign in")
	shared.signIn("bob").has(t, http.StatusOK, "bob")
	shared.send(old, path, "approve", "password", "right").has(t, http.StatusForbidden, "Nothing was done")
	shared.visit(path).has(t, http.StatusNotFound)
	alice := w.holder(t)
	alice.signIn("alice")
	alice.visit(path).has(t, http.StatusOK, "Did you ask for this?")
}

// TestDeviceForms: a form without its token, or from another site, does nothing.
func TestDeviceForms(t *testing.T) {
	w, _ := newDeviceWorld(t)
	alice := w.holder(t)
	on := alice.visit("/device")
	on.body = `name="form_token" value="invented"`
	alice.send(on, "/device", "sign-in", "username", "alice", "password", "right").has(t, http.StatusForbidden)
	alice.signIn("alice")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.issuer+"/device/settings", strings.NewReader("action=code"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Sec-Fetch-Site", "cross-site")
	alice.read(alice.http.Do(request)).has(t, http.StatusForbidden)
	alice.send(alice.visit("/device/settings"), "/device/settings", "").has(t, http.StatusBadRequest)
}

// TestDeviceSettings: whoever has a passkey changes what he confirms with only after using one.
func TestDeviceSettings(t *testing.T) {
	w, _ := newDeviceWorld(t)
	alice := w.owner(t, "alice")
	key := alice.passkey
	// Her password alone, in another browser.
	thief := w.holder(t)
	thief.signIn("alice")
	on := thief.visit("/device/settings")
	on.has(t, http.StatusOK, "sign out and in again with a passkey")
	for _, action := range []string{"add-passkey", "remove-passkey", "remove-device", "code"} {
		thief.send(on, "/device/settings", action, "name", "Mine", "id", "AAAA", "passkey", "{}").has(t, http.StatusOK, "Sign in again first")
	}
	if have, err := w.store.Passkeys(t.Context(), "sub-alice"); err != nil || len(have) != 1 {
		t.Fatalf("passkeys: %v, %v", have, err)
	}

	alice.signInByPasskeyAgain("/device/settings").has(t, http.StatusOK, "Phone", "on one device only")
	on = alice.addPasskey()
	on.has(t, http.StatusOK, "The passkey is added")
	alice.send(on, "/device/settings", "add-passkey", "name", "bad\u202ename", "passkey", "{}").has(t, http.StatusOK, "This name cannot be used")
	alice.send(on, "/device/settings", "add-passkey", "name", "Phone", "passkey", "{}").has(t, http.StatusOK, "was not accepted")
	code := alice.send(on, "/device/settings", "code").one(t, `id="code" dir="ltr">([A-Z2-7 ]+)<`)
	if len(strings.ReplaceAll(code, " ", "")) != 26 {
		t.Errorf("the code is %q", code)
	}
	alice.passkey = key
	alice.send(on, "/device/settings", "remove-passkey", "id", on.one(t, `name="id" value="([^"]+)"`)).has(t, http.StatusOK, "The passkey is removed")
	if have, err := w.store.Passkeys(t.Context(), "sub-alice"); err != nil || len(have) != 1 {
		t.Errorf("after removing one: %v, %v", have, err)
	}
	w.clock.Advance(10 * time.Minute)
	alice.visit("/device/settings").has(t, http.StatusOK, "sign out and in again with a passkey")
}

// signInByPasskeyAgain signs out first.
func (p *holder) signInByPasskeyAgain(path string) page {
	p.t.Helper()
	p.send(p.visit(path), path, "sign-out")
	return p.signInByPasskey(path)
}

// TestDeviceCopiedPasskey: a counter that does not grow gives a copy away; from then on neither is taken.
func TestDeviceCopiedPasskey(t *testing.T) {
	w, _ := newDeviceWorld(t)
	alice := w.owner(t, "alice")
	alice.signInByPasskeyAgain("/device").has(t, http.StatusOK, "You are signed in as")
	alice.passkey.Step = 0
	alice.signInByPasskeyAgain("/device").has(t, http.StatusOK, "The passkey was not accepted")
	alice.passkey.Step = 10
	alice.signInByPasskey("/device").has(t, http.StatusOK, "The passkey was not accepted")
	if !strings.Contains(w.logs.String(), "there is a copy of it") {
		t.Error("the log does not tell of the copy")
	}
	passkeys, err := w.store.Passkeys(t.Context(), "sub-alice")
	if err != nil || len(passkeys) != 1 || passkeys[0].ClonedAt.IsZero() {
		t.Errorf("stored: %+v, %v", passkeys, err)
	}
}

// Covers: CI-13. TestDeviceDisabledPerson: who is disabled is signed out, and cannot come back.
func TestDeviceDisabledPerson(t *testing.T) {
	w, c := newDeviceWorld(t)
	alice := w.owner(t, "alice")
	id := fapi.BackchannelReference(c.asked(nil))
	on := alice.visit("/device/requests/" + id)
	answer := alice.passkey.Get(t, on.options(t, "approve"))
	w.putUser("alice", true)
	alice.send(on, "/device/requests/"+id, "approve", "passkey", answer).has(t, http.StatusForbidden)
	alice.visit("/device").has(t, http.StatusOK, "Sign in to see")
	alice.signInByPasskey("/device").has(t, http.StatusOK, "The passkey was not accepted")
	record, err := w.store.BackchannelRequest(t.Context(), store.DigestOf("unknown"))
	if err == nil {
		t.Errorf("an unknown request is %v", record)
	}
	w.putUser("alice", false)
	alice.visit("/device/requests/"+id).has(t, http.StatusOK, "Did you ask for this?")
}

// TestSignInWithPasskey: the sign-in of an application takes a passkey too, once, in its own browser, and a request for
// that class of authentication is met by it.
func TestSignInWithPasskey(t *testing.T) {
	w, _ := newDeviceWorld(t)
	alice := w.owner(t, "alice")
	alice.send(alice.visit("/device"), "/device", "sign-out")
	app := w.register("app", nil)
	address := w.authorizeURL("app", app.push(nil).text("request_uri"))
	on := alice.read(alice.http.Get(address))
	on.has(t, http.StatusOK, "Sign in with a passkey")
	options := on.one(t, `data-passkey="get" data-options="([^"]*)"`)
	other := w.holder(t)
	foreign := other.read(other.http.Get(w.authorizeURL("app", app.push(nil).text("request_uri"))))
	alice.send(on, on.where, "passkey", "passkey", alice.passkey.Get(t, foreign.one(t, `data-passkey="get" data-options="([^"]*)"`))).
		has(t, http.StatusOK, "The passkey was not accepted")
	alice.send(on, on.where, "passkey", "passkey", "{}").has(t, http.StatusOK, "The passkey was not accepted")
	alice.send(on, on.where, "passkey", "passkey", alice.passkey.Get(t, options)).has(t, http.StatusOK, "Allow access?", "alice")
	discovery := w.holder(t).visit("/.well-known/openid-configuration")
	if !strings.Contains(discovery.body, `"acr_values_supported":["`+fapi.PasskeyACR+`","urn:countersign:acr:password"]`) {
		t.Errorf("the metadata: %s", discovery.body)
	}
}

// TestStepUp: a request that only a passkey meets sends somebody who signed in with a password back to sign in.
func TestStepUp(t *testing.T) {
	w, _ := newDeviceWorld(t)
	alice := w.owner(t, "alice")
	alice.send(alice.visit("/device"), "/device", "sign-out")
	alice.signIn("alice")
	app := w.register("app", nil)
	pushed := app.push(func(form url.Values, _ http.Header) {
		form.Set("claims", `{"id_token":{"acr":{"essential":true,"value":"`+fapi.PasskeyACR+`"}}}`)
	})
	on := alice.read(alice.http.Get(w.authorizeURL("app", pushed.text("request_uri"))))
	on.has(t, http.StatusOK, "with a passkey, and with nothing else")
	options := on.one(t, `data-passkey="get" data-options="([^"]*)"`)
	alice.send(on, on.where, "passkey", "passkey", alice.passkey.Get(t, options)).has(t, http.StatusOK, "Allow access?")
}

// TestDeviceWithoutBackchannel: where nobody is asked anything, people keep their passkeys and there is nothing else.
func TestDeviceWithoutBackchannel(t *testing.T) {
	w := newWorld(t, withDevices, func(c *fapiConfig, _ *autoInteractor) { c.Backchannel = nil })
	alice := w.holder(t)
	alice.send(alice.visit("/device/settings"), "/device/settings", "sign-in", "username", "alice", "password", "right").has(t, http.StatusOK, "Passkeys")
	alice.addPasskey().has(t, http.StatusOK, "The passkey is added")
	for _, path := range []string{"/device", "/device/events", "/device/api/requests"} {
		alice.visit(path).has(t, http.StatusNotFound)
	}
}
