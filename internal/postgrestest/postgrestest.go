// Package postgrestest runs a real PostgreSQL server for tests: in a temporary directory, reachable through a Unix
// socket only, removed after the tests.
//
// A test package keeps one Cluster for all its tests:
//
//	var cluster postgrestest.Cluster
//
//	func TestMain(m *testing.M) { os.Exit(cluster.Run(m)) }
//
//	func TestSomething(t *testing.T) { url := cluster.Database(t) … }
package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const startTimeout = time.Minute

// Cluster is a PostgreSQL server that starts with the first [Cluster.Database]. The zero value is ready for use.
type Cluster struct {
	// Fsync turns fsync on, as in production. Only tests that crash the server need it.
	Fsync bool

	once      sync.Once
	failure   error
	directory string
	process   *os.Process
	exited    chan struct{}
	databases int
	// failed is set when it was killed for good.
	failed bool
	lock   sync.Mutex
}

// Run runs the tests of a package and then stops the server, and others, and removes their files. It returns the exit
// code for [os.Exit].
func (c *Cluster) Run(m *testing.M, others ...*Cluster) int {
	code := m.Run()
	for _, one := range append(others, c) {
		if err := one.stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	return code
}

// Database makes a new empty database, which is dropped when the test ends, and returns its URL.
func (c *Cluster) Database(t testing.TB) string {
	t.Helper()
	c.once.Do(func() { c.failure = c.start() })
	if c.failure != nil {
		t.Fatal(c.failure)
	}
	c.lock.Lock()
	c.databases++
	name := "test" + strconv.Itoa(c.databases)
	c.lock.Unlock()
	c.administer(t, "CREATE DATABASE "+name)
	t.Cleanup(func() {
		if !c.failed {
			c.administer(t, "DROP DATABASE "+name+" WITH (FORCE)")
		}
	})
	return c.url(name)
}

func (c *Cluster) administer(t testing.TB, statement string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatal(err)
	}
}

func (c *Cluster) url(database string) string {
	query := url.Values{"host": {c.directory}, "user": {"postgres"}, "sslmode": {"disable"}}
	return "postgres:///" + database + "?" + query.Encode()
}

func (c *Cluster) logFile() string { return filepath.Join(c.directory, "log") }

// start makes the cluster's files and waits until the server answers.
func (c *Cluster) start() error {
	programs, err := find()
	if err != nil {
		return err
	}
	identity, err := credential()
	if err != nil {
		return err
	}
	if c.directory, err = os.MkdirTemp("", "postgres"); err != nil {
		return fmt.Errorf("postgrestest: %w", err)
	}
	if identity != nil {
		if err := os.Chown(c.directory, int(identity.Uid), int(identity.Gid)); err != nil {
			return fmt.Errorf("postgrestest: %w", err)
		}
	}
	data := filepath.Join(c.directory, "data")
	initdb := exec.Command(filepath.Join(programs, "initdb"), "--no-sync", "--no-instructions", "--auth=trust",
		"--username=postgres", "--encoding=UTF8", "--locale=C", "--pgdata="+data)
	initdb.Dir = c.directory
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: identity}
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("postgrestest: initdb: %w\n%s", err, output)
	}
	return c.serve(programs, identity)
}

// serve starts the server on the cluster's files and waits until it answers.
func (c *Cluster) serve(programs string, identity *syscall.Credential) error {
	durable := "off"
	if c.Fsync {
		durable = "on"
	}
	server := exec.Command(filepath.Join(programs, "postgres"), "-D", filepath.Join(c.directory, "data"), "-k",
		c.directory,
		"-c", "listen_addresses=", "-c", "max_connections=500",
		"-c", "fsync="+durable, "-c", "full_page_writes="+durable)
	server.Dir = c.directory
	log, err := os.OpenFile(c.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("postgrestest: %w", err)
	}
	defer log.Close()
	server.Stdout, server.Stderr = log, log
	if err := c.launch(server, identity); err != nil {
		return fmt.Errorf("postgrestest: %w", err)
	}
	return c.await()
}

// Crash kills the server with all its processes (SIGKILL), and starts it again.
func (c *Cluster) Crash(t testing.TB) {
	t.Helper()
	programs, err := find()
	if err != nil {
		t.Fatal(err)
	}
	identity, err := credential()
	if err != nil {
		t.Fatal(err)
	}
	c.kill(t)
	// A process that was just killed may hold the shared memory for another moment.
	for range 100 {
		if err = c.serve(programs, identity); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal(err)
}

// kill kills the server with all its processes.
func (c *Cluster) kill(t testing.TB) {
	t.Helper()
	// The children first: without their parent they would end by themselves, in order.
	listed, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", c.process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, child := range strings.Fields(string(listed)) {
		if id, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(id, syscall.SIGKILL) // it may have ended
		}
	}
	_ = c.process.Kill()
	<-c.exited
}

func (c *Cluster) launch(server *exec.Cmd, identity *syscall.Credential) (err error) {
	c.process, c.exited, err = launch(server, identity)
	return err
}

// launch starts a server from a thread that lives as long as the server. The server ends with this process, even if
// that is killed (Pdeathsig), and Linux treats the end of the thread as the end of the parent.
func launch(server *exec.Cmd, identity *syscall.Credential) (*os.Process, chan struct{}, error) {
	server.SysProcAttr = &syscall.SysProcAttr{Credential: identity, Pdeathsig: syscall.SIGQUIT}
	started, exited := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := server.Start()
		started <- err
		if err != nil {
			return
		}
		_ = server.Wait() // the exit status is not needed; who waits for the server reports an early end
		close(exited)
	}()
	if err := <-started; err != nil {
		return nil, nil, err
	}
	return server.Process, exited, nil
}

func (c *Cluster) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, c.url("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-c.exited:
			log, err := os.ReadFile(c.logFile())
			return errors.Join(fmt.Errorf("postgrestest: the server ended early:\n%s", log), err)
		case <-ctx.Done():
			return fmt.Errorf("postgrestest: the server does not answer: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// stop ends the server, if it was started, and removes its files.
func (c *Cluster) stop() error {
	if c.process != nil {
		_ = c.process.Signal(syscall.SIGQUIT) // it may have ended by itself
		<-c.exited
	}
	if c.directory == "" {
		return nil
	}
	return os.RemoveAll(c.directory)
}

// find returns the directory of the newest installed server programs.
func find() (string, error) {
	servers, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", fmt.Errorf("postgrestest: %w", err)
	}
	if path, err := exec.LookPath("postgres"); err == nil && len(servers) == 0 {
		servers = []string{path}
	}
	if len(servers) == 0 {
		return "", errors.New("postgrestest: PostgreSQL's server is not installed: apt-get install postgresql")
	}
	return filepath.Dir(slices.MaxFunc(servers, func(a, b string) int { return version(a) - version(b) })), nil
}

// version returns the number in a path such as /usr/lib/postgresql/15/bin/postgres.
func version(path string) int {
	number, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return number
}

// credential returns the account of the server: PostgreSQL refuses root. Nil is that of the test.
func credential() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("postgrestest: PostgreSQL does not run as root and its own user is missing: "+
			"apt-get install postgresql: %w", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("postgrestest: user postgres: %w", err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("postgrestest: user postgres: %w", err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
