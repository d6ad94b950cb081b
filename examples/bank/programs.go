package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// group is the programs that run, which end together.
type group struct {
	// outer ends when the user says so, and ctx with it, or when a program has ended by itself.
	outer, ctx context.Context
	cancel     context.CancelCauseFunc
	place      place
	ended      sync.WaitGroup
}

func newGroup(ctx context.Context, p place) *group {
	inner, cancel := context.WithCancelCause(ctx)
	return &group{outer: ctx, ctx: inner, cancel: cancel, place: p}
}

// startAll starts the programs, each when the one before it answers. What the server asks about accounts answers nobody without its
// certificate: nobody waits for it.
func (g *group) startAll() error {
	p := g.place
	certificate, key := p.certificate()
	tlsFlags := []string{"-ca", p.file("tls/ca.crt"), "-certificate", certificate, "-certificate-key", key, "-issuer", p.issuerURL()}
	key4 := func(client string) []string {
		return []string{"-client-id", client, "-key", p.file("clients/" + client + ".pem")}
	}
	source := []string{"-listen", fmt.Sprintf("127.0.0.1:%d", p.source), "-certificate", certificate, "-key", key,
		"-client-ca", p.file(asker + ".crt"), "-client", "countersign", "-users", p.file("source/users.json")}
	if err := g.start("claims-source", source); err != nil {
		return err
	}
	for _, each := range []struct {
		name, answers string
		arguments     [][]string
	}{
		{"countersign", p.issuerURL() + "/.well-known/openid-configuration", [][]string{{"serve", "--config", p.config()}}},
		{"bank-api", p.apiURL() + "/health", [][]string{tlsFlags, key4(apiClient), {"-port", fmt.Sprint(p.api), "-customer", subject}}},
		{"orchid", p.orchidURL() + "/", [][]string{tlsFlags, key4(orchidClient), {"-port", fmt.Sprint(p.orchid), "-api", p.apiURL()}}},
	} {
		var arguments []string
		for _, some := range each.arguments {
			arguments = append(arguments, some...)
		}
		if err := g.start(each.name, arguments); err != nil {
			return err
		}
		if err := g.await(each.name, each.answers); err != nil {
			return err
		}
	}
	return nil
}

// start starts a program. If it ends, all end.
func (g *group) start(name string, arguments []string) error {
	logFile, err := os.OpenFile(g.place.log(name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	command := exec.CommandContext(g.ctx, g.place.program(name), arguments...)
	command.Stdout, command.Stderr = logFile, logFile
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 10 * time.Second
	if err := command.Start(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	g.ended.Go(func() {
		defer logFile.Close()
		err := command.Wait()
		g.cancel(fmt.Errorf("%s has ended (%v); its log says:\n%s", name, err, g.lastLines(name)))
	})
	return nil
}

// lastLines is the end of a program's log.
func (g *group) lastLines(name string) string {
	text, err := os.ReadFile(g.place.log(name))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// await waits until a program answers.
func (g *group) await(name, address string) error {
	authority, err := os.ReadFile(g.place.file("tls/ca.crt"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	for range 600 {
		if r, err := http.NewRequestWithContext(g.ctx, http.MethodGet, address, http.NoBody); err == nil {
			if response, err := client.Do(r); err == nil {
				_, _ = io.Copy(io.Discard, response.Body) // whatever it says: it answers
				response.Body.Close()
				if response.StatusCode == http.StatusOK {
					return nil
				}
			}
		}
		select {
		case <-g.ctx.Done():
			return context.Cause(g.ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s does not answer at %s; see %s", name, address, filepath.Clean(g.place.log(name)))
}

// wait waits until the user ends the programs, or one of them has ended by itself.
func (g *group) wait() error {
	<-g.ctx.Done()
	if g.outer.Err() != nil {
		return nil
	}
	return context.Cause(g.ctx)
}

// end ends all programs and waits for that.
func (g *group) end() {
	g.cancel(context.Canceled)
	g.ended.Wait()
}
