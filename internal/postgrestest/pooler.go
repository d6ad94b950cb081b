package postgrestest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pooler starts a real PgBouncer in front of a cluster, until the test ends, and returns the URL of one of its databases by way of
// it; that of any other differs by its name. mode is its pool_mode; lines are added to its settings.
func (c *Cluster) Pooler(t testing.TB, database, mode string, lines ...string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program = "/usr/sbin/pgbouncer"; !exists(program) {
			t.Fatal("PgBouncer is not installed: apt-get install pgbouncer")
		}
	}
	address, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "pgbouncer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	identity, err := credential()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "users"), `"postgres" ""`+"\n")
	write(t, filepath.Join(folder, "pgbouncer.ini"), fmt.Sprintf(`[databases]
* = host=%[1]s port=5432 user=postgres
[pgbouncer]
listen_addr =
listen_port = 5432
unix_socket_dir = %[2]s
auth_type = trust
auth_file = %[2]s/users
logfile = %[2]s/log
pidfile = %[2]s/pid
pool_mode = %[3]s
max_client_conn = 400
%[4]s
`, address.Query().Get("host"), folder, mode, strings.Join(lines, "\n")))
	if identity != nil {
		for _, file := range []string{folder, filepath.Join(folder, "users"), filepath.Join(folder, "pgbouncer.ini")} {
			if err := os.Chown(file, int(identity.Uid), int(identity.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	server := exec.Command(program, filepath.Join(folder, "pgbouncer.ini"))
	server.Dir = folder
	process, exited, err := launch(server, identity)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Signal(syscall.SIGKILL) // it may have ended by itself
		<-exited
	})
	query := address.Query()
	query.Set("host", folder)
	address.RawQuery = query.Encode()
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(10 * time.Millisecond) {
		conn, err := pgx.Connect(t.Context(), address.String())
		if err == nil {
			if err := conn.Close(context.WithoutCancel(t.Context())); err != nil {
				t.Fatal(err)
			}
			return address.String()
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(folder, "log"))
			t.Fatalf("PgBouncer does not answer: %v\n%s", err, log)
		}
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
