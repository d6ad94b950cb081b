package devsetup_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/internal/devsetup"
	"countersign/internal/devsetup/setuptest"
)

// TestMake makes everything from nothing, keeps it the second time, and makes again only what is missing.
func TestMake(t *testing.T) {
	i := setuptest.New(t)
	options := devsetup.Options{Folder: i.Folder, DevKeys: true, DemoPort: i.DemoPort, Now: time.Now}
	if got := strings.Join(i.Made, ", "); got != "certificates, configuration, database, PS256 key, ES256 key, EdDSA key, ECDH-ES key, user alice, user bob, "+
		"client demo-dpop, certificate of demo-mtls, client demo-mtls" {
		t.Errorf("made %s", got)
	}
	for _, private := range []string{"", "countersign.toml", "countersign.db", "keys/passphrase", "keys/development.pem", "demo/password", "tls/ca.key"} {
		info, err := os.Stat(filepath.Join(i.Folder, private))
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%q is open to others: %v %v", private, info.Mode(), err)
		}
	}
	again, err := devsetup.Make(t.Context(), options)
	if err != nil || len(again.Made) != 0 {
		t.Errorf("a second time made %v, %v", again.Made, err)
	}
	for _, lost := range []string{"countersign.db", "tls/server.crt"} {
		if err := os.Remove(filepath.Join(i.Folder, lost)); err != nil {
			t.Fatal(err)
		}
	}
	again, err = devsetup.Make(t.Context(), options)
	if err != nil || !slices.Contains(again.Made, "certificates") || !slices.Contains(again.Made, "database") || slices.Contains(again.Made, "configuration") {
		t.Errorf("a third time made %v, %v", again.Made, err)
	}
	demo, err := devsetup.LoadDemo(i.Config)
	if err != nil || demo.ClientID != "demo-dpop" || len(demo.Password) != 19 {
		t.Errorf("the demo: %+v, %v", demo, err)
	}
}

// TestKeepsAnHSM: a configuration with an HSM is not changed to a key file.
func TestKeepsAnHSM(t *testing.T) {
	folder := t.TempDir()
	text := "issuer = \"https://localhost:8443\"\n[store]\nfile = \"a.db\"\n[listen]\ncertificate_file = \"tls/server.crt\"\nkey_file = \"tls/server.key\"\n" +
		"[signer]\nmodule = \"m.so\"\ntoken = \"t\"\npin_file = \"pin\"\n"
	if err := os.WriteFile(filepath.Join(folder, devsetup.ConfigName), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := devsetup.Make(t.Context(), devsetup.Options{Folder: folder, DevKeys: true, Now: time.Now})
	if err == nil || !strings.Contains(err.Error(), "names an HSM already") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(folder, "keys")); err == nil {
		t.Error("keys were made all the same")
	}
}
