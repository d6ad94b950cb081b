package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"countersign/internal/fips/fipstest"
)

// enforced has every program that is started from now on refuse what FIPS 140-3 does not approve, or not.
func enforced(t *testing.T, is bool) {
	t.Helper()
	_, mode, _ := strings.Cut(fipstest.Environment, "=")
	t.Setenv("GODEBUG", map[bool]string{true: mode, false: "fips140=off"}[is])
}

// flow runs the whole flow with a server of the installation.
func (i *installation) flow(t *testing.T) (log, output string, err error) {
	t.Helper()
	server := i.serve()
	text, err := exec.Command("countersign", "demo", "--auto", "--config", i.config(), "--port", i.demoPort).CombinedOutput()
	server.signal(os.Interrupt)
	if code := server.wait(); code != 0 {
		t.Errorf("the server ends with %d", code)
	}
	return server.logs.String(), string(text), err
}

// Covers: NM-112, NM-119. TestNM119Flow: server, worker and SoftHSM2 serve the whole flow where FIPS 140-3 is enforced, with everything made
// there; out of the mode it goes on, and the other way round passwords have to be set again.
func TestNM119Flow(t *testing.T) {
	enforced(t, true)
	i := newInstallation(t)
	t.Run("accepts the whole flow where it is enforced", func(t *testing.T) {
		log, output, err := i.flow(t)
		if err != nil {
			t.Errorf("%v: %s", err, output)
		}
		if !strings.Contains(log, "FIPS 140-3 is enforced; what is not approved is refused") || !regexp.MustCompile(`refused="Argon2id, `).MatchString(log) {
			t.Errorf("the start does not say so: %s", log)
		}
		if out, _, code := i.command("keys", "verify"); code != 0 || strings.Count(out, "ok") < 4 {
			t.Errorf("%d, %s", code, out)
		}
	})
	t.Run("accepts to be asked for the mode", func(t *testing.T) {
		if out, _, code := i.command("version"); code != 0 || !regexp.MustCompile(`(?m)^fips140 +only, module (latest|v1\.\S+)$`).MatchString(out) {
			t.Errorf("%d, %s", code, out)
		}
		if out, _, code := i.command("doctor"); code != 0 || !strings.Contains(out, "FIPS 140-3 mode: only, module ") {
			t.Errorf("%d, %s", code, out)
		}
	})
	t.Run("accepts the way out of the mode, with the same users", func(t *testing.T) {
		enforced(t, false)
		if log, output, err := i.flow(t); err != nil || strings.Contains(log, "FIPS") {
			t.Errorf("%v: %s", err, output)
		}
		if out, _, code := i.command("version"); code != 0 || !regexp.MustCompile(`(?m)^fips140 +off, `).MatchString(out) {
			t.Errorf("%d, %s", code, out)
		}
	})
	t.Run("refuses a password that was set out of it, until it is set again", func(t *testing.T) {
		set := func(t *testing.T) {
			t.Helper()
			password, err := os.ReadFile(filepath.Join(i.folder, "demo", "password"))
			if err != nil {
				t.Fatal(err)
			}
			command := exec.Command("countersign", "users", "set-password", "alice", "--config", i.config())
			command.Stdin = strings.NewReader(strings.TrimSpace(string(password)) + "\n")
			if output, err := command.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, output)
			}
		}
		enforced(t, false)
		set(t)
		enforced(t, true)
		if _, output, err := i.flow(t); err == nil {
			t.Errorf("she signs in: %s", output)
		}
		set(t)
		if _, output, err := i.flow(t); err != nil {
			t.Errorf("%v: %s", err, output)
		}
	})
}

// Covers: NM-118. TestNM118DevelopmentKeys: keys in a file that Argon2id encrypts do not start where FIPS 140-3 is enforced, and whoever is asked
// says the same.
func TestNM118DevelopmentKeys(t *testing.T) {
	enforced(t, false)
	i := newInstallation(t, "--dev-keys")
	const line = "signer.development_key_file: development keys are encrypted with Argon2id, which is not approved by FIPS 140-3; that is enforced here: use an HSM"
	t.Run("accepts them where it is not", func(t *testing.T) {
		if _, problems, code := i.command("config", "print"); code != 0 {
			t.Errorf("%d, %s", code, problems)
		}
	})
	for _, arguments := range [][]string{{"serve"}, {"config", "print"}, {"doctor"}} {
		t.Run("refuses them in "+strings.Join(arguments, " "), func(t *testing.T) {
			enforced(t, true)
			out, problems, code := i.command(arguments...)
			if code == 0 || !strings.Contains(out+problems, line) {
				t.Errorf("%d, %s", code, problems)
			}
		})
	}
	t.Run("refuses to make them", func(t *testing.T) {
		enforced(t, true)
		output, err := exec.Command("countersign", "init", "--dev", "--dev-keys", "--dir", filepath.Join(t.TempDir(), "local")).CombinedOutput()
		if err == nil || !strings.Contains(string(output), "development keys are encrypted with Argon2id") {
			t.Errorf("%v, %s", err, output)
		}
	})
}
