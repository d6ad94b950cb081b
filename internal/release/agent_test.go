package release_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/internal/release"
	"countersign/softhsm"
)

// agent runs an ssh-agent for the programs that a test starts.
func agent(t *testing.T) {
	t.Helper()
	folder, err := os.MkdirTemp("", "agent") // the name of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(folder, "s")
	command := exec.Command("ssh-agent", "-D", "-a", socket)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		_ = os.RemoveAll(folder)
	})
	t.Setenv("SSH_AUTH_SOCK", socket)
	for range 100 {
		if _, err := os.Stat(socket); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("ssh-agent does not listen")
}

// shell runs a command with arguments $1, $2, …
func shell(t *testing.T, script string, arguments ...string) {
	t.Helper()
	if output, err := exec.Command("sh", append([]string{"-ec", script, "sh"}, arguments...)...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, output)
	}
}

// signedIn signs a folder with one file, verifies it, and returns who may have signed.
func signedIn(t *testing.T, key string) (string, error) {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "countersign.deb"), []byte("package"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := release.Signed(t.Context(), folder, key); err != nil {
		return "", err
	}
	if err := release.Verify(t.Context(), folder); err != nil {
		return "", err
	}
	signers, err := os.ReadFile(filepath.Join(folder, "allowed_signers"))
	return string(signers), err
}

// Covers: NM-220. TestNM220Agent: a key whose private half only an agent has signs a release, on disk nowhere or in an HSM.
func TestNM220Agent(t *testing.T) {
	t.Run("accepts a key that only the agent has", func(t *testing.T) {
		agent(t)
		key := filepath.Join(t.TempDir(), "key")
		newKey(t, key)
		shell(t, `ssh-add -q "$1" && rm "$1"`, key)
		if signers, err := signedIn(t, key+".pub"); err != nil || !strings.Contains(signers, " ssh-ed25519 ") {
			t.Errorf("%v: %s", err, signers)
		}
	})
	t.Run("accepts a key in an HSM", func(t *testing.T) {
		module, err := softhsm.Module()
		if err != nil {
			t.Fatal(err)
		}
		folder := t.TempDir()
		t.Setenv("SOFTHSM2_CONF", filepath.Join(folder, "softhsm2.conf"))
		t.Setenv("SSH_ASKPASS", filepath.Join(folder, "pin"))
		t.Setenv("SSH_ASKPASS_REQUIRE", "force")
		shell(t, `cd "$1"; mkdir tokens; printf 'directories.tokendir = %s/tokens\nobjectstore.backend = file\n' "$1" > softhsm2.conf
			printf '#!/bin/sh\necho 24681357\n' > pin; chmod +x pin
			softhsm2-util --init-token --free --label release --pin 24681357 --so-pin 76543210
			openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out key.pem 2>/dev/null || openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out key.pem
			softhsm2-util --import key.pem --token release --label release --id 01 --pin 24681357; rm key.pem
			ssh-keygen -D "$2" > release-key.pub`, folder, module)
		agent(t)
		shell(t, `ssh-add -s "$1"`, module)
		if signers, err := signedIn(t, filepath.Join(folder, "release-key.pub")); err != nil || !strings.Contains(signers, " ssh-rsa ") {
			t.Errorf("%v: %s", err, signers)
		}
	})
	t.Run("refuses a key that the agent has not, before anything is built", func(t *testing.T) {
		agent(t)
		key := filepath.Join(t.TempDir(), "key")
		newKey(t, key)
		if err := os.Remove(key); err != nil {
			t.Fatal(err)
		}
		if _, err := signedIn(t, key+".pub"); err == nil || !strings.Contains(err.Error(), "does not sign") {
			t.Errorf("%v", err)
		}
	})
}
