// Command bank starts a bank to click through, and an application of somebody else's that is connected to it: four programs on this
// machine, each with a port of its own.
//
//   - Northfold Bank: Countersign, with a configuration that this command makes (setup.go). Customers sign in there, decide, confirm
//     payments on their telephone (/device), and see and end what they gave (/account).
//   - The bank's API for accounts and payments, in examples/bank/api, on package rs.
//   - What tells Countersign which accounts a customer can choose from: examples/claims-source, as it is.
//   - Orchid Budget, the web application of a third party, in examples/bank/orchid, on package rp.
//
// make example builds and starts them all. Ctrl-C ends them all.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bank:", err)
		os.Exit(1)
	}
}

// place is where everything is.
type place struct {
	// folder is for what is made: keys, certificates, the configuration, the database, logs.
	folder string
	// programs is the folder of the programs that are started.
	programs string
	// issuer, mtls, demo, orchid, api and source are ports.
	issuer, mtls, demo, orchid, api, source int
	// softwareKeys keeps the server's keys in a file in place of SoftHSM2.
	softwareKeys bool
}

func (p place) issuerURL() string { return url(p.issuer) }
func (p place) orchidURL() string { return url(p.orchid) }
func (p place) apiURL() string    { return url(p.api) }
func (p place) sourceURL() string { return url(p.source) }

func url(port int) string { return fmt.Sprintf("https://localhost:%d", port) }

func (p place) file(name string) string    { return filepath.Join(p.folder, filepath.FromSlash(name)) }
func (p place) program(name string) string { return filepath.Join(p.programs, name) }
func (p place) log(name string) string     { return p.file("logs/" + name + ".log") }
func (p place) config() string             { return p.file("bank.toml") }
func (p place) certificate() (string, string) {
	return p.file("tls/server.crt"), p.file("tls/server.key")
}

func run(ctx context.Context, arguments []string) error {
	own, err := os.Executable()
	if err != nil {
		return err
	}
	var p place
	flags := flag.NewFlagSet("bank", flag.ContinueOnError)
	flags.StringVar(&p.folder, "dir", "local/bank", "`folder` for everything that is made")
	flags.StringVar(&p.programs, "programs", filepath.Dir(own), "`folder` of countersign, claims-source, bank-api and orchid")
	flags.IntVar(&p.issuer, "port", 8453, "`port` of the bank")
	flags.IntVar(&p.mtls, "mtls-port", 8454, "`port` of the bank's listener for client certificates")
	flags.IntVar(&p.demo, "demo-port", 8455, "`port` of the server's own demo, which is not started")
	flags.IntVar(&p.api, "api-port", 8456, "`port` of the bank's API")
	flags.IntVar(&p.orchid, "orchid-port", 8457, "`port` of the third party's application")
	flags.IntVar(&p.source, "accounts-port", 8458, "`port` of what tells the bank which accounts a customer has")
	flags.BoolVar(&p.softwareKeys, "dev-keys", false, "keep the server's keys in a file instead of SoftHSM2")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	password, err := setUp(ctx, p)
	if err != nil {
		return fmt.Errorf("set-up: %w", err)
	}
	programs := newGroup(ctx, p)
	defer programs.end()
	if err := programs.startAll(); err != nil {
		return err
	}
	fmt.Printf(`
Everything is there. Your browser will warn of the certificates, unless it trusts %s.

  1. Open %s and connect Northfold Bank. Sign in as %s with the password %s, and choose accounts.
  2. Pay a bill, and confirm it in a second browser, which stands for your telephone, at %s/device.
  3. Look at %s/account: it says what you gave, and ends it. Go back to Orchid Budget and see.

The logs are in %s. Ctrl-C ends everything; the next start keeps what is there.
`, p.file("tls/ca.crt"), p.orchidURL(), customer, password, p.issuerURL(), p.issuerURL(), p.file("logs"))
	return programs.wait()
}
