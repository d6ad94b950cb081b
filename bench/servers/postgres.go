package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// Postgres is a PostgreSQL server with a database "countersign" and the settings that it comes with, fsync among them. It
// listens at a socket in its folder.
type Postgres struct {
	// Folder holds its files and its socket.
	Folder     string
	temporary  bool
	programs   string
	settings   []string
	attributes *syscall.SysProcAttr
	process    *Process
}

// NewPostgres starts a server in a new folder, which is removed when it is closed.
func NewPostgres(ctx context.Context) (*Postgres, error) {
	folder, err := os.MkdirTemp("", "countersign-bench-postgres-")
	if err != nil {
		return nil, err
	}
	p, err := newPostgres(ctx, &Postgres{Folder: folder, temporary: true})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return p, nil
}

// KeepPostgres starts a server in a folder that stays, with what is in it from the time before. It has more memory than
// the settings that it comes with give it, and is as careful.
func KeepPostgres(ctx context.Context, folder string) (*Postgres, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	return newPostgres(ctx, &Postgres{Folder: folder, settings: []string{"-c", "shared_buffers=1GB", "-c", "max_wal_size=8GB"}})
}

func newPostgres(ctx context.Context, p *Postgres) (*Postgres, error) {
	var err error
	if p.programs, err = postgresPrograms(); err != nil {
		return nil, err
	}
	if p.attributes, err = databaseUser(p.Folder); err != nil {
		return nil, err
	}
	_, err = os.Stat(p.data())
	isNew := errors.Is(err, os.ErrNotExist)
	if isNew {
		if err := p.run(ctx, "initdb", "-D", p.data(), "-U", "countersign", "--auth=trust", "--encoding=UTF8", "--locale=C"); err != nil {
			return nil, err
		}
	}
	if err := p.start(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if isNew {
		if err := p.run(ctx, "createdb", "-h", p.Folder, "-U", "countersign", "countersign"); err != nil {
			return nil, errors.Join(err, p.Close())
		}
	}
	return p, nil
}

// postgresPrograms is the folder of the newest installed PostgreSQL.
func postgresPrograms() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", errors.Join(err, errors.New("PostgreSQL is missing: install it, on Debian and Ubuntu with: apt-get install postgresql"))
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return len(a) - len(b) })), nil
}

func (p *Postgres) data() string { return filepath.Join(p.Folder, "data") }

// URL is where the database is.
func (p *Postgres) URL() string { return PostgresURL(p.Folder) }

// PostgresURL is the address of the database of a server, or of a proxy before it, with its socket in a folder.
func PostgresURL(folder string) string {
	return "postgres:///countersign?user=countersign&connect_timeout=2&host=" + folder
}

// ID is the process id.
func (p *Postgres) ID() int { return p.process.ID() }

func (p *Postgres) run(ctx context.Context, name string, arguments ...string) error {
	command := exec.CommandContext(ctx, filepath.Join(p.programs, name), arguments...)
	command.SysProcAttr, command.Dir = p.attributes, p.Folder
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, output)
	}
	return nil
}

// start starts the server and waits until it answers; it recovers first, if it was killed. It refuses to start while a
// process of its predecessor still ends: then it is started again.
func (p *Postgres) start(ctx context.Context) error {
	var failure error
	for range 50 {
		if failure = p.tryToStart(ctx); failure == nil || ctx.Err() != nil {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	return failure
}

func (p *Postgres) tryToStart(ctx context.Context) error {
	arguments := append([]string{"-D", p.data(), "-k", p.Folder, "-c", "listen_addresses="}, p.settings...)
	command := exec.Command(filepath.Join(p.programs, "postgres"), arguments...)
	command.SysProcAttr, command.Dir = p.attributes, p.Folder
	var err error
	if p.process, err = Run(command, filepath.Join(p.Folder, "log")); err != nil {
		return err
	}
	return p.process.Await(ctx, 25*time.Millisecond, time.Minute, func(ctx context.Context) bool {
		return p.run(ctx, "pg_isready", "-q", "-h", p.Folder) == nil
	})
}

// Crash kills the server with all its processes, and starts it again. It gives the moments of the kill and of the first
// answer.
func (p *Postgres) Crash(ctx context.Context) (killed, again time.Time, err error) {
	p.process.Kill()
	killed = time.Now()
	err = p.start(ctx)
	return killed, time.Now(), err
}

// Close ends the server, and removes its files where the folder was made for it.
func (p *Postgres) Close() error {
	if p.process != nil {
		p.process.End(syscall.SIGINT) // its fast shutdown
	}
	if p.temporary {
		return os.RemoveAll(p.Folder)
	}
	return nil
}
