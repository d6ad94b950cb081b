//go:build cgo && !nopkcs11

package pkcs11_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"testing"

	"countersign/signer"
	"countersign/signer/pkcs11"
)

// TestPINShowsNowhere: a PIN that came by the environment is in no text that is made of it.
func TestPINShowsNowhere(t *testing.T) {
	const secret = "73519264"
	pin, err := pkcs11.NewPIN(secret)
	if err != nil {
		t.Fatal(err)
	}
	c := pkcs11.Config{Module: "/m.so", PIN: pin}
	encoded, err := json.Marshal(c.PIN)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "pin", pin, "config", c)
	for name, text := range map[string]string{
		"%v": fmt.Sprintf("%v", c), "%+v": fmt.Sprintf("%+v", c), "%#v": fmt.Sprintf("%#v", c), "%s": fmt.Sprintf("%s", pin),
		"%x": fmt.Sprintf("%x", pin), "JSON": string(encoded), "log": log.String(),
	} {
		if strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) {
			t.Errorf("%s shows it: %s", name, text)
		}
	}
	for _, bad := range []string{"", "a\nb", "a\x00b", strings.Repeat("1", 256)} {
		if _, err := pkcs11.NewPIN(bad); err == nil || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestPINFromElsewhere: it opens the token, is in neither environment nor command line of the worker, and a wrong one is
// refused without being repeated.
func TestPINFromElsewhere(t *testing.T) {
	token := newToken(t, t.TempDir())
	raw, err := os.ReadFile(token.PINFile)
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.TrimSpace(string(raw))
	c := config(token)
	if c.PIN, err = pkcs11.NewPIN(secret); err != nil {
		t.Fatal(err)
	}
	if _, err := pkcs11.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "exactly one") {
		t.Errorf("with a file as well: %v", err)
	}
	c.PINFile = ""
	b := open(t, c)
	generate(t, b, signer.ES256)
	for _, file := range []string{"environ", "cmdline"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", b.WorkerPID(), file))
		if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
			continue // the worker lets nobody look, not even its own user
		}
		if err != nil || strings.Contains(string(text), secret) {
			t.Errorf("%s of the worker: %v, %q", file, err, text)
		}
	}
	if c.PIN, err = pkcs11.NewPIN("00000000"); err != nil {
		t.Fatal(err)
	}
	if _, err := pkcs11.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "refuses the PIN") || strings.Contains(err.Error(), "00000000") {
		t.Errorf("a wrong PIN: %v", err)
	}
}
