package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/examples/directory/standin"
	"countersign/internal/jose"
	"countersign/internal/postgrestest"
)

// failing is a cluster whose server is killed for good.
var failing postgrestest.Cluster

// Covers: NM-129. The procedures of docs/operations.md, each followed with its commands as they are written, print what is shown.
func TestNM129Procedures(t *testing.T) {
	i := newInstallation(t)
	p := newProcedure(t, i)
	p.server = i.serve()
	step := func(name string, before map[int]func()) {
		t.Run("accepts "+name, func(t *testing.T) {
			p.t, i.t, p.before = t, t, before
			if p.server != nil {
				p.server.t = t
			}
			p.follow(strings.ToUpper(name[:1]) + name[1:])
		})
	}
	step("rotate a signing key", nil)
	step("replace a certificate", map[int]func(){0: func() { i.newCertificate() }})
	step("the HSM is away", map[int]func(){
		0: func() { i.hsmAway(p.server) },
		1: func() { i.hsmBack() },
	})
	step("a client is compromised", map[int]func(){
		0: func() { i.run("demo", "--auto"); i.newKeys() },
		1: func() { i.chained(`"client_id":"demo-dpop"`) },
	})
	step("an upgrade under load", nil)
	i.directory(t, &p.server)
	step("a directory is away", nil)
	step("move to PostgreSQL", map[int]func(){0: func() {
		if err := os.WriteFile(filepath.Join(i.folder, "database-url"), []byte(cluster.Database(i.t)+"\n"), 0o600); err != nil {
			i.t.Fatal(err)
		}
	}})
	p.server.t, i.t = t, t
	p.server = i.serve()
	step("restore the database", nil)
}

// directory has the installation be part of an ecosystem whose directory is away, and starts its server again.
func (i *installation) directory(t *testing.T, server **running) {
	t.Helper()
	i.t, (*server).t = t, t
	(*server).ends()
	i.client.CloseIdleConnections()
	d, err := standin.New(standin.Brazil, "Example directory", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(i.folder, "tls/server.crt"), filepath.Join(i.folder, "tls/server.key"))
	if err != nil {
		t.Fatal(err)
	}
	at := httptest.NewUnstartedServer(d)
	at.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	at.StartTLS()
	t.Cleanup(at.Close)
	_, port, _ := strings.Cut(at.Listener.Addr().String(), ":")
	text, err := os.ReadFile(i.config())
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), `profiles = "`, `profiles = "brazil-openfinance `, 1) + fmt.Sprintf(`
[[directories]]
name = "ofb"
kind = "brazil"
profile = "brazil-openfinance"
issuer = "Example directory"
networks = "127.0.0.0/8"
keys_address = "https://localhost:%[1]s/jwks"
participants_address = "https://localhost:%[1]s"
`, port)
	if err := os.WriteFile(i.config(), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	*server = i.serve()
	(*server).ends()
	d.SetAway(true)
	*server = i.serve()
}

// Covers: NM-129. Those about PostgreSQL and several nodes.
func TestNM129ProceduresOfPostgreSQL(t *testing.T) {
	i := newInstallation(t)
	address := i.onPostgres()
	i.run("migrate", "up")
	i.run("init", "--dev", "--dir", i.folder)
	p := newProcedure(t, i)
	p.server = i.serve()
	t.Run("accepts the database is away", func(t *testing.T) {
		p.t, i.t, p.server.t = t, t, t
		p.before = map[int]func(){0: func() { allowConnections(t, address, false) }, 1: func() { allowConnections(t, address, true) }}
		p.follow("The database is away")
	})
	t.Run("accepts a node is lost", func(t *testing.T) {
		p.t, i.t, p.server.t = t, t, t
		other := i.secondNode()
		p.before = map[int]func(){0: func() { other.signal(syscall.SIGKILL) }}
		p.follow("A node is lost")
	})
	p.server.t = t
	p.server.ends()
}

// Covers: NM-129. A standby takes the place of a primary that is gone.
func TestNM129Failover(t *testing.T) {
	i := newInstallation(t)
	file := filepath.Join(i.folder, "database-url")
	address := failing.Database(t)
	standby := failing.Standby(t)
	i.onDatabase(standby.URL(address), file)
	i.run("migrate", "up")
	i.run("init", "--dev", "--dir", i.folder)
	p := newProcedure(t, i)
	p.server = i.serve()
	t.Run("accepts the database fails over", func(t *testing.T) {
		p.t, i.t, p.server.t = t, t, t
		p.before = map[int]func(){0: func() { standby.Fail(t) }, 1: func() { standby.Promote(t) }}
		p.follow("The database fails over")
	})
	p.server.t = t
	p.server.ends()
}

