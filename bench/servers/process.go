package servers

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
	"time"
)

// Process is a program that was started.
type Process struct {
	command *exec.Cmd
	log     string
	ended   chan struct{}
}

// Run starts a program. Its output is appended to a log file; with "" it is left where the command has it.
func Run(command *exec.Cmd, log string) (*Process, error) {
	if log != "" {
		file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		command.Stdout, command.Stderr = file, file
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &Process{command, log, make(chan struct{})}
	go func() {
		_ = command.Wait() // see [Process.Failure]
		close(p.ended)
	}()
	return p, nil
}

// ID is the process id.
func (p *Process) ID() int { return p.command.Process.Pid }

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Failure waits for the end, and tells how it failed; nil when it did not.
func (p *Process) Failure() error {
	<-p.ended
	if p.command.ProcessState.Success() {
		return nil
	}
	return errors.New(p.command.ProcessState.String())
}

// End sends a signal and waits for the end.
func (p *Process) End(with syscall.Signal) {
	_ = p.command.Process.Signal(with) // it may have ended by itself
	<-p.ended
}

// Kill kills the process and all that it started, and waits for its end.
func (p *Process) Kill() {
	KillTree(p.ID())
	<-p.ended
}

// Said is the end of the log.
func (p *Process) Said() string {
	said, _ := os.ReadFile(p.log) // what there is helps
	return string(bytes.TrimSpace(said[max(0, len(said)-2000):]))
}

// Await asks, every so often, until the process is ready. Errors say what the process said.
func (p *Process) Await(ctx context.Context, every, limit time.Duration, ready func(context.Context) bool) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for !ready(limited) {
		select {
		case <-limited.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("%s does not become ready: %s", p.command.Path, p.Said())
		case <-p.ended:
			return fmt.Errorf("%s ended at once: %s", p.command.Path, p.Said())
		case <-time.After(every):
		}
	}
	return nil
}

// answers reports whether an address is answered with 200.
func answers(ctx context.Context, through http.RoundTripper, address string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false
	}
	response, err := (&http.Client{Transport: through, Timeout: 5 * time.Second}).Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// freePort gives a port of this machine that nobody listens at, below those that outgoing connections are given: a server
// that is started again has to find it free.
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

// databaseUser is who runs PostgreSQL, which refuses to be run by root; the folder becomes that user's. An interrupt of
// ours does not reach it.
func databaseUser(folder string) (*syscall.SysProcAttr, error) {
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
