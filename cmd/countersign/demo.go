package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/term"

	"countersign/internal/demo"
	"countersign/internal/devsetup"
)

// demoCommand shows the flow.
type demoCommand struct {
	Auto bool   `help:"Play the browser too: nobody has to sign in."`
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
	made, err := devsetup.LoadDemo(settings)
	if err != nil {
		return err
	}
	terminal, _ := p.stdout.(*os.File)
	return demo.Run(ctx, demo.Config{
		Issuer: settings.Issuer, Roots: made.Roots, ClientID: made.ClientID, Scope: made.Scope,
		RedirectURI: fmt.Sprintf("https://localhost:%d/callback", c.Port), Callback: made.Callback,
		ClientKey: made.ClientKey, ProofKey: made.ProofKey,
		Auto: c.Auto, Username: c.User, Password: made.Password, Open: openBrowser,
		Out: p.stdout, Color: terminal != nil && term.IsTerminal(int(terminal.Fd())) && os.Getenv("NO_COLOR") == "", Now: p.now,
	})
}

// openBrowser asks the desktop to open an address.
func openBrowser(address string) error {
	command := "xdg-open"
	if runtime.GOOS == "darwin" {
		command = "open"
	}
	return exec.Command(command, address).Start()
}
