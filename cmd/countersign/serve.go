package main

import (
	"context"

	"countersign/internal/buildinfo"
	"countersign/internal/serve"
)

// serveCommand is the server.
type serveCommand struct{}

// Help implements kong.HelpProvider.
func (serveCommand) Help() string {
	return `Starts only with a correct configuration, a reachable HSM and an up-to-date store, and reports
what is wrong otherwise. Log lines go to standard error. SIGTERM and SIGINT end it: requests
in flight are answered first. Notifies systemd when it is ready (Type=notify).

Examples:
  countersign serve
  countersign serve --config /etc/countersign/countersign.toml`
}

// Run implements the command.
func (serveCommand) Run(ctx context.Context, p *program) error {
	serve.TuneMemory()
	c, err := p.loadConfig()
	if err != nil {
		return err
	}
	return serve.Run(ctx, serve.Options{Config: c, Now: p.now, Log: p.stderr, Version: buildinfo.Read().Version})
}
