// Package setupcommands is the command line for what comes first: to set an installation up, and to say what the program is.
package setupcommands

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"countersign/internal/admin"
	"countersign/internal/config"
	"countersign/internal/config/issuers"
	"countersign/internal/devsetup"
	"countersign/internal/hsm"
	"countersign/internal/layout"
	"countersign/internal/usercommands"
)

// Init prepares an installation.
type Init struct {
	Dir string `placeholder:"DIR" help:"Folder to write to; local by default, /etc/countersign with --system."`
	Dev bool   `help:"Make everything to try it on this machine: certificates, an HSM token in SoftHSM2 with keys, a database, users and clients."`

	System          bool              `group:"For production:" help:"Lay out what the service of the package and its unit expect: /etc/countersign, which the service's user may read, and /var/lib/countersign, which is its own. For root."`
	Name            string            `placeholder:"NAME" group:"For production:" help:"With --system: a further issuer of the service that is there, by this name: NAME.toml beside countersign.toml, and /var/lib/countersign/NAME for its store. See docs/issuers.md."`
	Issuer          string            `placeholder:"URL" group:"For production:" help:"Issuer identifier, such as https://login.example."`
	Module          string            `placeholder:"FILE" group:"For production:" help:"The HSM vendor's PKCS#11 module."`
	Environment     map[string]string `placeholder:"NAME=VALUE" group:"For production:" help:"What the module needs in its environment, such as SOFTHSM2_CONF=/etc/countersign/softhsm2.conf; may be repeated."`
	Token           string            `placeholder:"LABEL" group:"For production:" help:"Label of the token that holds the keys."`
	PINFile         string            `name:"pin-file" placeholder:"FILE" group:"For production:" help:"File that holds the token's user PIN, or credential:NAME; with --system /etc/countersign/pin by default."`
	MTLSURL         string            `name:"mtls-url" placeholder:"URL" group:"For production:" help:"Public address of a second listener, for client certificates, such as https://mtls.login.example; it listens on port 8444."`
	StoreURLFile    string            `name:"store-url-file" placeholder:"FILE" group:"For production:" help:"File that holds the PostgreSQL URL; or credential:NAME. Without it the store is an SQLite file."`
	StoreFile       string            `placeholder:"FILE" group:"For production:" help:"The SQLite file, where there is no PostgreSQL: best outside of the configuration's folder; countersign.db by default, /var/lib/countersign/countersign.db with --system."`
	Owner           string            `placeholder:"USER" group:"For production:" help:"The user that the server runs as: gets the folder and the configuration, or with --system the right to read them; countersign by default then. For root."`
	CertificateFile string            `placeholder:"FILE" default:"tls/server.crt" group:"For production:" help:"TLS certificate chain."`
	KeyFile         string            `placeholder:"FILE" default:"tls/server.key" group:"For production:" help:"Private key of the TLS certificate; or credential:NAME."`

	Port     int      `placeholder:"PORT" group:"With --dev:" help:"Port of the issuer; 8443, or what it was."`
	MTLSPort int      `name:"mtls-port" placeholder:"PORT" group:"With --dev:" help:"Port of the listener for client certificates; 8444, or what it was."`
	DemoPort int      `placeholder:"PORT" group:"With --dev:" help:"Port where the demo client takes its redirect; 8445, or what it was."`
	DevKeys  bool     `group:"With --dev:" help:"Keep the keys in an encrypted file instead of SoftHSM2; never for production."`
	Host     []string `placeholder:"NAME" group:"With --dev:" help:"More names or addresses for the TLS certificate."`
}

// Help implements kong.HelpProvider.
func (Init) Help() string {
	return `With --dev: may be repeated; it keeps what is there and makes what is missing. Everything
is below one folder that is closed to others; remove the folder to start again.

Without --dev: writes a configuration with comments, and prints what it did and what remains to be done.
It makes no keys and no certificates. With --system it may be repeated: what is there keeps its content
and gets its owner and mode again.

Examples:
  countersign init --dev
  countersign init --dev --dev-keys     # without SoftHSM2
  countersign init --system --issuer https://login.example --module /usr/lib/vendor/pkcs11.so --token countersign
  countersign init --system --name brand --issuer https://login.brand.example --module /usr/lib/vendor/pkcs11.so --token brand
  countersign init --dir /etc/countersign --issuer https://login.example \
    --owner countersign --module /usr/lib/vendor/pkcs11.so --token countersign --pin-file credential:hsm-pin \
    --store-url-file credential:store-url`
}

