package main

import (
	"context"
	"os"

	"golang.org/x/term"

	"countersign/internal/demo"
	"countersign/internal/devsetup"
)

// demoCommand shows the flow.
type demoCommand struct {
	Auto bool   `help:"Play the browser too: nobody has to sign in."`
	User string `default:"alice" help:"Who signs in with --auto."`
	Port int    `placeholder:"PORT" help:"Where the demo waits for the browser, in place of where init --dev has registered it."`
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
	if c.Port != 0 {
		made.RedirectURI = devsetup.Callback(c.Port)
	}
	terminal, _ := p.stdout.(*os.File)
	return demo.Run(ctx, demo.Config{
		Issuer: settings.Issuer, Roots: made.Roots, ClientID: made.ClientID, Scope: made.Scope,
		RedirectURI: made.RedirectURI, Callback: made.Callback,
		ClientKey: made.ClientKey, ProofKey: made.ProofKey,
		Auto: c.Auto, Username: c.User, Password: made.Password, Open: demo.OpenBrowser,
		Out: p.stdout, Color: terminal != nil && term.IsTerminal(int(terminal.Fd())) && os.Getenv("NO_COLOR") == "", Now: p.now,
	})
}
