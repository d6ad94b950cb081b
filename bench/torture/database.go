package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"countersign/store/postgres"
	"countersign/store/sqlite"
)

// database is what is tortured.
type database interface {
	// driver and address are how a node opens it.
	driver() string
	address() string
	// fail takes it down the hard way and tells how, with the moment, and when, by its own account, it took writes again.
	// It must not be called again before ready.
	fail(ctx context.Context) (f failure, again time.Time, err error)
	// ready waits until it could stand the next failure.
	ready(ctx context.Context) error
	stop() error
}

// failure is one fault that was done to the database.
type failure struct {
	what string
	at   time.Time
}

// newDatabase makes an empty database of a kind, with its schema.
func newDatabase(ctx context.Context, kind, folder string) (database, error) {
	var d database
	var err error
	switch kind {
	case "sqlite":
		d = embedded{filepath.Join(folder, "store.db")}
	case "postgres":
		d, err = newSingle(ctx)
	case "patroni":
		d, err = newPatroni(ctx)
	default:
		return nil, fmt.Errorf("there is no database %q: sqlite, postgres or patroni", kind)
	}
	if err != nil {
		return nil, err
	}
	if d.driver() == "sqlite" {
		_, err = sqlite.Migrate(ctx, sqlite.Config{File: d.address()})
	} else {
		_, err = postgres.Migrate(ctx, postgres.Config{URL: d.address()})
	}
	if err != nil {
		return nil, errors.Join(err, d.stop())
	}
	return d, nil
}

// embedded is a SQLite file: it has no process of its own that could fail.
type embedded struct{ file string }

func (e embedded) driver() string              { return "sqlite" }
func (e embedded) address() string             { return e.file }
func (e embedded) ready(context.Context) error { return nil }
func (e embedded) stop() error                 { return nil }
func (e embedded) fail(context.Context) (failure, time.Time, error) {
	return failure{}, time.Time{}, errors.New("a file does not fail by itself: -failures 0 with -database sqlite")
}

// programs is the folder of the newest installed PostgreSQL.
func programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", errors.Join(err, errors.New("PostgreSQL is missing: make packages-torture installs it"))
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return len(a) - len(b) })), nil
}

// unprivileged is who runs PostgreSQL, which refuses to be run by root; the folder becomes that user's.
func unprivileged(folder string) (*syscall.SysProcAttr, error) {
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() != 0 {
		return attributes, nil
	}
	known, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(known.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(known.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	if err := os.Chown(folder, int(uid), int(gid)); err != nil {
		return nil, err
	}
	attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attributes, nil
}

// freePort gives a port of this machine that nobody listens at, below those that outgoing connections are given: a server
// that is started anew has to find it free.
func freePort() (int, error) {
	for range 100 {
		n, err := rand.Int(rand.Reader, big.NewInt(10_000))
		if err != nil {
			return 0, err
		}
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+n.Int64()))
		if err != nil {
			continue // somebody has it
		}
		defer listener.Close()
		return listener.Addr().(*net.TCPAddr).Port, nil
	}
	return 0, errors.New("no port is free")
}

// family is a process with all its descendants, of whatever group.
func family(process int) []int {
	parents := map[int]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return []int{process}
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "stat"))
		if err != nil {
			continue
		}
		_, after, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(after); len(fields) > 1 {
			parents[pid], _ = strconv.Atoi(fields[1])
		}
	}
	all := []int{process}
	for i := 0; i < len(all); i++ {
		for pid, parent := range parents {
			if parent == all[i] {
				all = append(all, pid)
			}
		}
	}
	return all
}

// killFamily kills a process and all that it started, without a word to any of them.
func killFamily(process int) {
	for _, pid := range family(process) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone already
	}
}

// single is one PostgreSQL server with fsync, as it comes.
type single struct {
	folder, programs string
	attributes       *syscall.SysProcAttr
	port             int
	command          *exec.Cmd
	ended            chan struct{}
}

func newSingle(ctx context.Context) (*single, error) {
	s := &single{}
	var err error
	if s.programs, err = programs(); err != nil {
		return nil, err
	}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	if s.folder, err = os.MkdirTemp("", "countersign-torture-postgres-"); err != nil {
		return nil, err
	}
	if s.attributes, err = unprivileged(s.folder); err != nil {
		return nil, err
	}
	if err := s.run(ctx, "initdb", "-D", filepath.Join(s.folder, "data"), "-U", "countersign", "--auth=trust", "--encoding=UTF8", "--locale=C"); err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	if err := s.run(ctx, "createdb", "-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-U", "countersign", "countersign"); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func (s *single) run(ctx context.Context, name string, arguments ...string) error {
	command := exec.CommandContext(ctx, filepath.Join(s.programs, name), arguments...)
	command.SysProcAttr, command.Dir = s.attributes, s.folder
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, output)
	}
	return nil
}

// start starts the server and waits until it answers; it recovers first, if it was killed. It refuses to start while a
// process of its predecessor still dies: then it is started again.
func (s *single) start(ctx context.Context) error {
	var said error
	for range 50 {
		if said = s.tryToStart(ctx); said == nil || !pause(ctx, 200*time.Millisecond) {
			break
		}
	}
	return said
}

func (s *single) tryToStart(ctx context.Context) error {
	file := filepath.Join(s.folder, "log")
	log, err := os.Create(file)
	if err != nil {
		return err
	}
	defer log.Close()
	s.command = exec.Command(filepath.Join(s.programs, "postgres"), "-D", filepath.Join(s.folder, "data"), "-k", "",
		"-c", "listen_addresses=127.0.0.1", "-p", strconv.Itoa(s.port))
	s.command.SysProcAttr, s.command.Dir, s.command.Stdout, s.command.Stderr = s.attributes, s.folder, log, log
	if err := s.command.Start(); err != nil {
		return err
	}
	s.ended = make(chan struct{})
	go func(command *exec.Cmd, ended chan struct{}) {
		_ = command.Wait() // it is killed again and again
		close(ended)
	}(s.command, s.ended)
	for range 2400 {
		if s.serving(ctx) {
			return nil
		}
		select {
		case <-s.ended:
			text, err := os.ReadFile(file)
			return errors.Join(fmt.Errorf("PostgreSQL ended: %s", text), err)
		default:
		}
		if !pause(ctx, 25*time.Millisecond) {
			return ctx.Err()
		}
	}
	return errors.New("PostgreSQL does not answer")
}

func (s *single) driver() string { return "postgres" }
func (s *single) address() string {
	return fmt.Sprintf("postgres://countersign@127.0.0.1:%d/countersign?sslmode=disable&connect_timeout=2", s.port)
}

func (s *single) serving(ctx context.Context) bool {
	return s.run(ctx, "pg_isready", "-q", "-h", "127.0.0.1", "-p", strconv.Itoa(s.port)) == nil
}

func (s *single) ready(context.Context) error { return nil }

// fail kills the server with all its processes and starts it again.
func (s *single) fail(ctx context.Context) (failure, time.Time, error) {
	killFamily(s.command.Process.Pid)
	<-s.ended
	f := failure{"PostgreSQL killed and started again", time.Now()}
	err := s.start(ctx)
	return f, time.Now(), err
}

func (s *single) stop() error {
	if s.command != nil && s.command.Process != nil {
		_ = s.command.Process.Signal(syscall.SIGQUIT) // nobody needs it any more
		<-s.ended
	}
	return os.RemoveAll(s.folder)
}
