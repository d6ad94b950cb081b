package authorize_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign/fapi/browser"
	"countersign/fapi/fapitest"
)

// TestSignInWithPasskey: the sign-in of an application takes a passkey too, once, in its own browser, and a request for
// that class of authentication is met by it.
func TestSignInWithPasskey(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewDeviceWorld(t)
	alice := w.PasskeyOwner(t, "alice")
	alice.Send(alice.Visit("/device"), "/device", "sign-out")
	app := w.Register("app", nil)
	address := w.AuthorizeURL("app", app.Push(nil).Text("request_uri"))
	on := alice.Read(alice.HTTP.Get(address))
	on.Has(t, http.StatusOK, "Sign in with a passkey")
	options := on.One(t, `data-passkey="get" data-options="([^"]*)"`)
	other := w.DeviceBrowser(t)
	foreign := other.Read(other.HTTP.Get(w.AuthorizeURL("app", app.Push(nil).Text("request_uri"))))
	alice.Send(on, on.Path, "passkey", "passkey", alice.Passkey.Get(t, foreign.One(t, `data-passkey="get" data-options="([^"]*)"`))).
		Has(t, http.StatusOK, "The passkey was not accepted")
	alice.Send(on, on.Path, "passkey", "passkey", "{}").Has(t, http.StatusOK, "The passkey was not accepted")
	alice.Send(on, on.Path, "passkey", "passkey", alice.Passkey.Get(t, options)).Has(t, http.StatusOK, "Allow access for", "alice")
	discovery := w.DeviceBrowser(t).Visit("/.well-known/openid-configuration")
	if !strings.Contains(discovery.Body, `"acr_values_supported":["`+browser.PasskeyACR+`","urn:countersign:acr:password"]`) {
		t.Errorf("the metadata: %s", discovery.Body)
	}
}

// TestStepUp: a request that only a passkey meets sends somebody who signed in with a password back to sign in.
func TestStepUp(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewDeviceWorld(t)
	alice := w.PasskeyOwner(t, "alice")
	alice.Send(alice.Visit("/device"), "/device", "sign-out")
	alice.SignIn("alice")
	app := w.Register("app", nil)
	pushed := app.Push(func(form url.Values, _ http.Header) {
		form.Set("claims", `{"id_token":{"acr":{"essential":true,"value":"`+browser.PasskeyACR+`"}}}`)
	})
	on := alice.Read(alice.HTTP.Get(w.AuthorizeURL("app", pushed.Text("request_uri"))))
	on.Has(t, http.StatusOK, "with a passkey, and with nothing else")
	options := on.One(t, `data-passkey="get" data-options="([^"]*)"`)
	alice.Send(on, on.Path, "passkey", "passkey", alice.Passkey.Get(t, options)).Has(t, http.StatusOK, "Allow access for")
}
