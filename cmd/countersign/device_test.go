package main

import (
	"encoding/base64"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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
	if text := b.Text("main"); !strings.Contains(text, "Signed in as alice") {
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
	if text := b.Text("main"); !strings.Contains(text, "alice") || !strings.Contains(text, "Allow access for") {
		t.Fatalf("signing in to an application with a passkey: %q", text)
	}
	b.Click("#allow")
	b.Done()
	if output, code := demo.ended(); code != 0 || !strings.Contains(output, "urn:countersign:acr:passkey") {
		t.Errorf("the demo ended with %d:\n%s", code, output)
	}
}

const payment = `[{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":"123.50"},"creditorName":"Merchant A","creditorAccount":{"iban":"DE02100100109307118603"},"remittanceInformationUnstructured":"Ref Number Merchant"}]`

// TestDeviceTwoPeople: two people at once, each in front of a browser with a passkey. Both are asked; each page shows its
// own person's request by itself; one approves, the other denies, and the client learns of both.
func TestDeviceTwoPeople(t *testing.T) {
	i := newInstallation(t)
	i.serve()
	shop := i.asker("Orchid Payments")
	alice, bob := i.browser(), i.browser()
	i.addPasskey(alice, "alice")
	i.addPasskey(bob, "bob")
	for _, b := range []*browsertest.Browser{alice, bob} {
		b.Click("#all")
		if text := b.Text("#requests"); !strings.Contains(text, "it appears here") {
			t.Errorf("before anything was asked: %q", text)
		}
		b.CheckAccessibility()
	}
	ofAlice, ofBob := shop.ask("alice", "MINT 1207", payment), shop.ask("bob", "FERN 3348", "")
	alice.AwaitText("#requests", "MINT 1207")
	bob.AwaitText("#requests", "FERN 3348")
	if text := alice.Text("body"); strings.Contains(text, "FERN 3348") {
		t.Errorf("alice sees what bob is asked: %q", text)
	}
	if text := bob.Text("body"); strings.Contains(text, "MINT 1207") {
		t.Errorf("bob sees what alice is asked: %q", text)
	}
	alice.CheckAccessibility()
	alice.Click(".requests a")
	text := alice.Text("main")
	for _, want := range []string{"Orchid Payments", "MINT 1207", "Pay", "€123.50", "Merchant A", "DE02 1001 0010 9307 1186 03", "alice"} {
		if !strings.Contains(text, want) {
			t.Errorf("alice is not shown %q: %q", want, text)
		}
	}
	alice.CheckAccessibility()
	bob.Click(".requests a")
	bob.Visit(alice.Location()) // what is alice's is nobody else's
	if text := bob.Text("main"); strings.Contains(text, "MINT 1207") || !strings.Contains(text, "Nothing was shared") {
		t.Errorf("bob at the address of alice's request: %q", text)
	}
	_ = bob.Complaints() // the page's own status 404
	bob.Visit("https://" + i.address + "/device")
	bob.Click(".requests a")

	alice.Click("#approve")
	bob.Click("#deny")
	if text := alice.Text("main"); !strings.Contains(text, "This was approved") {
		t.Errorf("alice sees %q", text)
	}
	if text := bob.Text("main"); !strings.Contains(text, "This was denied") {
		t.Errorf("bob sees %q", text)
	}
	bob.CheckAccessibility()
	alice.Done()
	bob.Done()
	status, body := shop.fetch(ofAlice)
	token, _ := body["id_token"].(string)
	if status != http.StatusOK || !strings.Contains(payloadOf(t, token), `"acr":"urn:countersign:acr:passkey"`) {
		t.Errorf("alice approved: %d %v", status, body)
	}
	if status, body := shop.fetch(ofBob); status != http.StatusBadRequest || body["error"] != "access_denied" {
		t.Errorf("bob denied: %d %v", status, body)
	}
}

// TestDeviceScreenshots draws the pages that the documentation shows. COUNTERSIGN_SCREENSHOTS names the directory to
// write them to.
func TestDeviceScreenshots(t *testing.T) {
	i := newInstallation(t)
	i.serve()
	shop := i.asker("Orchid Payments")
	b := i.browser()
	i.addPasskey(b, "alice")
	b.Click("#sign-out")
	b.Click("#passkey") // only who has used it may change anything
	save := func(name string) {
		t.Helper()
		b.CheckAccessibility()
		folder := os.Getenv("COUNTERSIGN_SCREENSHOTS")
		if folder == "" {
			folder = t.TempDir()
		}
		if err := os.WriteFile(filepath.Join(folder, name+".png"), b.Screenshot(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	home := "https://" + i.address + "/device"
	for _, look := range []struct {
		name          string
		width, height int64
		dark          bool
	}{{"390", 390, 844, false}, {"390-dark", 390, 844, true}, {"1280", 1280, 900, false}, {"1280-dark", 1280, 900, true}} {
		b.Look(look.width, look.height, look.dark)
		b.Visit(home)
		save("device-empty-" + look.name)
		shop.ask("alice", "MINT 1207", payment)
		b.AwaitText("#requests", "MINT 1207")
		save("device-home-" + look.name)
		b.Click(".requests a")
		save("device-request-" + look.name)
		b.Click("#approve")
		save("device-approved-" + look.name)
		b.Visit(home + "/settings")
		b.Click("#get-code")
		save("device-settings-" + look.name)
		b.Click("#sign-out")
		save("device-sign-in-" + look.name)
		b.Click("#passkey")
	}
	b.Look(320, 640, false)
	shop.ask("alice", strings.Repeat("W", 20), payment)
	b.Visit(home)
	b.CheckAccessibility()
	b.Click(".requests a")
	b.CheckAccessibility()
	b.Done()
}

// payloadOf is the JSON of a token's claims.
func payloadOf(t *testing.T, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no token: %q", token)
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return string(claims)
}

// TestDeviceTwoTabs: two people after each other in one browser never mix: what was shown to the one, the other cannot
// decide.
func TestDeviceTwoTabs(t *testing.T) {
	i := newInstallation(t)
	i.serve()
	shop := i.asker("Orchid Payments")
	asked := shop.ask("alice", "MINT 1207", "")
	b := i.browser()
	b.Visit("https://" + i.address + "/device")
	b.SignIn("alice", i.password())
	b.Click(".requests a")
	b.Type("#password", i.password())
	second := b.Tab()
	second.Visit("https://" + i.address + "/device")
	second.Click("#sign-out")
	second.SignIn("bob", i.password())
	if text := second.Text("main"); !strings.Contains(text, "bob") || strings.Contains(text, "MINT") {
		t.Errorf("bob sees %q", text)
	}
	// Alice's tab notices by itself: what it showed is no longer its person's.
	b.AwaitNoText("main", "MINT 1207")
	if status, body := shop.fetch(asked); body["error"] != "authorization_pending" {
		t.Errorf("nobody decided: %d %v", status, body)
	}
}

// TestDeviceWithoutScripts: everything but passkeys works with plain forms.
func TestDeviceWithoutScripts(t *testing.T) {
	i := newInstallation(t)
	i.serve()
	shop := i.asker("Orchid Payments")
	b := i.browser()
	b.Scripts(false)
	b.Visit("https://" + i.address + "/device")
	b.CheckAccessibility()
	b.SignIn("alice", i.password())
	approved, denied := shop.ask("alice", "MINT 1207", payment), ""
	b.Click("#again")
	b.CheckAccessibility()
	b.Click(".requests a")
	b.CheckAccessibility()
	b.Type("#password", "not the password")
	b.Click("#approve")
	if text := b.Text("[role=alert]"); !strings.Contains(text, "Nothing was decided") {
		t.Errorf("after a wrong password: %q", text)
	}
	b.Type("#password", i.password())
	b.Click("#approve")
	if text := b.Text("main"); !strings.Contains(text, "This was approved") {
		t.Errorf("after approving: %q", text)
	}
	denied = shop.ask("alice", "FERN 3348", "")
	b.Click("#all")
	b.Click(".requests a")
	b.Click("#deny") // with nothing typed
	if text := b.Text("main"); !strings.Contains(text, "This was denied") {
		t.Errorf("after denying: %q", text)
	}
	b.Done()
	if status, body := shop.fetch(approved); status != http.StatusOK || body["id_token"] == nil {
		t.Errorf("approved: %d %v", status, body)
	}
	if status, body := shop.fetch(denied); status != http.StatusBadRequest || body["error"] != "access_denied" {
		t.Errorf("denied: %d %v", status, body)
	}
}

// TestBankApp: the example of a bank's own application is enrolled with a code from the command line, and confirms.
func TestBankApp(t *testing.T) {
	i := newInstallation(t)
	i.serve()
	shop := i.asker("Orchid Payments")
	folder := t.TempDir()
	app := filepath.Join(folder, "bankapp")
	if output, err := exec.Command("go", "build", "-o", app, "../../examples/bankapp").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	run := func(input string, arguments ...string) (string, error) {
		command := exec.Command(app, append([]string{"-issuer", "https://" + i.address, "-ca", filepath.Join(i.folder, "tls", "ca.crt"),
			"-key", filepath.Join(folder, "key")}, arguments...)...)
		command.Stdin = strings.NewReader(input)
		output, err := command.CombinedOutput()
		return string(output), err
	}
	if output, err := run("", "-once"); err == nil || !strings.Contains(output, "invalid_token") {
		t.Errorf("before it was enrolled: %v, %s", err, output)
	}
	code := strings.TrimSpace(i.run("devices", "add", "alice"))
	if output, err := run("", "enrol", code); err != nil || !strings.Contains(output, "confirms for alice") {
		t.Fatalf("enrolling: %v, %s", err, output)
	}
	if output, err := run("", "enrol", code); err == nil || !strings.Contains(output, "invalid_grant") {
		t.Errorf("the same code again: %v, %s", err, output)
	}
	asked := shop.ask("alice", "MINT 1207", payment)
	output, err := run("approve\n", "-once")
	if err != nil || !strings.Contains(output, "MINT 1207") || !strings.Contains(output, "123.50") || !strings.Contains(output, "is approved") {
		t.Errorf("approving: %v, %s", err, output)
	}
	if status, body := shop.fetch(asked); status != http.StatusOK || body["id_token"] == nil {
		t.Errorf("after approving: %d %v", status, body)
	}
	asked = shop.ask("alice", "FERN 3348", "")
	if output, err = run("deny\n", "-once"); err != nil || !strings.Contains(output, "is denied") {
		t.Errorf("denying: %v, %s", err, output)
	}
	if _, body := shop.fetch(asked); body["error"] != "access_denied" {
		t.Errorf("after denying: %v", body)
	}
	list := strings.Fields(i.run("devices", "list", "alice"))
	id := ""
	for n, word := range list {
		if word == "application" {
			id = list[n+1]
		}
	}
	i.run("devices", "remove", "alice", id)
	if output, err := run("", "-once"); err == nil || !strings.Contains(output, "invalid_token") {
		t.Errorf("after it was removed: %v, %s", err, output)
	}
}