// Run implements the command.
func (c Init) Run(ctx context.Context, p *usercommands.Program) error {
	switch {
	case c.Dev && c.System:
		return admin.Usagef("--dev is to try Countersign on this machine, --system for a service: give one of them")
	case c.Dev:
		return c.development(ctx, p)
	}
	return c.production(p)
}

// development makes everything to try it, and prints in five lines what there is and what to try.
func (c Init) development(ctx context.Context, p *usercommands.Program) error {
	if c.Dir == "" {
		c.Dir = "local"
	}
	there, err := devsetup.Make(ctx, devsetup.Options{
		Folder: c.Dir, Port: c.Port, MTLSPort: c.MTLSPort, DemoPort: c.DemoPort, Hosts: c.Host, DevKeys: c.DevKeys, Now: p.Now,
	})
	if err != nil {
		return err
	}
	made := "everything was there already"
	if len(there.Made) > 0 {
		made = "made " + strings.Join(there.Made, ", ")
	}
	printf := func(format string, arguments ...any) { fmt.Fprintf(p.Stdout, format, arguments...) }
	printf("%s: %s\n", c.Dir, made)
	if warning := hsm.Warning(there.Config.Signer); warning != "" {
		printf("warning: %s\n", warning)
	}
	printf("issuer %s, for client certificates %s\n", there.Config.Issuer, there.Config.ListenMTLS.URL)
	printf("users alice and bob, password in %s; let your browser trust %s (it vouches for %s only)\n",
		there.Password, there.Authority, strings.Join(there.Hosts, ", "))
	printf("try, while it serves:  countersign demo        (--auto needs no browser)\n")
	printf("or:  curl --cacert %s %s/.well-known/openid-configuration\n", there.Authority, there.Config.Issuer)
	return nil
}

// filled has what was not said, which depends on --system.
func (c Init) filled() Init {
	choose := func(value *string, plain, system string) {
		switch {
		case *value != "":
		case c.System:
			*value = system
		default:
			*value = plain
		}
	}
	choose(&c.Dir, "local", layout.Configuration)
	pin, store := "pin", "countersign.db"
	if c.Name != "" {
		pin, store = c.Name+".pin", c.Name+"/countersign.db"
		for flag, own := range map[*string]string{&c.CertificateFile: "tls/" + c.Name + ".crt", &c.KeyFile: "tls/" + c.Name + ".key"} {
			if *flag == "tls/server.crt" || *flag == "tls/server.key" {
				*flag = own
			}
		}
	}
	choose(&c.PINFile, "", layout.Configuration+"/"+pin)
	choose(&c.StoreFile, "countersign.db", layout.State+"/"+store)
	choose(&c.Owner, "", layout.User)
	return c
}

// further says what is wrong with the name of a further issuer.
func (c Init) further() error {
	if problems := issuers.Problems([]issuers.Issuer{{Name: c.Name}}); len(problems) > 0 {
		return admin.Usagef("--name %s: %s", c.Name, problems[0].Text)
	}
	if c.Name == strings.TrimSuffix(layout.File, ".toml") {
		return admin.Usagef("--name %s: its file would be that of the service; choose another", c.Name)
	}
	if !c.System {
		return admin.Usagef("--name is for a further issuer of a service: give --system too")
	}
	return nil
}

