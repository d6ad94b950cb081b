package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"
)

// instance is one node of a server that has several: the same configuration and database behind another port.
type instance struct {
	binary, config, log string
	port                int

	mu      sync.Mutex
	command *exec.Cmd
	ended   chan struct{}
}

// addNode starts one more node beside the first, whose configuration is in folder.
func (m *machine) addNode(ctx context.Context, s *server, folder string) (*instance, error) {
	n := &instance{binary: m.binary}
	raw, err := os.ReadFile(filepath.Join(folder, "countersign.toml"))
	if err != nil {
		return nil, err
	}
	listeners := regexp.MustCompile(`(?m)^address = "([^"]*):\d+"$`)
	text := listeners.ReplaceAllStringFunc(string(raw), func(line string) string {
		port, portErr := m.port()
		if err = errors.Join(err, portErr); n.port == 0 {
			n.port = port // the first listener is the one without client certificates
		}
		return listeners.ReplaceAllString(line, fmt.Sprintf(`address = "${1}:%d"`, port))
	})
	if err != nil || n.port == 0 {
		return nil, errors.Join(err, errors.New("the configuration names no listener"))
	}
	n.config = filepath.Join(folder, fmt.Sprintf("node-%d.toml", n.port))
	n.log = filepath.Join(m.folder, fmt.Sprintf("node-%d.log", n.port))
	if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	if err := n.start(ctx, s); err != nil {
		return nil, err
	}
	before := s.stop
	s.stop = func() {
		n.end(syscall.SIGTERM)
		before()
	}
	return n, nil
}

// start starts the process and waits until it is ready.
func (n *instance) start(ctx context.Context, s *server) error {
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	command, ended := exec.Command(n.binary, "serve", "--config", n.config), make(chan struct{})
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		return err
	}
	go func() {
		_ = command.Wait() // it may have been killed
		close(ended)
	}()
	n.mu.Lock()
	n.command, n.ended = command, ended
	n.mu.Unlock()
	client := &http.Client{Timeout: 5 * time.Second, Transport: n.transport(s)}
	defer client.CloseIdleConnections()
	for range 600 {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.issuer+"/health/ready", nil)
		if err != nil {
			return err
		}
		if response, err := client.Do(request); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			said, err := os.ReadFile(n.log)
			return errors.Join(fmt.Errorf("a node ended at once: %s", said[max(0, len(said)-2000):]), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return errors.New("a node does not become ready")
}

// transport reaches this node by the issuer's name, as a load balancer would.
func (n *instance) transport(s *server) *http.Transport {
	return &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS13}, MaxIdleConnsPerHost: 4,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", n.port))
		},
	}
}

// end ends the process, and waits until it has.
func (n *instance) end(with syscall.Signal) {
	n.mu.Lock()
	command, ended := n.command, n.ended
	n.mu.Unlock()
	_ = command.Process.Signal(with) // it may have ended by itself
	<-ended
}
