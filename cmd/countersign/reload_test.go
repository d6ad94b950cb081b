package main

import (
	"context"
	"crypto/tls"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// logged waits for a text in the log of a server.
func (r *running) logged(want string) {
	r.t.Helper()
	for range 400 {
		if strings.Contains(r.logs.String(), want) {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	r.t.Fatalf("no %q in the log:\n%s", want, r.logs)
}

// Covers: FD-116, FD-118. SIGHUP ends nothing, and has changed files read at once: a certificate that is there with its key is shown, one
// without is refused with a line, and the server goes on with the one before.
func TestFD118SIGHUP(t *testing.T) {
	i, other := newInstallation(t), newInstallation(t)
	server := i.serve()
	roots := i.roots.Clone()
	if authority, err := os.ReadFile(filepath.Join(other.folder, "tls", "ca.crt")); err != nil || !roots.AppendCertsFromPEM(authority) {
		t.Fatal(err)
	}
	serial := func() string {
		t.Helper()
		connection, err := tls.Dial("tcp", i.address, &tls.Config{RootCAs: roots})
		if err != nil {
			t.Fatalf("%v\n%s", err, server.logs)
		}
		defer connection.Close()
		return connection.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	copied := func(name string) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(other.folder, "tls", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(i.folder, "tls", name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first := serial()
	t.Run("accepts the signal when nothing has changed", func(t *testing.T) {
		server.signal(syscall.SIGHUP)
		server.logged("SIGHUP; reading changed files again")
		if serial() != first {
			t.Error("another certificate")
		}
	})
	t.Run("refuses half a pair", func(t *testing.T) {
		copied("server.crt")
		server.signal(syscall.SIGHUP)
		server.logged(`msg="file reload failed; keeping previous" key="listen.certificate_file, listen.key_file"`)
		if serial() != first {
			t.Error("another certificate")
		}
	})
	t.Run("accepts the pair", func(t *testing.T) {
		copied("server.key")
		server.signal(syscall.SIGHUP)
		server.logged("event=files_reloaded")
		if serial() == first {
			t.Error("the same certificate")
		}
	})
	server.signal(syscall.SIGTERM)
	if code := server.wait(); code != 0 {
		t.Errorf("the server ended with %d:\n%s", code, server.logs)
	}
}

// Covers: FD-114, FD-115, FD-119. A server behind PgBouncer in transaction mode: a client that another process disables is refused within
// a second, the log and doctor say that it polls, and a direct address ends that. Its URL is read again when it has changed.
func TestFD119BehindPooler(t *testing.T) {
	i := newInstallation(t)
	address := i.onPostgres()
	pooler := cluster.Pooler(t, address, "transaction", "default_pool_size = 5")
	urlFile := filepath.Join(i.folder, "store-url")
	write := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(arguments ...string) (string, error) {
		command := exec.Command("countersign", arguments...)
		command.Env = append(os.Environ(), "COUNTERSIGN_CONFIG="+i.config())
		output, err := command.CombinedOutput()
		return string(output), err
	}
	write(urlFile, pooler)
	if output, err := run("store", "copy", "--from", "sqlite:"+filepath.Join(i.folder, "countersign.db")); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	asker := i.asker("Orchid Payments")
	server := i.serve()
	t.Run("accepts to poll, and says so", func(t *testing.T) {
		server.logged("database notifications do not arrive; polling for changes")
		server.logged("database sessions cannot be set up")
		response, err := i.client.Get("https://" + i.address + "/health/ready")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text := make([]byte, 1000)
		n, _ := response.Body.Read(text)
		if response.StatusCode != 200 || !strings.Contains(string(text[:n]), `"notifications":"polling"`) {
			t.Errorf("%d %s", response.StatusCode, text[:n])
		}
		if output, _ := run("doctor"); !strings.Contains(output, "notifications do not arrive") || !strings.Contains(output, "ALTER ROLE") ||
			!strings.Contains(output, "agrees with the database's") {
			t.Errorf("doctor says:\n%s", output)
		}
	})
	t.Run("refuses to say that notifications arrive", func(t *testing.T) {
		if output, _ := run("doctor"); strings.Contains(output, "notifications of changes arrive") {
			t.Errorf("doctor says:\n%s", output)
		}
	})
	t.Run("refuses a client that another process disables", func(t *testing.T) {
		if status, body := asker.fetch("invented"); status != 400 || body["error"] != "invalid_grant" {
			t.Fatalf("before: %d %v", status, body)
		}
		i.run("clients", "disable", asker.id)
		var status int
		var body map[string]any
		for until := time.Now().Add(5 * time.Second); status != 401 && time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
			status, body = asker.fetch("invented")
		}
		if status != 401 || body["error"] != "invalid_client" {
			t.Errorf("%d %v", status, body)
		}
	})
	t.Run("accepts a direct address", func(t *testing.T) {
		server.signal(syscall.SIGTERM)
		server.wait()
		notify := filepath.Join(i.folder, "notify-url")
		write(notify, address)
		text, err := os.ReadFile(i.config())
		if err != nil {
			t.Fatal(err)
		}
		write(i.config(), strings.Replace(string(text), "url_file = \"store-url\"", "url_file = \"store-url\"\nnotify_url_file = \"notify-url\"", 1))
		server = i.serve()
		if output, _ := run("doctor"); !strings.Contains(output, "notifications of changes arrive") {
			t.Errorf("doctor says:\n%s", output)
		}
		if strings.Contains(server.logs.String(), "polling for changes") {
			t.Error(server.logs)
		}
	})
	t.Run("accepts another URL in the file", func(t *testing.T) {
		write(urlFile, address)
		conn, err := pgx.Connect(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"); err != nil {
			t.Fatal(err)
		}
		i.issuer()
		if output, err := run("clients", "list"); err != nil {
			t.Errorf("%v\n%s", err, output)
		}
	})
	server.signal(syscall.SIGTERM)
	if code := server.wait(); code != 0 {
		t.Errorf("the server ended with %d:\n%s", code, server.logs)
	}
}
