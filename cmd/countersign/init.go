package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"countersign/internal/admin"
	"countersign/internal/config"
	"countersign/internal/console"
	"countersign/internal/devsetup"
	"countersign/internal/hsm"
)

// initCommand prepares an installation.
type initCommand struct {
	Dir string `default:"local" placeholder:"DIR" help:"Folder to write to; local by default."`
	Dev bool   `help:"Make everything to try it on this machine: certificates, an HSM token in SoftHSM2 with keys, a database, users and clients."`

	Issuer          string `placeholder:"URL" group:"For production:" help:"Issuer identifier, such as https://login.example."`
	Module          string `placeholder:"FILE" group:"For production:" help:"The HSM vendor's PKCS#11 module."`
	Token           string `placeholder:"LABEL" group:"For production:" help:"Label of the token that holds the keys."`
	PINFile         string `name:"pin-file" placeholder:"FILE" group:"For production:" help:"File that holds the token's user PIN; or credential:NAME."`
	StoreURLFile    string `name:"store-url-file" placeholder:"FILE" group:"For production:" help:"File that holds the PostgreSQL URL; or credential:NAME. Without it the store is an SQLite file."`
	StoreFile       string `placeholder:"FILE" default:"countersign.db" group:"For production:" help:"The SQLite file, where there is no PostgreSQL: best outside of the configuration's folder, such as /var/lib/countersign/countersign.db."`
	Owner           string `placeholder:"USER" group:"For production:" help:"The user that the server runs as: gets the folder and the configuration. For root."`
	CertificateFile string `placeholder:"FILE" default:"tls/server.crt" group:"For production:" help:"TLS certificate chain."`
	KeyFile         string `placeholder:"FILE" default:"tls/server.key" group:"For production:" help:"Private key of the TLS certificate; or credential:NAME."`

	Port     int      `placeholder:"PORT" group:"With --dev:" help:"Port of the issuer; 8443, or what it was."`
	MTLSPort int      `name:"mtls-port" placeholder:"PORT" group:"With --dev:" help:"Port of the listener for client certificates; 8444, or what it was."`
	DemoPort int      `placeholder:"PORT" group:"With --dev:" help:"Port where the demo client takes its redirect; 8445, or what it was."`
	DevKeys  bool     `group:"With --dev:" help:"Keep the keys in an encrypted file instead of SoftHSM2; never for production."`
	Host     []string `placeholder:"NAME" group:"With --dev:" help:"More names or addresses for the TLS certificate."`
}

// Help implements kong.HelpProvider.
func (initCommand) Help() string {
	return `With --dev: may be repeated; it keeps what is there and makes what is missing. Everything
is below one folder that is closed to others; remove the folder to start again.

Without --dev: writes a configuration with comments and prints what remains to be done. It
makes no keys and no certificates.

Examples:
  countersign init --dev
  countersign init --dev --dev-keys     # without SoftHSM2
  countersign init --dir /etc/countersign --issuer https://login.example \
    --owner countersign --module /usr/lib/vendor/pkcs11.so --token countersign --pin-file credential:hsm-pin \
    --store-url-file credential:store-url`
}

// Run implements the command.
func (c initCommand) Run(ctx context.Context, p *program) error {
	if c.Dev {
		return c.development(ctx, p)
	}
	return c.production(p)
}

// development makes everything to try it, and prints in five lines what there is and what to try.
func (c initCommand) development(ctx context.Context, p *program) error {
	there, err := devsetup.Make(ctx, devsetup.Options{
		Folder: c.Dir, Port: c.Port, MTLSPort: c.MTLSPort, DemoPort: c.DemoPort, Hosts: c.Host, DevKeys: c.DevKeys, Now: p.now,
	})
	if err != nil {
		return err
	}
	made := "everything was there already"
	if len(there.Made) > 0 {
		made = "made " + strings.Join(there.Made, ", ")
	}
	p.printf("%s: %s\n", c.Dir, made)
	if warning := hsm.Warning(there.Config.Signer); warning != "" {
		p.printf("warning: %s\n", warning)
	}
	p.printf("issuer %s, for client certificates %s\n", there.Config.Issuer, there.Config.ListenMTLS.URL)
	p.printf("users alice and bob, password in %s; let your browser trust %s (it vouches for %s only)\n",
		there.Password, there.Authority, strings.Join(there.Hosts, ", "))
	p.printf("try, while it serves:  countersign demo        (--auto needs no browser)\n")
	p.printf("or:  curl --cacert %s %s/.well-known/openid-configuration\n", there.Authority, there.Config.Issuer)
	return nil
}

// production writes a configuration from the flags.
func (c initCommand) production(p *program) error {
	var missing []string
	for _, flag := range [][2]string{{"--issuer", c.Issuer}, {"--module", c.Module}, {"--token", c.Token}, {"--pin-file", c.PINFile}} {
		if flag[1] == "" {
			missing = append(missing, flag[0])
		}
	}
	if len(missing) > 0 {
		return admin.Usagef("a configuration for production needs %s too; to try Countersign on this machine: countersign init --dev", strings.Join(missing, ", "))
	}
	wanted := &config.Config{
		Issuer: c.Issuer,
		Listen: config.Listen{Address: "0.0.0.0:8443", CertificateFile: config.File(c.CertificateFile), KeyFile: config.Secret(c.KeyFile)},
		Store:  config.Store{Driver: "sqlite", File: config.File(c.StoreFile)},
		Signer: config.Signer{Module: config.File(c.Module), Token: c.Token, PINFile: config.Secret(c.PINFile)},
	}
	if c.StoreURLFile != "" {
		wanted.Store = config.Store{Driver: "postgres", URL: config.Secret(c.StoreURLFile)}
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	file := filepath.Join(c.Dir, devsetup.ConfigName)
	err := console.WriteNew(file, []byte(wanted.Commented()), 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("there is a configuration %s already; edit it, or remove it first", file)
	}
	if err != nil {
		return err
	}
	if err := c.own(p, file); err != nil {
		return err
	}
	// The values may be wrong; the file stays to be edited, and the report says what.
	if _, err := config.LoadValues(file); err != nil {
		return err
	}
	p.printf(`wrote %[1]s; look through it, put the files in place that it names, then
  countersign doctor --config %[1]s
  countersign migrate up --config %[1]s
  countersign keys generate --config %[1]s --alg PS256 --activate   # and ES256, EdDSA for clients that want them
  countersign serve --config %[1]s
`, file)
	return nil
}

// own gives what was written to the user of the server, or says who cannot read it.
func (c initCommand) own(p *program, file string) error {
	if c.Owner != "" {
		return console.Give(c.Owner, c.Dir, file)
	}
	if os.Geteuid() == 0 {
		p.printf("only root can enter %s now; where the server runs as another user: chown -R USER %[1]s (or init with --owner USER)\n", c.Dir)
	}
	return nil
}
