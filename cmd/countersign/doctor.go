package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"countersign/internal/buildinfo"
	"countersign/internal/console"
	"countersign/internal/doctor"
	"countersign/internal/issuers"
)

// doctorCommands are the examinations.
type doctorCommands struct {
	Check       doctorCommand            `cmd:"" default:"withargs" help:"Check the installation and report what to fix."`
	Certificate doctorCertificateCommand `cmd:"" help:"Say whether a client's certificate is accepted here, and if not, why."`
	Ingress     doctorIngressCommand     `cmd:"" help:"Try to deceive a running ingress, and report whether it is safe."`
}

// Help implements kong.HelpProvider.
func (doctorCommands) Help() string {
	return `Without a subcommand it checks the installation, as doctor check does.

Examples:
  countersign doctor
  countersign doctor certificate c1.crt
  countersign doctor ingress https://mtls.login.example --client-id c1 --certificate c1.crt --key c1.key`
}

// doctorCommand checks an installation.
type doctorCommand struct{ jsonLines }

// Help implements kong.HelpProvider.
func (doctorCommand) Help() string {
	return `Changes nothing. Each line begins with ok, warn or FAIL; the exit code is 1 if something
failed, and 2 if the configuration is wrong. Run it as the user that the server runs as.

Examples:
  countersign doctor
  countersign doctor --config /etc/countersign/countersign.toml`
}

// doctorTimeout bounds the examination of an installation.
const doctorTimeout = time.Minute

// Run implements the command.
func (c doctorCommand) Run(ctx context.Context, p *program) error {
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	settings, err := p.loadConfig()
	if err != nil {
		return err
	}
	path, err := p.configPath()
	if err != nil {
		return err
	}
	options := doctor.Options{Config: settings, File: path, Build: buildinfo.Read(), Now: p.now}
	d := doctor.New(options)
	defer d.Close()
	checks := d.Checks()
	if p.issuer.Name == "" {
		all, err := issuers.Load(settings)
		if err != nil {
			all = all[:1] // what is wrong with the others is among what is said of the configuration
		}
		for n, one := range all[1:] {
			other := options
			other.Config, other.File, other.Further = one.Config, settings.Issuers[n].File.Path(), true
			beside := doctor.New(other)
			defer beside.Close()
			checks = append(checks, doctor.Named(one.Name, beside.Checks())...)
		}
	}
	return p.examine(ctx, checks, c.JSON, "")
}

// examine prints what the checks find, and praise when none fails.
func (p *program) examine(ctx context.Context, checks []doctor.Check, asJSON bool, praise string) error {
	failed, err := doctor.Run(ctx, checks, func(f doctor.Finding) {
		if asJSON {
			_ = console.WriteJSONLines(p.stdout, []doctor.Finding{f})
			return
		}
		p.printf("%-5s %-8s %s\n", f.Outcome, f.Topic, console.OneLine(f.Text))
	})
	if err != nil {
		return err
	}
	if failed {
		return silentError{}
	}
	if !asJSON {
		p.printf("%s", praise)
	}
	return nil
}

// doctorCertificateCommand examines a client's certificate.
type doctorCertificateCommand struct {
	File string `arg:"" type:"existingfile" help:"The client's certificate, PEM, with the intermediates that it sends, its own first."`
	jsonLines
}

// Help implements kong.HelpProvider.
func (doctorCertificateCommand) Help() string {
	return `Prints the subject as it has to be registered, the kind of the key, whether the handshake of this
server takes the certificate, and which authorities trust it. Nothing is changed and nothing is
fetched: revocation is not looked up. The exit code is 1 if the certificate cannot be used.

Example:
  countersign doctor certificate c1.crt`
}

// Run implements the command.
func (c doctorCertificateCommand) Run(ctx context.Context, p *program) error {
	settings, err := p.loadConfig()
	if err != nil {
		return err
	}
	return p.examine(ctx, doctor.ClientCertificate{File: c.File, Config: settings, Now: p.now}.Checks(), c.JSON, "")
}

// doctorIngressCommand tries an ingress from outside.
type doctorIngressCommand struct {
	URL         string `arg:"" help:"Public address of the listener for client certificates (listen_mtls.url), as clients reach it."`
	ClientID    string `required:"" name:"client-id" help:"A client that is registered with tls_client_auth or self_signed_tls_client_auth."`
	Certificate string `required:"" type:"existingfile" help:"Its certificate, PEM, with the intermediates if it has any."`
	Key         string `required:"" type:"existingfile" help:"The key of that certificate, PEM."`
	CA          string `name:"ca" type:"existingfile" help:"Authorities, PEM, of the ingress's own certificate; else the system's."`
	jsonLines
}

// Help implements kong.HelpProvider.
func (doctorIngressCommand) Help() string {
	return `Sends the client's certificate, none, forged headers of every kind of ingress, certificates
that are too large, and certificates made to confuse an ingress. No token is requested and nothing is
changed; the server's log will show the forgeries. The exit code is 1 if one of them worked.

Example:
  countersign doctor ingress https://mtls.login.example --client-id c1 --certificate c1.crt --key c1.key`
}

// Run implements the command.
func (c doctorIngressCommand) Run(ctx context.Context, p *program) error {
	own, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
	if err != nil {
		return fmt.Errorf("--certificate and --key: %w", err)
	}
	ingress := doctor.Ingress{URL: c.URL, ClientID: c.ClientID, Certificate: own, Now: p.now}
	if c.CA != "" {
		if ingress.Roots, err = doctor.ReadRoots(c.CA); err != nil {
			return fmt.Errorf("--ca: %w", err)
		}
	}
	checks, err := ingress.Checks()
	if err != nil {
		return err
	}
	return p.examine(ctx, checks, c.JSON, fmt.Sprintf("%-5s %-8s %s\n", doctor.OK, "ingress", "nothing that was tried deceived it"))
}
