//go:build cgo && !nopkcs11 && hsm

package pkcs11_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/signer/signertest"
)

// written makes a file that only this user can read.
func written(t *testing.T, file, text string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// ran runs a program and fails with what it said.
func ran(t *testing.T, command *exec.Cmd) {
	t.Helper()
	if output, err := command.CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimSpace(string(output)), "\n")
		t.Fatalf("%s: %v: %s", command, err, strings.Join(lines[max(0, len(lines)-10):], "\n"))
	}
}

const kryopticVersion = "1.5.4"

// kryoptic builds the module from its crate, once: it takes a minute or two and is kept in the user's cache.
func kryoptic(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("cargo"); err != nil {
		t.Fatal("kryoptic is built with Rust, which is missing: install it from https://rustup.rs")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(cache, "countersign", "kryoptic-"+kryopticVersion)
	module := filepath.Join(folder, "target", "release", "libkryoptic_pkcs11.so")
	if _, err := os.Stat(module); err == nil {
		return module
	} else if !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	information := exec.Command("cargo", "info", "kryoptic@"+kryopticVersion) // fetches the crate's source
	information.Dir = t.TempDir()
	ran(t, information)
	home := os.Getenv("CARGO_HOME")
	if home == "" {
		user, err := os.UserHomeDir()
		if err != nil {
			t.Fatal(err)
		}
		home = filepath.Join(user, ".cargo")
	}
	sources, err := filepath.Glob(filepath.Join(home, "registry", "src", "*", "kryoptic-"+kryopticVersion))
	if err != nil || len(sources) == 0 {
		t.Fatalf("cargo did not fetch kryoptic %s into %s: %v", kryopticVersion, home, err)
	}
	source := filepath.Join(folder, "source")
	if err := os.RemoveAll(source); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(source, os.DirFS(sources[0])); err != nil {
		t.Fatal(err)
	}
	t.Log("building kryoptic; this takes a minute or two, once")
	build := exec.Command("cargo", "build", "--release", "--no-default-features", "--features", "minimal,kryoptic-lib/dynamic")
	build.Dir = source
	build.Env = append(os.Environ(), "CONFDIR=/etc", "CARGO_TARGET_DIR="+filepath.Join(folder, "target"))
	ran(t, build)
	return module
}

// TestContractKryoptic: its minimal build stands on OpenSSL 3.0, where it has no EdDSA.
func TestContractKryoptic(t *testing.T) {
	module, folder := kryoptic(t), t.TempDir()
	settings := written(t, filepath.Join(folder, "kryoptic.conf"),
		fmt.Sprintf("[[slots]]\nslot = 1\ndbtype = \"sqlite\"\ndbargs = %q\n", filepath.Join(folder, "token.sql")))
	environment := map[string]string{"KRYOPTIC_CONF": settings}
	officer, pin := written(t, filepath.Join(folder, "so-pin"), "87654321\n"), written(t, filepath.Join(folder, "pin"), "12345678\n")
	if err := pkcs11.InitialiseToken(t.Context(), module, environment, "lab", officer, pin); err != nil {
		t.Fatal(err)
	}
	token := open(t, pkcs11.Config{Module: module, Token: "pkcs11:token=lab", PINFile: pin, Environment: environment})
	signertest.Run(t, token, signer.PS256, signer.ES256, signer.ECDHES, signer.RSAOAEP256)
}

// TestContractOpenCryptoki: its software token has RSA only. Its daemon and its token belong to the machine, so this
// wants root, and makes the token anew if a test made it before.
func TestContractOpenCryptoki(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("opencryptoki's daemon wants root")
	}
	const state, ours = "/var/lib/opencryptoki/swtok", "/var/lib/opencryptoki/swtok/made-by-countersign-test"
	if _, err := os.Stat(filepath.Join(state, "NVTOK.DAT")); err == nil {
		if _, err := os.Stat(ours); err != nil {
			t.Fatalf("this machine has an opencryptoki token of its own in %s, which is not touched; run this where there is none", state)
		}
	}
	for _, folder := range []string{"/var/lock/opencryptoki/swtok", "/var/lib/opencryptoki/swtok/TOK_OBJ"} {
		if err := os.MkdirAll(folder, 0o770); err != nil {
			t.Fatal(err)
		}
	}
	written(t, ours, "This token is made anew by a test.\n")
	for _, pattern := range []string{"/var/lib/opencryptoki/swtok/*.DAT", "/var/lib/opencryptoki/swtok/MK_*", "/var/lib/opencryptoki/swtok/TOK_OBJ/*"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
	}
	daemon := exec.Command("pkcsslotd", "-f")
	daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := daemon.Start(); err != nil {
		t.Fatalf("%v; run: apt-get install opencryptoki", err)
	}
	t.Cleanup(func() {
		_ = daemon.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(2*time.Second, func() { _ = daemon.Process.Kill() }) // it does not always listen
		_ = daemon.Wait()                                                           // it ends by a signal
		late.Stop()
	})
	modules, err := filepath.Glob("/usr/lib/*/opencryptoki/libopencryptoki.so*")
	if err != nil || len(modules) == 0 {
		t.Fatal("opencryptoki's module is not installed; run: apt-get install opencryptoki")
	}
	configure := func(input string, arguments ...string) error {
		command := exec.Command("pkcsconf", append([]string{"-c", "3"}, arguments...)...)
		command.Stdin = strings.NewReader(input)
		output, err := command.CombinedOutput()
		if err != nil || strings.Contains(string(output), "Error") { // its exit code does not tell
			return fmt.Errorf("pkcsconf %v: %v: %s", arguments, err, output)
		}
		return nil
	}
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) { // the daemon takes its time
		err := configure("87654321\nlab\n", "-I")
		if err == nil {
			break
		}
		if time.Since(began) > 10*time.Second {
			t.Fatal(err)
		}
	}
	for _, step := range [][]string{
		{"87654321\n76543210\n76543210\n", "-P"}, {"76543210\n11111111\n11111111\n", "-u"}, {"11111111\n24681357\n24681357\n", "-p"},
	} {
		if err := configure(step[0], step[1]); err != nil {
			t.Fatal(err)
		}
	}
	pin := written(t, filepath.Join(t.TempDir(), "pin"), "24681357\n")
	signertest.Run(t, open(t, pkcs11.Config{Module: modules[0], Token: "pkcs11:token=lab", PINFile: pin}), signer.PS256)
}
