package main

import (
	"context"

	"countersign/internal/buildinfo"
	"countersign/internal/memory"
	"countersign/internal/reread"
	"countersign/internal/serve"
)

// serveCommand is the server.
type serveCommand struct{}

// Help implements kong.HelpProvider.
func (serveCommand) Help() string {
	return `Starts only with a correct configuration and an up-to-date store, and reports what is wrong
otherwise. It waits for its HSM: while that is away or refuses the PIN, /health/ready answers 503.
Log lines go to standard error. SIGTERM and SIGINT end it: requests in flight are answered first.
The configuration file, and the files that it names, are read again when they change, or at once by
SIGHUP (countersign config check says what that would change). Notifies systemd when it listens
(Type=notify).

Exit codes: 0 after SIGTERM, 2 for a wrong configuration, 69 for a database that cannot be
reached, 77 for a PIN that the HSM refuses (commands only), 1 for anything else.

Examples:
  countersign serve
  countersign serve --config /etc/countersign/countersign.toml`
}

// Run implements the command.
func (serveCommand) Run(ctx context.Context, p *program) error {
	memory.Tune()
	reload := reread.Hangups() // before anything else: SIGHUP must never end the program
	c, err := p.loadConfig()
	if err != nil {
		return err
	}
	file, err := p.configPath()
	if err != nil {
		return err
	}
	return serve.Run(ctx, serve.Options{
		Config: c, File: file, Note: serve.NoteFile(c), Now: p.now, Log: p.stderr, Reload: reload, Version: buildinfo.Read().Version,
	})
}
