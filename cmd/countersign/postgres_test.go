package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestPostgres serves the same installation from PostgreSQL, reached by a URL in a file.
func TestPostgres(t *testing.T) {
	i := newInstallation(t)
	address := i.onPostgres()
	for _, step := range []struct {
		arguments string
		code      int
		want      string
	}{
		{"serve", exitError, "countersign migrate up"},
		{"migrate status", 0, "initial                   -"},
		{"migrate up", 0, "applied 1 initial"},
		{"migrate up", 0, "the schema is up to date"},
		{"keys list", 0, "KID"},
		{"init --dev --dir " + i.folder, 0, "made PS256 key, ES256 key, EdDSA key, ECDH-ES key, user alice, user bob"},
		{"users list", 0, "alice"},
		{"doctor", 0, "postgres, "},
		{"people export nobody", exitError, "nothing is stored about"},
		{"people erase nobody --yes", exitError, "nothing is stored about"},
		{"config print", 0, `url_file = "` + filepath.Join(i.folder, "store-url") + `"`},
	} {
		command := exec.Command("countersign", strings.Fields(step.arguments)...)
		command.Env = append(os.Environ(), "COUNTERSIGN_CONFIG="+i.config())
		output, err := command.CombinedOutput()
		if got := command.ProcessState.ExitCode(); got != step.code || !strings.Contains(string(output), step.want) {
			t.Errorf("%s: %v, exit code %d, want %d and %q:\n%s", step.arguments, err, got, step.code, step.want, output)
		}
		if strings.Contains(string(output), address) {
			t.Errorf("%s shows the store's URL:\n%s", step.arguments, output)
		}
	}
	server := i.serve()
	i.issuer()
	server.signal(syscall.SIGTERM)
	if code := server.wait(); code != 0 {
		t.Errorf("the server ended with %d:\n%s", code, server.logs)
	}
}

// onPostgres has the installation keep its state in a PostgreSQL database, which is empty.
func (i *installation) onPostgres() (address string) {
	i.t.Helper()
	text, err := os.ReadFile(i.config())
	if err != nil {
		i.t.Fatal(err)
	}
	changed := strings.NewReplacer("# driver = \"sqlite\"\n", "driver = \"postgres\"\nurl_file = \"store-url\"\n",
		"file = \"countersign.db\"\n", "", "# url_file = \"\"\n", "").Replace(string(text))
	if err := os.WriteFile(i.config(), []byte(changed), 0o600); err != nil {
		i.t.Fatal(err)
	}
	address = cluster.Database(i.t)
	if err := os.WriteFile(filepath.Join(i.folder, "store-url"), []byte(address+"\n"), 0o600); err != nil {
		i.t.Fatal(err)
	}
	return address
}

// TestStoreCopy takes an installation from the embedded database to PostgreSQL, and serves it from there.
func TestStoreCopy(t *testing.T) {
	i := newInstallation(t)
	folder := t.TempDir()
	file, address := filepath.Join(i.folder, "countersign.db"), cluster.Database(t)
	urlFile := filepath.Join(folder, "store-url")
	if err := os.WriteFile(urlFile, []byte(address+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(code int, want string, arguments ...string) {
		t.Helper()
		command := exec.Command("countersign", arguments...)
		command.Env = append(os.Environ(), "COUNTERSIGN_CONFIG="+i.config())
		output, err := command.CombinedOutput()
		if got := command.ProcessState.ExitCode(); got != code || !strings.Contains(string(output), want) || strings.Contains(string(output), address) {
			t.Errorf("%s: %v, exit code %d, want %d and %q:\n%s", arguments, err, got, code, want, output)
		}
	}
	run(exitError, "the configured store is not PostgreSQL", "store", "copy", "--from", "sqlite:"+file)
	run(exitUsage, "write sqlite: and the name", "store", "copy", "--from", file, "--to", "postgres:"+urlFile)
	run(exitUsage, "write postgres: and the name", "store", "copy", "--from", "sqlite:"+file, "--to", urlFile)
	run(exitUsage, "no such file", "store", "copy", "--from", "sqlite:"+file+"x", "--to", "postgres:"+urlFile)
	server := i.serve()
	i.issuer()
	run(exitError, "the database is in use", "store", "copy", "--from", "sqlite:"+file, "--to", "postgres:"+urlFile)
	server.signal(syscall.SIGTERM)
	if code := server.wait(); code != 0 {
		t.Fatalf("the server ended with %d:\n%s", code, server.logs)
	}
	run(0, "copied and compared", "store", "copy", "--from", "sqlite:"+file, "--to", "postgres:"+urlFile)
	run(exitError, "the database is not empty", "store", "copy", "--from", "sqlite:"+file, "--to", "postgres:"+urlFile)

	text, err := os.ReadFile(i.config())
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.NewReplacer("# driver = \"sqlite\"\n", "driver = \"postgres\"\nurl_file = \""+urlFile+"\"\n",
		"file = \"countersign.db\"\n", "", "# url_file = \"\"\n", "").Replace(string(text))
	if err := os.WriteFile(i.config(), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	run(0, "alice", "users", "list")
	run(0, "KID", "keys", "list")
	server = i.serve()
	i.issuer()
	server.signal(syscall.SIGTERM)
	if code := server.wait(); code != 0 {
		t.Errorf("the server ended with %d:\n%s", code, server.logs)
	}
}
