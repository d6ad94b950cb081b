// Command ingress serves a development server behind a real ingress, which terminates the TLS of clients with
// certificates, so that the conformance suite judges both together. It runs until it is told to stop.
//
//	go run ./conformance/ingress -kind nginx
//
// Everything it makes is kept in the server's folder: the ingress's own certificate, the files that its configuration
// names, and the server's configuration with another listen_mtls.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"countersign/internal/proxies"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "ingress:", err)
		os.Exit(1)
	}
}

// setup is what the flags say.
type setup struct {
	kind proxies.Kind
	// state is the folder of `countersign init --dev`, templates that of the ingresses' configurations.
	state, templates string
	port             string
	serve            []string
}

func parse(arguments []string, stderr io.Writer) (setup, error) {
	f := flag.NewFlagSet("ingress", flag.ContinueOnError)
	f.SetOutput(stderr)
	kind := f.String("kind", "nginx", "which `ingress`: nginx, haproxy, envoy, apache, caddy")
	s := setup{}
	f.StringVar(&s.state, "state", "local", "`folder` that countersign init --dev made")
	f.StringVar(&s.templates, "templates", "deploy/ingress", "`folder` of the ingresses' configurations")
	f.StringVar(&s.port, "port", "8445", "`port` of the ingress on loopback")
	serve := f.String("serve", "bin/countersign serve --config {file}", "`command` that serves; {file} is replaced by its configuration")
	if err := f.Parse(arguments); err != nil {
		return s, err
	}
	if f.NArg() > 0 {
		return s, fmt.Errorf("%q is not a flag", f.Arg(0))
	}
	if s.serve = strings.Fields(*serve); len(s.serve) == 0 {
		return s, errors.New("-serve: there is no command")
	}
	var err error
	if s.kind, err = proxies.Find(*kind); err != nil {
		return s, fmt.Errorf("-kind: %w", err)
	}
	s.state, err = filepath.Abs(s.state)
	return s, err
}

// run serves until ctx ends or one of the two does.
func run(ctx context.Context, arguments []string, output io.Writer) error {
	s, err := parse(arguments, output)
	if err != nil {
		return err
	}
	placed, err := s.prepare(time.Now())
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(s.templates, s.kind.File))
	if err != nil {
		return err
	}
	front, err := s.kind.Start(text, proxies.Place{Folder: placed.folder, Port: s.port, Backend: placed.backend, Host: "localhost"}, output)
	if err != nil {
		return err
	}
	defer front.Stop()
	command := exec.CommandContext(ctx, s.serve[0], replace(s.serve[1:], placed.config)...)
	command.Stdout, command.Stderr = output, output
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 30 * time.Second
	if err := command.Start(); err != nil {
		return fmt.Errorf("-serve: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	select {
	case err := <-ended:
		if ctx.Err() != nil {
			return nil // it was told to
		}
		return fmt.Errorf("the server has ended: %w", errors.Join(err, errors.New("its last lines say why")))
	case <-front.Ended():
		err := fmt.Errorf("%s has ended: %w", s.kind.Program, front.Err())
		_ = command.Process.Signal(syscall.SIGTERM) // it may have ended as well
		<-ended
		return err
	}
}

func replace(arguments []string, file string) []string {
	replaced := make([]string, len(arguments))
	for i, argument := range arguments {
		replaced[i] = strings.ReplaceAll(argument, "{file}", file)
	}
	return replaced
}
