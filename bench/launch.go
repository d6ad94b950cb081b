package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// add has a process and all below it count for the server, and its end belong to the server's.
func (s *server) add(process int, stop func()) {
	s.processes = append(s.processes, process)
	before := s.stop
	s.stop = func() {
		stop()
		if before != nil {
			before()
		}
	}
}

// launch starts a server's program, with its output in a file, and waits until discovery answers.
func (m *machine) launch(ctx context.Context, s *server, name string, command *exec.Cmd) error {
	file := filepath.Join(m.folder, filepath.Base(name)+".log")
	log, err := os.Create(file)
	if err != nil {
		return err
	}
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		return errors.Join(err, log.Close())
	}
	ended := make(chan struct{})
	go func() {
		_ = command.Wait() // how it ended is in its log
		_ = log.Close()
		close(ended)
	}()
	s.add(command.Process.Pid, func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	if err := s.await(ctx, s.issuer+"/.well-known/openid-configuration", ended); err != nil {
		output, _ := os.ReadFile(file) // what there is helps
		lines := bytes.Split(bytes.TrimSpace(output), []byte("\n"))
		return fmt.Errorf("%w; it said: %s", err, bytes.Join(lines[max(0, len(lines)-20):], []byte("\n")))
	}
	return nil
}

// await waits until an address answers, two minutes at most.
func (s *server) await(ctx context.Context, address string, ended <-chan struct{}) error {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	last := errors.New("there was no time to try")
	for range 600 {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(response.Status)
		}
		last = err
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			return errors.New("the program ended at once")
		case <-time.After(200 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s does not answer: %w", address, last)
}
