package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// postgres is a PostgreSQL server of this run, with the settings that it comes with.
type postgres struct {
	process int
	urlFile string
	stop    func()
}

func startPostgres(ctx context.Context, m *machine) (*postgres, error) {
	folder, err := os.MkdirTemp("", "countersign-bench-postgres-")
	if err != nil {
		return nil, err
	}
	p, err := launchPostgres(ctx, folder, "")
	if err != nil {
		return nil, err
	}
	stop := p.stop
	p.stop = func() {
		stop()
		_ = os.RemoveAll(folder)
	}
	p.urlFile = filepath.Join(m.folder, filepath.Base(folder)+"-url")
	return p, os.WriteFile(p.urlFile, []byte("postgres:///countersign?user=countersign&host="+folder), 0o600)
}

// keptPostgres starts a server in a folder that stays, with what is in it from the time before, and gives its socket's
// folder. It has more memory than the settings that it comes with give it, and is as careful.
func (m *machine) keptPostgres(ctx context.Context, folder string) (*postgres, string, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, "", err
	}
	p, err := launchPostgres(ctx, folder, " -c shared_buffers=1GB -c max_wal_size=8GB")
	return p, folder, err
}

// launchPostgres starts a server in a folder, and makes its database where there is none.
func launchPostgres(ctx context.Context, folder, settings string) (*postgres, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		return nil, errors.New("PostgreSQL is missing: install it, on Debian and Ubuntu with: apt-get install postgresql")
	}
	programs := found[len(found)-1]
	identity, err := databaseUser(folder)
	if err != nil {
		return nil, err
	}
	run := func(name string, arguments ...string) error {
		command := exec.CommandContext(ctx, filepath.Join(programs, name), arguments...)
		command.SysProcAttr, command.Dir = identity, folder
		output, err := command.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w: %s", name, err, output)
		}
		return nil
	}
	data := filepath.Join(folder, "data")
	_, err = os.Stat(data)
	isNew := errors.Is(err, os.ErrNotExist)
	if isNew {
		if err := run("initdb", "-D", data, "-U", "countersign", "--auth=trust", "--encoding=UTF8", "--locale=C"); err != nil {
			return nil, err
		}
	}
	options := fmt.Sprintf("-c listen_addresses='' -c unix_socket_directories='%s'%s", folder, settings)
	// pg_ctl's own children would keep our pipe open; its log is a file.
	if err := run("pg_ctl", "-D", data, "-l", filepath.Join(folder, "log"), "-o", options, "-w", "start"); err != nil {
		return nil, err
	}
	p := &postgres{}
	p.stop = func() {
		// An interrupt has ended ctx, and must not leave a database behind.
		stop := exec.Command(filepath.Join(programs, "pg_ctl"), "-D", data, "-m", "fast", "-w", "stop")
		stop.SysProcAttr, stop.Dir = identity, folder
		if output, err := stop.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "bench: PostgreSQL in %s was not stopped: %v: %s\n", folder, err, output)
		}
	}
	if isNew {
		if err := run("createdb", "-h", folder, "-U", "countersign", "countersign"); err != nil {
			p.stop()
			return nil, err
		}
	}
	pid, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		p.stop()
		return nil, err
	}
	first, _, _ := strings.Cut(string(pid), "\n")
	if p.process, err = strconv.Atoi(first); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// databaseUser is who runs PostgreSQL, which refuses to be run by root.
func databaseUser(folder string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil
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
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}
