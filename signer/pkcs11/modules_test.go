//go:build cgo && !nopkcs11

package pkcs11_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/signer/signertest"
)

// written makes a file that only this user can read.
func written(t testing.TB, file, text string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// ran runs a program and fails with what it said.
func ran(t testing.TB, command *exec.Cmd) {
	t.Helper()
	if output, err := command.CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimSpace(string(output)), "\n")
		t.Fatalf("%s: %v: %s", command, err, strings.Join(lines[max(0, len(lines)-10):], "\n"))
	}
}

const kryopticVersion = "1.5.4"

// builtKryoptic builds the module from its crate, once: it takes a minute or two and is kept in the user's cache.
func builtKryoptic(t testing.TB) string {
	t.Helper()
	if _, err := exec.LookPath("cargo"); err != nil {
		t.Fatal("kryoptic is built with Rust 1.85 or later, which is missing; run: apt-get install cargo (on Debian 12: cargo-web), or see https://rustup.rs")
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

// kryoptic's minimal build stands on OpenSSL 3.0, where it has no EdDSA.
func kryoptic() candidate {
	return candidate{
		Module: signertest.Module{
			Name: "kryoptic", Has: []signer.Algorithm{signer.PS256, signer.ES256, signer.ECDHES, signer.RSAOAEP256, signer.RSAOAEP},
		},
		install: func(t testing.TB) (pkcs11.Config, func(testing.TB) func()) {
			module, folder := builtKryoptic(t), t.TempDir()
			database := filepath.Join(folder, "token.sql")
			settings := written(t, filepath.Join(folder, "kryoptic.conf"),
				fmt.Sprintf("[[slots]]\nslot = 1\ndbtype = \"sqlite\"\ndbargs = %q\n", database))
			environment := map[string]string{"KRYOPTIC_CONF": settings}
			officer, pin := written(t, filepath.Join(folder, "so-pin"), "87654321\n"), written(t, filepath.Join(folder, "pin"), "12345678\n")
			if err := pkcs11.InitialiseToken(t.Context(), module, environment, "lab", officer, pin); err != nil {
				t.Fatal(err)
			}
			c := pkcs11.Config{Module: module, Token: "pkcs11:token=lab", PINFile: pin, Environment: environment}
			return c, func(t testing.TB) func() { return moved(t, database) }
		},
	}
}

func TestContractKryoptic(t *testing.T) { kryoptic().hold(t) }
