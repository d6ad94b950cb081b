package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Patroni is a primary and a synchronous standby, each under its own Patroni, with one etcd: the set-up of
// docs/reliability.md on one machine.
type Patroni struct {
	folder, programs string
	attributes       *syscall.SysProcAttr
	etcd             *Process
	members          [2]*member
	client           *http.Client
	failures         int
}

// member is one Patroni with the PostgreSQL that it keeps.
type member struct {
	name, folder, settings string
	port, api              int
	process                *Process
}

// postmaster is the process id of the member's PostgreSQL.
func (m *member) postmaster() (int, error) {
	raw, err := os.ReadFile(filepath.Join(m.folder, "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	return strconv.Atoi(first)
}

// NewPatroni starts all and waits until the standby is synchronous.
func NewPatroni(ctx context.Context) (_ *Patroni, err error) {
	p := &Patroni{client: &http.Client{Timeout: 2 * time.Second}}
	if p.programs, err = postgresPrograms(); err != nil {
		return nil, err
	}
	for _, program := range []string{"patroni", "etcd"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%s is missing: make packages-torture installs it", program)
		}
	}
	if p.folder, err = os.MkdirTemp("", "countersign-torture-patroni-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if p.attributes, err = databaseUser(p.folder); err != nil {
		return nil, err
	}
	var ports [6]int
	for i := range ports {
		if ports[i], err = freePort(); err != nil {
			return nil, err
		}
	}
	store, peer := fmt.Sprintf("http://127.0.0.1:%d", ports[0]), fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	p.etcd, err = p.start("etcd", exec.Command("etcd", "--name", "one", "--data-dir", filepath.Join(p.folder, "etcd"),
		"--listen-client-urls", store, "--advertise-client-urls", store, "--listen-peer-urls", peer,
		"--initial-advertise-peer-urls", peer, "--initial-cluster", "one="+peer))
	if err != nil {
		return nil, err
	}
	for i := range p.members {
		name := fmt.Sprintf("member%d", i+1)
		m := &member{name: name, folder: filepath.Join(p.folder, name), port: ports[2+2*i], api: ports[3+2*i]}
		m.settings = filepath.Join(p.folder, name+".yml")
		text := fmt.Sprintf(patroniSettings, name, m.api, m.api, ports[0], m.port, m.port, m.folder, p.programs, m.folder)
		if err := os.WriteFile(m.settings, []byte(text), 0o644); err != nil {
			return nil, err
		}
		p.members[i] = m
		if err := p.launch(m); err != nil {
			return nil, err
		}
		if i == 0 { // the first one makes the database
			if err := p.wait(ctx, func() bool { return p.serving(ctx) }); err != nil {
				return nil, fmt.Errorf("the first member: %w: %s", err, m.process.Said())
			}
		}
	}
	if err := p.Ready(ctx); err != nil {
		return nil, err
	}
	create := exec.CommandContext(ctx, filepath.Join(p.programs, "psql"), p.url("postgres"), "-qc", "CREATE DATABASE countersign")
	if output, err := create.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("psql: %w: %s", err, output)
	}
	return p, nil
}

// patroniSettings are the shortest times that Patroni's manual allows. A dead PostgreSQL is replaced at once
// (primary_start_timeout 0); a dead machine when its lease has run out (ttl).
const patroniSettings = `scope: countersign
name: %s
restapi: {listen: "127.0.0.1:%d", connect_address: "127.0.0.1:%d"}
etcd3: {host: "127.0.0.1:%d"}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 1
    retry_timeout: 3
    primary_start_timeout: 0
    synchronous_mode: true
    postgresql:
      use_pg_rewind: true
      parameters: {wal_log_hints: "on", max_connections: 100, wal_keep_size: "512MB"}
  initdb: [{encoding: UTF8}, {locale: C}, data-checksums]
postgresql:
  listen: "127.0.0.1:%d"
  connect_address: "127.0.0.1:%d"
  data_dir: %s
  bin_dir: %s
  pgpass: %s.pgpass
  remove_data_directory_on_rewind_failure: true
  remove_data_directory_on_diverged_timelines: true
  parameters: {unix_socket_directories: ""}
  pg_hba: ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]
  authentication:
    superuser: {username: countersign}
    replication: {username: replicator}
    rewind: {username: rewinder}
`

func (p *Patroni) launch(m *member) (err error) {
	m.process, err = p.start(m.name, exec.Command("patroni", m.settings))
	return err
}

func (p *Patroni) start(name string, command *exec.Cmd) (*Process, error) {
	command.SysProcAttr, command.Dir = p.attributes, p.folder
	command.Env = append(os.Environ(), "ETCD_UNSUPPORTED_ARCH="+runtime.GOARCH, "HOME="+p.folder)
	return Run(command, filepath.Join(p.folder, name+".log"))
}

// URL is where the database is, whichever member is the primary.
func (p *Patroni) URL() string { return p.url("countersign") }