// newCertificate has new.crt and new.key be a renewed certificate of the server.
func (i *installation) newCertificate() {
	i.t.Helper()
	in := func(name string) string { return filepath.Join(i.folder, name) }
	for _, name := range []string{"crt", "key"} {
		if err := os.Rename(in("tls/server."+name), in("old."+name)); err != nil {
			i.t.Fatal(err)
		}
	}
	if output, err := exec.Command("countersign", "init", "--dev", "--dir", i.folder).CombinedOutput(); err != nil {
		i.t.Fatalf("%v: %s", err, output)
	}
	for _, name := range []string{"crt", "key"} {
		if err := errors.Join(os.Rename(in("tls/server."+name), in("new."+name)), os.Rename(in("old."+name), in("tls/server."+name))); err != nil {
			i.t.Fatal(err)
		}
	}
}

// newKeys writes another key set of a client.
func (i *installation) newKeys() {
	i.t.Helper()
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		i.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(i.folder, "new-jwks.json"), []byte(`{"keys":[`+string(key.PublicJWK())+`]}`), 0o600); err != nil {
		i.t.Fatal(err)
	}
}

// hsmAway takes the token away, and the connection to it.
func (i *installation) hsmAway(server *running) {
	i.t.Helper()
	here := filepath.Join(i.folder, "hsm", "tokens")
	if err := errors.Join(os.Rename(here, here+".away"), os.Mkdir(here, 0o700)); err != nil {
		i.t.Fatal(err)
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", server.cmd.Process.Pid))
	if err != nil {
		i.t.Fatal(err)
	}
	for _, child := range strings.Fields(string(children)) {
		var id int
		if _, err := fmt.Sscan(child, &id); err == nil {
			_ = syscall.Kill(id, syscall.SIGKILL) // it may have ended
		}
	}
}

// hsmBack brings it back.
func (i *installation) hsmBack() {
	i.t.Helper()
	here := filepath.Join(i.folder, "hsm", "tokens")
	if err := errors.Join(os.RemoveAll(here), os.Rename(here+".away", here)); err != nil {
		i.t.Fatal(err)
	}
}

// onDatabase has the installation keep its state in a database of PostgreSQL.
func (i *installation) onDatabase(address, file string) {
	i.t.Helper()
	text, err := os.ReadFile(i.config())
	if err != nil {
		i.t.Fatal(err)
	}
	changed := strings.NewReplacer("# driver = \"sqlite\"\n", "driver = \"postgres\"\nurl_file = \""+file+"\"\n",
		"file = \"countersign.db\"\n", "", "# url_file = \"\"\n", "").Replace(string(text))
	if err := errors.Join(os.WriteFile(i.config(), []byte(changed), 0o600), os.WriteFile(file, []byte(address+"\n"), 0o600)); err != nil {
		i.t.Fatal(err)
	}
}

// allowConnections lets a database be reached, or cuts all connections and lets none in.
func allowConnections(t *testing.T, address string, allowed bool) {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(parsed.Path, "/")
	parsed.Path = "/postgres"
	conn, err := pgx.Connect(t.Context(), parsed.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), fmt.Sprintf("ALTER DATABASE %s ALLOW_CONNECTIONS %t", name, allowed)); err != nil {
		t.Fatal(err)
	}
	if !allowed {
		if _, err := conn.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name); err != nil {
			t.Fatal(err)
		}
	}
}

// secondNode starts another node of the installation, on ports of its own.
func (i *installation) secondNode() *running {
	i.t.Helper()
	ports, err := freePorts(2)
	if err != nil {
		i.t.Fatal(err)
	}
	text, err := os.ReadFile(i.config())
	if err != nil {
		i.t.Fatal(err)
	}
	_, port, _ := strings.Cut(i.address, ":")
	_, mtlsPort, _ := strings.Cut(i.mtls, ":")
	changed := strings.NewReplacer(`address = "127.0.0.1:`+port+`"`, `address = "127.0.0.1:`+ports[0]+`"`, `address = "127.0.0.1:`+mtlsPort+`"`, `address = "127.0.0.1:`+ports[1]+`"`,
		"# node = \"\"\n", "node = \"second\"\n").Replace(string(text))
	file := filepath.Join(i.folder, "second.toml")
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		i.t.Fatal(err)
	}
	return i.serveConfig(file, "msg=ready")
}

// chained waits until an entry with a text is in a chain of the audit log, which takes a moment.
func (i *installation) chained(text string) {
	i.t.Helper()
	for n := range 100 {
		exported := filepath.Join(i.t.TempDir(), fmt.Sprint(n))
		i.run("audit", "export", "--out", exported)
		entries, err := os.ReadFile(exported)
		if err != nil {
			i.t.Fatal(err)
		}
		if strings.Contains(string(entries), text) {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	i.t.Fatalf("no entry has %s", text)
}
