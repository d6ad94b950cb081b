package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"
)

const configuration = `issuer = "https://localhost:8443"
[listen]
address = "127.0.0.1:8443"
[listen_mtls]
address = "127.0.0.1:18444"
url = "https://localhost:18444"
[[scopes]]
name = "accounts"
`

// development is a folder as countersign init --dev leaves it, as far as it is needed here, with a program in place of the
// server that shows a user, and serves until it is told to end.
func development(t *testing.T) setup {
	t.Helper()
	folder := t.TempDir()
	files := map[string]string{
		"countersign.toml": configuration, "demo/password": "a password\n",
		"countersign": "#!/bin/sh\n[ \"$1\" = users ] || exec sleep 60\n[ \"$3\" = alice ] || { echo \"there is no user $3\" >&2; exit 1; }\necho '{\"username\": \"alice\", \"sub\": \"subject-1\"}'\n",
		// Writes down what it is told, and listens where it is told to.
		"login": "#!/bin/sh\n[ \"$1\" = add ] && { { echo \"$*\"; cat; } > \"$3\"; exit; }\nexec sleep 60\n",
	}
	for name, content := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return setup{
		state: folder, port: "18446", user: "alice",
		program: []string{filepath.Join(folder, "countersign")}, login: []string{filepath.Join(folder, "login")},
	}
}

func decoded(t *testing.T, file string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := toml.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestPrepare: the server's configuration gains the login and nothing else, and the login knows the user by the same subject.
func TestPrepare(t *testing.T) {
	s := development(t)
	placed, err := s.prepare(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	want := decoded(t, filepath.Join(s.state, "countersign.toml"))
	want["login"] = map[string]any{
		"address": "https://localhost:18446/", "acr_values": acr, "certificate_file": filepath.Join(s.state, "conformance-login", "login.crt"),
	}
	if difference := cmp.Diff(want, decoded(t, placed.config)); difference != "" {
		t.Errorf("the configuration differs (-want +got):\n%s", difference)
	}
	users, err := os.ReadFile(filepath.Join(s.state, "conformance-login", "users.json"))
	if err != nil || !strings.Contains(string(users), "alice subject-1\na password\n") {
		t.Errorf("%v: the login was told %q", err, users)
	}
	encoded, err := os.ReadFile(filepath.Join(s.state, "conformance-login", "login.crt"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(encoded)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil || time.Until(certificate.NotAfter) < 24*time.Hour {
		t.Errorf("%v: the certificate is %v", err, certificate)
	}
	if options := strings.Join(placed.login, " "); !strings.Contains(options, "--issuer https://localhost:8443 --api https://localhost:18444") {
		t.Errorf("the login's options are %s", options)
	}
	// Prepared again, it is as new.
	if _, err := s.prepare(t.Context(), time.Now()); err != nil {
		t.Error(err)
	}
}

// TestPrepareRefuses: what is missing is named.
func TestPrepareRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(s *setup) error
		want  string
	}{
		"no configuration": {func(s *setup) error { return os.Remove(filepath.Join(s.state, "countersign.toml")) }, "countersign init --dev makes it"},
		"no listener for certificates": {func(s *setup) error {
			return os.WriteFile(filepath.Join(s.state, "countersign.toml"), []byte("issuer = \"https://localhost:8443\"\n"), 0o600)
		}, "listen_mtls.url is missing"},
		"no such user": {func(s *setup) error { s.user = "nobody"; return nil }, "there is no user nobody"},
		"no password":  {func(s *setup) error { return os.Remove(filepath.Join(s.state, "demo", "password")) }, "demo/password"},
	} {
		t.Run(name, func(t *testing.T) {
			s := development(t)
			if err := c.spoil(&s); err != nil {
				t.Fatal(err)
			}
			if _, err := s.prepare(t.Context(), time.Now()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// TestRun: it serves until it is told to stop, and says which of the two has ended.
func TestRun(t *testing.T) {
	// listening is a setup whose port somebody listens on, as the login would.
	listening := func(t *testing.T) []string {
		t.Helper()
		s := development(t)
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
		return []string{"-state", s.state, "-port", port, "-countersign", s.program[0], "-login", s.login[0]}
	}
	t.Run("accepts to be told to stop", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := run(ctx, listening(t), io.Discard); err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses without a login", func(t *testing.T) {
		arguments := listening(t)
		if err := os.WriteFile(arguments[7], []byte("#!/bin/sh\n[ \"$1\" = add ]\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := run(t.Context(), arguments, io.Discard); err == nil || !strings.Contains(err.Error(), "the login has ended") {
			t.Errorf("the error is %v", err)
		}
	})
	t.Run("refuses without a server", func(t *testing.T) {
		arguments := listening(t)
		script := "#!/bin/sh\n[ \"$1\" = users ] || exit 3\necho '{\"sub\": \"subject-1\"}'\n"
		if err := os.WriteFile(arguments[5], []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := run(t.Context(), arguments, io.Discard); err == nil || !strings.Contains(err.Error(), "the server has ended, its last lines say why: exit status 3") {
			t.Errorf("the error is %v", err)
		}
	})
	for name, arguments := range map[string][]string{"a kind that is none": {"-kind", "rust"}, "a word": {"serve"}, "no command": {"-login", " "}} {
		t.Run("refuses "+name, func(t *testing.T) {
			if err := run(t.Context(), arguments, io.Discard); err == nil {
				t.Error("it runs")
			}
		})
	}
}
