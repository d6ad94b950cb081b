package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/term"

	"countersign/internal/demo"
	"countersign/internal/jose"
)

// demoCommand shows the flow.
type demoCommand struct {
	Auto bool   `help:"Play the browser too: no person is needed."`
	User string `default:"alice" help:"Who signs in with --auto."`
	Port int    `default:"8445" help:"Where the demo waits for the browser; as given to init."`
}

// Help implements kong.HelpProvider.
func (demoCommand) Help() string {
	return `Needs what "countersign init --dev" made, and the server running (make run). Ends with exit
code 0 when every message was as it should be.

Examples:
  countersign demo           # opens your browser
  countersign demo --auto    # plays the browser too`
}

// Run implements the command.
func (c demoCommand) Run(ctx context.Context, p *program) error {
	settings, err := p.loadConfig()
	if err != nil {
		return err
	}
	folder := filepath.Dir(settings.Listen.CertificateFile.Path()) // …/tls
	state := filepath.Dir(folder)
	authority, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is missing: the demo needs what countersign init --dev makes", filepath.Join(folder, "ca.crt"))
	}
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	keyFile, err := settings.Listen.KeyFile.Path()
	if err != nil {
		return err
	}
	callback, err := tls.LoadX509KeyPair(settings.Listen.CertificateFile.Path(), keyFile)
	if err != nil {
		return fmt.Errorf("the certificate for the callback: %w", err)
	}
	clientKey, err := readDemoKey(filepath.Join(state, "demo", demoDPoP+".jwk"))
	if err != nil {
		return err
	}
	proofKey, err := readDemoKey(filepath.Join(state, "demo", demoDPoP+"-proof.jwk"))
	if err != nil {
		return err
	}
	password, err := os.ReadFile(filepath.Join(state, "demo", "password"))
	if err != nil {
		return err
	}
	terminal, _ := p.stdout.(*os.File)
	return demo.Run(ctx, demo.Config{
		Issuer: settings.Issuer, Roots: roots, ClientID: demoDPoP, RedirectURI: fmt.Sprintf("https://localhost:%d/callback", c.Port),
		Scope: "openid accounts offline_access", ClientKey: clientKey, ProofKey: proofKey, Callback: callback,
		Auto: c.Auto, Username: c.User, Password: strings.TrimSpace(string(password)), Open: openBrowser,
		Out: p.stdout, Color: terminal != nil && term.IsTerminal(int(terminal.Fd())) && os.Getenv("NO_COLOR") == "", Now: p.now,
	})
}

func readDemoKey(file string) (jose.PrivateKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return jose.PrivateKey{}, fmt.Errorf("the demo's key (countersign init --dev makes it): %w", err)
	}
	key, err := jose.ParsePrivateJWK(bytes.TrimSpace(text))
	if err != nil {
		return jose.PrivateKey{}, fmt.Errorf("%s: %w", file, err)
	}
	return key, nil
}

// openBrowser asks the desktop to open an address.
func openBrowser(address string) error {
	command := "xdg-open"
	if runtime.GOOS == "darwin" {
		command = "open"
	}
	return exec.Command(command, address).Start()
}
