// Command ownlogin serves a development server with a bank's own login in front of it, examples/own-login, so that the
// conformance suite judges both together. It runs until it is told to stop.
//
//	go run ./conformance/ownlogin -kind ts
//
// Everything it makes is kept in the server's folder: the login's certificate, its customers, and the server's configuration with
// a login.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "ownlogin:", err)
		os.Exit(1)
	}
}

// setup is what the flags say.
type setup struct {
	// state is the folder of `countersign init --dev`.
	state, port, user string
	// program is the command of Countersign, and login that of the login.
	program, login []string
}

func parse(arguments []string, stderr io.Writer) (setup, error) {
	f := flag.NewFlagSet("ownlogin", flag.ContinueOnError)
	f.SetOutput(stderr)
	s := setup{}
	f.StringVar(&s.state, "state", "local", "`folder` that countersign init --dev made")
	f.StringVar(&s.port, "port", "8446", "`port` of the login on loopback")
	f.StringVar(&s.user, "user", "alice", "`name` of the user of the server whom the login knows too, with the password of the demo")
	program := f.String("countersign", "bin/countersign", "`command` of the server")
	kind := f.String("kind", "go", "which `login` of examples/own-login: go, ts")
	login := f.String("login", "", "`command` of another login, with the options of these")
	if err := f.Parse(arguments); err != nil {
		return s, err
	}
	if f.NArg() > 0 {
		return s, fmt.Errorf("%q is not a flag", f.Arg(0))
	}
	commands := map[string]string{"go": "bin/own-login", "ts": "node examples/own-login/build/own-login.js"}
	if *login == "" {
		if *login = commands[*kind]; *login == "" {
			return s, fmt.Errorf("-kind: %q is neither go nor ts", *kind)
		}
	}
	s.program, s.login = strings.Fields(*program), strings.Fields(*login)
	if len(s.program) == 0 || len(s.login) == 0 {
		return s, errors.New("-countersign and -login are commands")
	}
	var err error
	s.state, err = filepath.Abs(s.state)
	return s, err
}

// process is a command that runs.
type process struct {
	name    string
	command *exec.Cmd
	ended   chan error
}

func start(name string, output io.Writer, command []string) (*process, error) {
	p := &process{name: name, command: exec.Command(command[0], command[1:]...), ended: make(chan error, 1)}
	p.command.Stdout, p.command.Stderr = output, output
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() { p.ended <- p.command.Wait() }()
	return p, nil
}

// stop ends it: with a request, and by force when that takes too long.
func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM) // it may have ended on its own
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		_ = p.command.Process.Kill() // the same
		<-p.ended
	}
}

// run serves until ctx ends or one of the two does.
func run(ctx context.Context, arguments []string, output io.Writer) error {
	s, err := parse(arguments, output)
	if err != nil {
		return err
	}
	placed, err := s.prepare(ctx, time.Now())
	if err != nil {
		return err
	}
	login, err := start("the login", output, slices.Concat(s.login, placed.login))
	if err != nil {
		return err
	}
	if err := listens(ctx, login, "localhost:"+s.port); err != nil {
		login.stop()
		return err
	}
	server, err := start("the server", output, slices.Concat(s.program, []string{"serve", "--config", placed.config}))
	if err != nil {
		login.stop()
		return err
	}
	select {
	case <-ctx.Done():
		server.stop()
		login.stop()
		return nil
	case err = <-login.ended:
		server.stop()
		return fmt.Errorf("the login has ended, its last lines say why: %w", or(err))
	case err = <-server.ended:
		login.stop()
		return fmt.Errorf("the server has ended, its last lines say why: %w", or(err))
	}
}

// or is an error also where a process ended well that was not to end.
func or(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// listens waits until somebody listens.
func listens(ctx context.Context, p *process, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return connection.Close()
		}
		select {
		case err := <-p.ended:
			p.ended <- err // for stop
			return fmt.Errorf("%s has ended, its last lines say why: %w", p.name, or(err))
		case <-ctx.Done():
			return fmt.Errorf("%s does not listen on %s: %w", p.name, address, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