// url names both members; libpq's own words say that only the one which takes writes is wanted.
func (p *Patroni) url(database string) string {
	return fmt.Sprintf("postgres://countersign@127.0.0.1:%d,127.0.0.1:%d/%s?target_session_attrs=read-write&sslmode=disable&connect_timeout=2",
		p.members[0].port, p.members[1].port, database)
}

// ask gives the status and the body of a member's REST interface; 0 when it does not answer.
func (p *Patroni) ask(ctx context.Context, m *member, path string) (int, string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", m.api, path), nil)
	if err != nil {
		return 0, ""
	}
	response, err := p.client.Do(request)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err != nil {
		return 0, ""
	}
	return response.StatusCode, string(body)
}

func (p *Patroni) primary(ctx context.Context) *member {
	for _, m := range p.members {
		if m == nil {
			continue
		}
		if status, body := p.ask(ctx, m, "/patroni"); status == http.StatusOK && strings.Contains(body, `"state": "running"`) &&
			(strings.Contains(body, `"role": "master"`) || strings.Contains(body, `"role": "primary"`)) {
			return m
		}
	}
	return nil
}

func (p *Patroni) serving(ctx context.Context) bool { return p.primary(ctx) != nil }

// Ready waits until one member is primary and the other its synchronous standby.
func (p *Patroni) Ready(ctx context.Context) error {
	err := p.wait(ctx, func() bool {
		primary := p.primary(ctx)
		if primary == nil {
			return false
		}
		for _, m := range p.members {
			if m != primary {
				status, _ := p.ask(ctx, m, "/synchronous")
				return status == http.StatusOK
			}
		}
		return false
	})
	if err != nil {
		return fmt.Errorf("there is no synchronous standby: %w: %s: %s", err, p.members[0].process.Said(), p.members[1].process.Said())
	}
	return nil
}

// wait waits for a condition, three minutes at most.
func (p *Patroni) wait(ctx context.Context, met func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	for !met() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// Crash kills the primary: twice PostgreSQL alone, as when it crashes, then PostgreSQL with its Patroni, as when its
// machine is gone, and so on. The member comes back as a standby. It gives what was done, and the moments of the kill and
// of the standby's promotion. It must not be called again before [Patroni.Ready].
func (p *Patroni) Crash(ctx context.Context) (what string, killed, promoted time.Time, err error) {
	primary := p.primary(ctx)
	if primary == nil {
		return "", killed, promoted, errors.New("there is no primary to kill")
	}
	standby := p.members[0]
	if standby == primary {
		standby = p.members[1]
	}
	postmaster, err := primary.postmaster()
	if err != nil {
		return "", killed, promoted, err
	}
	promotion, err := p.promotion(ctx, standby)
	if err != nil {
		return "", killed, promoted, err
	}
	p.failures++
	what = "PostgreSQL of the primary killed"
	gone := p.failures%3 == 0
	if gone {
		what = "the primary's machine gone"
		primary.process.End(syscall.SIGKILL) // first, so that it cannot give its lease back
	}
	KillTree(postmaster)
	killed = time.Now() // what was written before was written by the one that is dead now
	promoted, err = promotion()
	if err == nil && gone {
		err = p.launch(primary)
	}
	return what, killed, promoted, err
}

// promotion begins to ask a standby every few milliseconds whether it is one still. What it returns waits for the moment
// at which it is no more.
func (p *Patroni) promotion(ctx context.Context, standby *member) (func() (time.Time, error), error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	ask := exec.CommandContext(ctx, filepath.Join(p.programs, "psql"), "-qAtX",
		fmt.Sprintf("postgres://countersign@127.0.0.1:%d/postgres?sslmode=disable", standby.port))
	ask.Stdin = strings.NewReader("SELECT pg_is_in_recovery() \\watch 0.02\n")
	answers, err := ask.StdoutPipe()
	if err == nil {
		err = ask.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	lines := bufio.NewScanner(answers)
	if !lines.Scan() { // it is connected
		cancel()
		return nil, fmt.Errorf("the standby does not answer: %w", ask.Wait())
	}
	return func() (time.Time, error) {
		defer func() { cancel(); _ = ask.Wait() }() // it would ask for ever
		for lines.Scan() {
			if lines.Text() == "f" {
				return time.Now(), nil
			}
		}
		return time.Time{}, errors.New("the standby was not promoted")
	}, nil
}

// Close ends all, and removes the files.
func (p *Patroni) Close() error {
	for _, m := range p.members {
		if m == nil {
			continue
		}
		if m.process != nil {
			m.process.End(syscall.SIGKILL) // what it started goes on
		}
		if postmaster, err := m.postmaster(); err == nil {
			KillTree(postmaster)
		}
	}
	if p.etcd != nil {
		p.etcd.Kill()
	}
	return os.RemoveAll(p.folder)
}
