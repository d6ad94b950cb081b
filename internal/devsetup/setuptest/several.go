package setuptest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"countersign/internal/config"
	"countersign/internal/devsetup"
	"countersign/internal/issuers"
)

// Several is an installation with several issuers on the same two ports, each at a host of its own: NAME.localhost, and
// mtls.NAME.localhost for client certificates.
type Several struct {
	// File is the main configuration file, and Main what it says.
	File string
	Main *config.Config
	// Names are those of the issuers, that of the main file first.
	Names []string
	// Issuers are the installations of each, with its configuration as it is served.
	Issuers map[string]*Installation

	t     *testing.T
	made  *Templates
	ports []int
	// change alters the configuration of each before it is written.
	change func(name string, c *config.Config)
}

// Templates are installations that are made once, of which each test gets a copy. The zero value is ready.
type Templates struct {
	mu      sync.Mutex
	folders map[string]string
}

// Close removes them.
func (m *Templates) Close() error {
	var problems []error
	for _, folder := range m.folders {
		problems = append(problems, os.RemoveAll(folder))
	}
	return errors.Join(problems...)
}

// copy copies the installation of an issuer into a folder.
func (m *Templates) copy(t *testing.T, name, to string) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	from, made := m.folders[name]
	if !made {
		var err error
		if from, err = os.MkdirTemp("", "countersign-issuer-"); err != nil {
			t.Fatal(err)
		}
		if m.folders == nil {
			m.folders = map[string]string{}
		}
		m.folders[name] = from
		_, err = devsetup.Make(t.Context(), devsetup.Options{
			Folder: from, Hosts: []string{name + ".localhost", "mtls." + name + ".localhost"}, DevKeys: true, Now: time.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if output, err := exec.CommandContext(t.Context(), "cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
}

// NewSeveral makes an installation of the issuer main and of further ones; change, if it is not nil, alters the configuration of each.
func (m *Templates) NewSeveral(t *testing.T, change func(name string, c *config.Config), further ...string) *Several {
	t.Helper()
	s := m.NewUnread(t, change, further...)
	s.Write(further...)
	return s
}

// NewUnread is [Templates.NewSeveral] for configurations that are wrong: they are written, and not read.
func (m *Templates) NewUnread(t *testing.T, change func(name string, c *config.Config), further ...string) *Several {
	t.Helper()
	ports, err := FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	s := &Several{t: t, made: m, ports: ports, change: change, Issuers: map[string]*Installation{}}
	for _, name := range append([]string{issuers.Main}, further...) {
		s.Make(name)
	}
	s.writeMain(further...)
	return s
}

// Make makes the installation of one more issuer, which nothing names yet.
func (s *Several) Make(name string) {
	s.t.Helper()
	i := &Installation{Folder: filepath.Join(s.t.TempDir(), name)}
	s.made.copy(s.t, name, i.Folder)
	var err error
	if i.Config, err = config.Load(filepath.Join(i.Folder, devsetup.ConfigName)); err != nil {
		s.t.Fatal(err)
	}
	i.Authority, i.File = filepath.Join(i.Folder, "tls", "ca.crt"), filepath.Join(i.Folder, name+".toml")
	c := i.Config
	c.Issuer, c.ListenMTLS.URL = s.address(name, 0), s.address("mtls."+name, 1)
	c.Listen.Address, c.ListenMTLS.Address = fmt.Sprintf("127.0.0.1:%d", s.ports[0]), fmt.Sprintf("127.0.0.1:%d", s.ports[1])
	if name != issuers.Main { // what belongs to the process
		c.Listen.Address, c.ListenMTLS.Address, c.Telemetry, c.Limits.DrainTime = "", "", config.Telemetry{}, 0
	}
	if s.change != nil {
		s.change(name, c)
	}
	if name != issuers.Main {
		s.write(i.File, c)
	}
	s.Issuers[name] = i
}

// Rewrite writes the file of an issuer again, with its configuration as it was written, changed. It is for what [Templates.NewUnread]
// has made.
func (s *Several) Rewrite(name string, change func(c *config.Config)) {
	s.t.Helper()
	changed := *s.Issuers[name].Config
	change(&changed)
	s.write(s.Issuers[name].File, &changed)
}

// address is that of a host on one of the ports.
func (s *Several) address(host string, port int) string {
	return fmt.Sprintf("https://%s.localhost:%d", host, s.ports[port])
}

// writeMain writes the main file with some issuers beside its own.
func (s *Several) writeMain(further ...string) {
	s.t.Helper()
	main := s.Issuers[issuers.Main]
	s.File, main.Config.Issuers = main.File, nil
	for _, name := range further {
		main.Config.Issuers = append(main.Config.Issuers, config.Issuer{Name: name, File: config.File(s.Issuers[name].File)})
	}
	s.write(s.File, main.Config)
}

// Write writes the main file with some issuers beside its own, and reads all.
func (s *Several) Write(further ...string) {
	s.t.Helper()
	s.writeMain(further...)
	var err error
	if s.Main, err = config.Load(s.File); err != nil {
		s.t.Fatal(err)
	}
	s.Names = append([]string{issuers.Main}, further...)
	for _, name := range s.Names {
		if s.Issuers[name].Config, err = issuers.Named(s.Main, name); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *Several) write(file string, c *config.Config) {
	s.t.Helper()
	if err := os.WriteFile(file, []byte(c.Commented()), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// Transport reaches all issuers, whatever the name service says of their hosts. It trusts the authorities of all of them, and shows a
// certificate, if it is not nil.
func (s *Several) Transport(certificate *tls.Certificate) *http.Transport {
	transport := &http.Transport{TLSClientConfig: s.Trust(certificate), ForceAttemptHTTP2: true, DialContext: s.Dial}
	s.t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// Trust trusts the authorities of all issuers, and shows a certificate, if it is not nil.
func (s *Several) Trust(certificate *tls.Certificate) *tls.Config {
	s.t.Helper()
	trust := &tls.Config{RootCAs: x509.NewCertPool()}
	for _, i := range s.Issuers {
		authority, err := os.ReadFile(i.Authority)
		if err != nil {
			s.t.Fatal(err)
		}
		trust.RootCAs.AppendCertsFromPEM(authority)
	}
	if certificate != nil {
		trust.Certificates = []tls.Certificate{*certificate}
	}
	return trust
}

// Dial reaches a port of this machine, whatever the host.
func (s *Several) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

// Host is the host and port of an issuer, or of its listener for client certificates.
func (s *Several) Host(name string, mutual bool) string {
	address := s.Issuers[name].Config.Issuer
	if mutual {
		address = s.Issuers[name].Config.ListenMTLS.URL
	}
	parsed, err := url.Parse(address)
	if err != nil {
		s.t.Fatal(err)
	}
	return parsed.Host
}