// production writes a configuration from the flags.
func (c Init) production(p *usercommands.Program) error {
	if c.Name != "" {
		if err := c.further(); err != nil {
			return err
		}
	}
	c = c.filled()
	var missing []string
	for _, flag := range [][2]string{{"--issuer", c.Issuer}, {"--module", c.Module}, {"--token", c.Token}, {"--pin-file", c.PINFile}} {
		if flag[1] == "" {
			missing = append(missing, flag[0])
		}
	}
	if len(missing) > 0 {
		return admin.Usagef("a configuration for production needs %s too; to try Countersign on this machine: countersign init --dev", strings.Join(missing, ", "))
	}
	made, err := layout.Layout{System: c.System, Folder: c.Dir, Owner: c.Owner, Issuer: c.Name}.Make([]byte(c.configuration().Commented()))
	for _, line := range made.Lines {
		fmt.Fprintln(p.Stdout, line)
	}
	if err != nil {
		return err
	}
	// The values may be wrong; the file stays to be edited, and the report says what.
	var process []*config.Config
	if c.Name != "" {
		main, err := config.LoadValues(filepath.Join(c.Dir, layout.File))
		if err != nil {
			return err
		}
		process = append(process, main)
	}
	if _, err := config.LoadValues(made.File, process...); err != nil {
		return err
	}
	c.next(p, made.File)
	return nil
}

// configuration is what the flags say.
func (c Init) configuration() *config.Config {
	wanted := &config.Config{
		Issuer: c.Issuer,
		Listen: config.Listen{Address: "0.0.0.0:8443", CertificateFile: config.File(c.CertificateFile), KeyFile: config.Secret(c.KeyFile)},
		Store:  config.Store{Driver: "sqlite", File: config.File(c.StoreFile)},
		Signer: config.Signer{Module: config.File(c.Module), Token: c.Token, PINFile: config.Secret(c.PINFile), Environment: c.Environment},
	}
	if c.StoreURLFile != "" {
		wanted.Store = config.Store{Driver: "postgres", URL: config.Secret(c.StoreURLFile)}
	}
	if c.MTLSURL != "" {
		wanted.ListenMTLS = config.ListenMTLS{Address: "0.0.0.0:8444", URL: c.MTLSURL}
	}
	if c.Name != "" { // the addresses belong to the process
		wanted.Listen.Address, wanted.ListenMTLS.Address = "", ""
	}
	return wanted
}

// next prints what remains to be done, with commands that can be run as they are.
func (c Init) next(p *usercommands.Program, file string) {
	as, serve := "countersign", "countersign serve --config "+file
	if c.Name != "" {
		c.nextOfIssuer(p, file)
		return
	}
	if c.System {
		as, serve = "sudo -u "+c.Owner+" countersign", "systemctl enable --now countersign"
		fmt.Fprintf(p.Stdout, "to be put there by you, for user %s to read: %s, %s, %s\n", c.Owner, c.PINFile, c.CertificateFile, c.KeyFile)
	}
	fmt.Fprintf(p.Stdout, `look through %[1]s, put the files in place that it names, then
  %[2]s doctor --config %[1]s
  %[2]s migrate up --config %[1]s
  %[2]s keys generate --config %[1]s --alg PS256 --activate   # and ES256, EdDSA for clients that want them
  %[3]s
`, file, as, serve)
}

// nextOfIssuer prints what remains to be done for a further issuer.
func (c Init) nextOfIssuer(p *usercommands.Program, file string) {
	main := filepath.Join(c.Dir, layout.File)
	fmt.Fprintf(p.Stdout, "to be put there by you, for user %s to read: %s, %s, %s\n", c.Owner, c.PINFile, c.CertificateFile, c.KeyFile)
	fmt.Fprintf(p.Stdout, `look through %[1]s, put the files in place that it names, and name it at the end of %[2]s:
  [[issuers]]
  name = %[3]q
  file = %[4]q
then, before the server reads it,
  sudo -u %[5]s countersign doctor --config %[2]s --issuer %[3]s
  sudo -u %[5]s countersign migrate up --config %[2]s --issuer %[3]s
  sudo -u %[5]s countersign keys generate --config %[2]s --issuer %[3]s --alg PS256 --activate
  systemctl reload countersign     # the first one: systemctl restart countersign
`, file, main, c.Name, filepath.Base(file), c.Owner)
}
