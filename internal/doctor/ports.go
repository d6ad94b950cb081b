package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"countersign/internal/config"
	"countersign/internal/config/value"
	"countersign/internal/listening"
)

// askTimeout is how long a listener has to answer.
const askTimeout = 5 * time.Second

// ports finds out whether the ports are free or answered by this server.
func (d *Doctor) ports(ctx context.Context) (f Findings) {
	addresses := []string{d.Config.Listen.Address}
	if d.Config.ListenMTLS.Address != "" {
		addresses = append(addresses, d.Config.ListenMTLS.Address)
	}
	f.others(ctx, d.Config)
	for _, address := range addresses {
		if socket, ok := strings.CutPrefix(address, value.SocketPrefix); ok {
			f.socket(ctx, socket)
			continue
		}
		err := tryListen(ctx, address)
		switch {
		case err == nil:
			f.ok("port", "%s is free: the server is not running", address)
		case d.ours(ctx, address):
			f.ok("port", "%s is this server's, and it answers", address)
		default:
			f.fail("port", "%v", listening.Error("port", address, err))
		}
	}
	return f
}

// others finds out whether the ports for operators are free. A running server has them, or does not run.
func (f *Findings) others(ctx context.Context, c *config.Config) {
	if answers(ctx, c) {
		return
	}
	for key, address := range map[string]string{"metrics.listen": c.Metrics.Listen, "admin.listen": c.Admin.Listen} {
		if address == "" || strings.HasPrefix(address, value.SocketPrefix) {
			continue
		}
		if err := tryListen(ctx, address); err != nil {
			f.fail("port", "%v", listening.Error(key, address, err))
		}
	}
}

func tryListen(ctx context.Context, address string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return listener.Close()
}

// ours reports whether this server answers at the address of a listener.
func (d *Doctor) ours(ctx context.Context, address string) bool {
	return address == d.Config.Listen.Address && answers(ctx, d.Config) ||
		address == d.Config.ListenMTLS.Address && connects(ctx, d.Config, address)
}

// socket finds out whether a server answers on the socket of an ingress, and who may open it.
func (f *Findings) socket(ctx context.Context, name string) {
	folder, err := os.Stat(filepath.Dir(name))
	if err != nil {
		f.fail("port", "the folder of %s: %v", name, err)
		return
	}
	if folder.Mode().Perm()&others != 0 {
		f.warn("port", "every user of this machine may enter the folder of %s; only the mode of the socket keeps them from the place of the ingress", name)
	}
	connection, err := new(net.Dialer).DialContext(ctx, "unix", name)
	if err != nil {
		f.ok("port", "nobody answers on %s: the server is not running", name)
		return
	}
	f.ok("port", "a server answers on %s", name)
	_ = connection.Close() // nothing was sent
}

// trustingOwn is a TLS client that trusts this server's own certificate and nothing else.
func trustingOwn(c *config.Config, address string) (*tls.Config, error) {
	chain, err := readCertificates(c.Listen.CertificateFile.Path())
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	for _, certificate := range chain {
		roots.AddCert(certificate)
	}
	return &tls.Config{RootCAs: roots, ServerName: hostOf(address), MinVersion: tls.VersionTLS12}, nil
}

// answers asks the listener for its discovery document.
func answers(ctx context.Context, c *config.Config) bool {
	trust, err := trustingOwn(c, c.Issuer)
	if err != nil {
		return false
	}
	// The listener is asked where it listens, by the name that clients use.
	transport := &http.Transport{TLSClientConfig: trust, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", c.Listen.Address)
	}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Issuer+"/.well-known/openid-configuration", http.NoBody)
	if err != nil {
		return false
	}
	response, err := (&http.Client{Transport: transport, Timeout: askTimeout}).Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	var document struct {
		Issuer string `json:"issuer"`
	}
	err = json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&document)
	return err == nil && document.Issuer == c.Issuer
}

// connects makes a TLS connection to the mTLS listener.
func connects(ctx context.Context, c *config.Config, address string) bool {
	trust, err := trustingOwn(c, c.ListenMTLS.URL)
	if err != nil {
		return false
	}
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: askTimeout}, Config: trust}
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	return connection.Close() == nil
}
