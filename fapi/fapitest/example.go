package fapitest

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"countersign/internal/outbound"
)

// Example is a running program of examples/ that the server asks over mutual TLS.
type Example struct {
	Address string
	// Authority issues the certificates that it accepts, of the name countersign, and Roots trusts its own.
	Authority Authority
	Roots     *x509.CertPool
}

// RunExample runs one until the test ends: run writes its address to out. What it knows is in a file that a flag names.
func RunExample(t *testing.T, run func(ctx context.Context, arguments []string, out io.Writer) error, flag, known string) *Example {
	t.Helper()
	folder := t.TempDir()
	write := func(name string, content []byte) string {
		t.Helper()
		file := filepath.Join(folder, name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	encode := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	e := &Example{Authority: NewAuthority(t, "Countersign CA", time.Now())}
	var own tls.Certificate
	own, e.Roots = ServerCertificate(t)
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	arguments := []string{
		"-listen", "127.0.0.1:0", "-certificate", write("server.crt", encode("CERTIFICATE", own.Certificate[0])),
		"-key", write("server.key", encode("PRIVATE KEY", key)), "-client-ca", write("ca.crt", encode("CERTIFICATE", e.Authority.Certificate.Raw)),
		"-client", "countersign", flag, write("known.json", []byte(known)),
	}
	ctx, stop := context.WithCancel(context.Background())
	lines, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, arguments, out)
		out.CloseWithError(err) // nobody waits for an address that does not come
		ended <- err
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	line, err := bufio.NewReader(lines).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	e.Address = strings.TrimSpace(line)
	return e
}

// Policy reaches the example as the server does, with the certificate of a name.
func (e *Example) Policy(t *testing.T, name string) outbound.Policy {
	t.Helper()
	return e.Authority.Policy(t, e.Roots, name)
}

// Policy reaches a server on loopback that roots trusts, and shows it a certificate of the authority, of a name.
func (a Authority) Policy(t *testing.T, roots *x509.CertPool, name string) outbound.Policy {
	t.Helper()
	shown := new(atomic.Pointer[tls.Certificate])
	shown.Store(new(a.Issue(t, name, time.Now())))
	return outbound.Policy{AllowLoopback: true, Roots: roots, Timeout: 5 * time.Second, Now: time.Now, Certificate: shown}
}
