// Package setuptest makes installations for tests: with a development key file, so that no other process is needed, and
// on free ports.
package setuptest

import (
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"countersign/internal/devsetup"
)

// Installation is what [devsetup.Make] made in a folder of the test.
type Installation struct {
	devsetup.Result
	Folder string
	// File is the configuration file.
	File string
	// DemoPort is where the demo's client takes its redirect.
	DemoPort int
	// Roots vouch for the server.
	Roots *x509.CertPool
}

// New makes an installation.
func New(t *testing.T) *Installation {
	t.Helper()
	i := &Installation{Folder: filepath.Join(t.TempDir(), "local"), Roots: x509.NewCertPool()}
	i.File = filepath.Join(i.Folder, devsetup.ConfigName)
	ports, err := FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	i.DemoPort = ports[2]
	i.Result, err = devsetup.Make(t.Context(), devsetup.Options{
		Folder: i.Folder, Port: ports[0], MTLSPort: ports[1], DemoPort: ports[2], DevKeys: true, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	authority, err := os.ReadFile(i.Authority)
	if err != nil || !i.Roots.AppendCertsFromPEM(authority) {
		t.Fatalf("%s: %v", i.Authority, err)
	}
	return i
}

// FreePorts finds ports that nobody listens on.
func FreePorts(count int) ([]int, error) {
	var ports []int
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close() // all at once, so that no two are the same
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
