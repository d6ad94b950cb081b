package main

import (
	"strings"
	"testing"

	"countersign/internal/browsertest"
)

// addPasskey signs a person in with a password at the device's settings and gives the browser a passkey.
func (i *installation) addPasskey(b *browsertest.Browser, username string) {
	i.t.Helper()
	b.Passkeys()
	b.Visit("https://" + i.address + "/device/settings")
	b.SignIn(username, i.password())
	b.Type("#name", username+"'s browser")
	b.Click("#add-passkey")
	if text := b.Text("main"); !strings.Contains(text, "The passkey is added") || !strings.Contains(text, username+"'s browser") {
		i.t.Fatalf("after adding a passkey: %q", text)
	}
}

// TestPasskeys: a person makes a passkey, and signs in with it on the device's pages and to an application.
func TestPasskeys(t *testing.T) {
	i := newInstallation(t)
	i.serve()
	b := i.browser()
	i.addPasskey(b, "alice")
	b.CheckAccessibility()
	b.Click("#sign-out")
	b.CheckAccessibility()
	b.Click("#passkey")
	if text := b.Text("main"); !strings.Contains(text, "You are signed in as alice") {
		t.Errorf("after signing in with a passkey: %q", text)
	}
	if text := b.Text("main"); !strings.Contains(text, "last used on") {
		t.Errorf("the use is not shown: %q", text)
	}
	b.Click("#sign-out")
	b.Done()

	demo := i.demo()
	b.Visit(demo.address())
	b.CheckAccessibility()
	b.Click("#passkey")
	if text := b.Text("main"); !strings.Contains(text, "alice") || !strings.Contains(text, "Allow access?") {
		t.Fatalf("signing in to an application with a passkey: %q", text)
	}
	b.Click("#allow")
	b.Done()
	if output, code := demo.ended(); code != 0 || !strings.Contains(output, "urn:countersign:acr:passkey") {
		t.Errorf("the demo ended with %d:\n%s", code, output)
	}
}
