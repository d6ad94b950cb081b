package postgrestest

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Standby starts a second server that follows the cluster (streaming replication), until the test ends, and waits until it does. It
// calls itself walreceiver there, as standbys do.
func (c *Cluster) Standby(t testing.TB) *Standby {
	t.Helper()
	programs, err := find()
	if err != nil {
		t.Fatal(err)
	}
	identity, err := credential()
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "standby")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if identity != nil {
		if err := os.Chown(folder, int(identity.Uid), int(identity.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Join(folder, "data")
	base := exec.Command(filepath.Join(programs, "pg_basebackup"), "--pgdata="+data, "--host="+c.directory, "--username=postgres",
		"--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--wal-method=stream")
	base.Dir = folder
	base.SysProcAttr = &syscall.SysProcAttr{Credential: identity}
	if output, err := base.CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v\n%s", err, output)
	}
	server := exec.Command(filepath.Join(programs, "postgres"), "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "max_connections=500",
		"-c", "fsync=off", "-c", "wal_receiver_status_interval=1s")
	server.Dir = folder
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	server.Stdout, server.Stderr = log, log
	process, exited, err := launch(server, identity)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Signal(syscall.SIGQUIT) // it may have ended by itself
		<-exited
	})
	c.followed(t, log.Name())
	return &Standby{cluster: c, folder: folder}
}

// Standby is a server that follows a cluster.
type Standby struct {
	cluster *Cluster
	folder  string
}

// URL names both servers for a database of the cluster: whichever takes writes is used.
func (s *Standby) URL(database string) string {
	address, err := url.Parse(database)
	if err != nil {
		panic(err) // the cluster made it
	}
	query := address.Query()
	query.Set("host", s.cluster.directory+","+s.folder)
	query.Set("target_session_attrs", "read-write")
	address.RawQuery = query.Encode()
	return address.String()
}

// Fail kills the server that the standby follows, for good (SIGKILL): with the test its databases are gone.
func (s *Standby) Fail(t testing.TB) {
	t.Helper()
	s.cluster.failed = true
	s.cluster.kill(t)
}

// Promote has the standby take writes.
func (s *Standby) Promote(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	query := url.Values{"host": {s.folder}, "user": {"postgres"}, "sslmode": {"disable"}}
	conn, err := pgx.Connect(ctx, "postgres:///postgres?"+query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	var promoted bool
	if err := conn.QueryRow(ctx, "SELECT pg_promote()").Scan(&promoted); err != nil || !promoted {
		t.Fatalf("the standby is not promoted: %v", err)
	}
}

// followed waits until the cluster has a standby.
func (c *Cluster) followed(t testing.TB, logFile string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for {
		var standbys int
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'").Scan(&standbys); err != nil {
			said, _ := os.ReadFile(logFile)
			t.Fatalf("no standby follows: %v\n%s", err, said)
		}
		if standbys > 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
