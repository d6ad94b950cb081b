// Package devsetup makes everything to try the server on one machine, below one folder: certificates, keys in SoftHSM2 or
// in a file, a configuration, a database, users and clients. Each step keeps what is there, so that one that was
// interrupted is done by the next run.
package devsetup

import (
	"cmp"
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"countersign/ciba"
	"countersign/internal/admin"
	"countersign/internal/config"
	"countersign/internal/database"
	"countersign/internal/wholefile"
	"countersign/store"
)

// ConfigName is the name of the configuration file in the folder.
const ConfigName = "countersign.toml"

// The ports of a new installation.
const (
	issuerPort = 8443
	mtlsPort   = 8444
	demoPort   = 8445
)

// The other files that others use, in the folder.
const (
	authorityFile = "tls/ca.crt"
	passwordFile  = "demo/password"
	callbackFile  = "demo/callback"
)

// Options are what can be chosen.
type Options struct {
	// Folder is where everything goes; it is made, closed to others.
	Folder string
	// Port is that of the issuer, MTLSPort that of the listener for client certificates, and DemoPort is where the demo's
	// client takes its redirect. Those that are 0 stay as they are, and are 8443, 8444 and 8445 in a new installation.
	Port, MTLSPort, DemoPort int
	// Hosts are names and addresses for the TLS certificate beside those of this machine.
	Hosts []string
	// DevKeys keeps the keys in an encrypted file instead of SoftHSM2.
	DevKeys bool
	Now     func() time.Time
}

// Result is what there is after a run.
type Result struct {
	// Made lists what this run made, for the operator.
	Made   []string
	Config *config.Config
	// Authority is the file of the authority that vouches for Hosts only, and Password that with the users' password.
	Authority, Password string
	Hosts               []string
}

// Make makes what is missing.
func Make(ctx context.Context, options Options) (Result, error) {
	d := &setup{Options: options}
	for _, folder := range []string{"", "tls", "hsm", "demo"} {
		if err := os.MkdirAll(d.path(folder), 0o700); err != nil {
			return Result{}, err
		}
	}
	if err := d.certificates(); err != nil {
		return Result{}, err
	}
	wanted, err := d.signer(ctx)
	if err != nil {
		return Result{}, err
	}
	c, err := d.configuration(wanted)
	if err != nil {
		return Result{}, err
	}
	if err := d.state(ctx, c); err != nil {
		return Result{}, err
	}
	return Result{Made: d.made, Config: c, Authority: d.path(authorityFile), Password: d.path(passwordFile), Hosts: d.hosts()}, nil
}

// setup is one run.
type setup struct {
	Options
	servers authority
	clients authority
	made    []string
}

func (d *setup) path(name string) string { return filepath.Join(d.Folder, name) }

func (d *setup) note(made bool, what string) {
	if made {
		d.made = append(d.made, what)
	}
}

// hosts are the names that the TLS certificate is for.
func (d *setup) hosts() []string {
	return append([]string{"localhost", "127.0.0.1", "::1"}, d.Hosts...)
}

// certificates makes the authorities and the server's certificate.
func (d *setup) certificates() error {
	folder, now := d.path("tls"), d.Now()
	var err error
	if d.servers, _, err = developmentAuthority(folder, "ca", "Countersign development CA", d.hosts(), now); err != nil {
		return err
	}
	_, fresh, err := ensure(folder, serverCredential(d.hosts()), &d.servers, now)
	if err != nil {
		return err
	}
	if d.clients, _, err = developmentAuthority(folder, "client-ca", "Countersign development client CA", nil, now); err != nil {
		return err
	}
	d.note(fresh, "certificates")
	return d.outboundTrust()
}

// outboundTrust writes what the server trusts when it notifies clients: our own authority, and what is added by hand.
func (d *setup) outboundTrust() error {
	own, err := os.ReadFile(d.path(authorityFile))
	if err != nil {
		return err
	}
	return writeMissing(d.path("tls/outbound.crt"), own)
}

// writeMissing writes a file that only its owner can read, unless it exists.
func writeMissing(file string, content []byte) error {
	_, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return wholefile.Write(file, content, 0o600)
	}
	return err
}

// configuration writes the file, or keeps the one that is there, and reads it.
func (d *setup) configuration(keys config.Signer) (*config.Config, error) {
	file := d.path(ConfigName)
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		c, err := config.Load(file) // which says what Stat did
		if err != nil {
			return nil, err
		}
		return c, d.samePorts(c)
	}
	d.Port, d.MTLSPort = cmp.Or(d.Port, issuerPort), cmp.Or(d.MTLSPort, mtlsPort)
	if err := d.detailSchemas(); err != nil {
		return nil, err
	}
	if err := writeMissing(d.path("ping.keys"), []byte(ciba.NewSealKey()+"\n")); err != nil {
		return nil, err
	}
	if err := wholefile.Write(file, []byte(d.wanted(keys).Commented()), 0o600); err != nil {
		return nil, err
	}
	d.note(true, "configuration")
	return config.Load(file)
}

// samePorts refuses ports that are not those of the configuration, which is kept: nothing would listen there.
func (d *setup) samePorts(c *config.Config) error {
	for _, one := range []struct {
		flag            string
		wanted          int
		public, address string
		keys            string
	}{
		{"--port", d.Port, c.Issuer, c.Listen.Address, "issuer and listen.address"},
		{"--mtls-port", d.MTLSPort, c.ListenMTLS.URL, c.ListenMTLS.Address, "listen_mtls.url and listen_mtls.address"},
	} {
		suffix := fmt.Sprintf(":%d", one.wanted)
		if one.wanted != 0 && (!strings.HasSuffix(one.public, suffix) || !strings.HasSuffix(one.address, suffix)) {
			return fmt.Errorf("%s %d: %s is there already, with %s at %s; change %s there, or take another folder",
				one.flag, one.wanted, d.path(ConfigName), one.public, one.address, one.keys)
		}
	}
	return nil
}

//go:embed authorization-details/*.json
var detailSchemas embed.FS

// detailSchemas writes the sample types of authorization_details.
func (d *setup) detailSchemas() error {
	if err := os.MkdirAll(d.path("authorization-details"), 0o700); err != nil {
		return err
	}
	return fs.WalkDir(detailSchemas, "authorization-details", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		schema, err := detailSchemas.ReadFile(name)
		if err != nil {
			return err
		}
		return wholefile.Write(d.path(name), schema, 0o600)
	})
}

func (d *setup) wanted(keys config.Signer) *config.Config {
	return &config.Config{
		Issuer: fmt.Sprintf("https://localhost:%d", d.Port), Profiles: "fapi2-security fapi2-message-signing fapi1-advanced",
		Listen: config.Listen{
			Address: fmt.Sprintf("127.0.0.1:%d", d.Port), CertificateFile: "tls/server.crt", KeyFile: "tls/server.key",
		},
		ListenMTLS: config.ListenMTLS{
			Address: fmt.Sprintf("127.0.0.1:%d", d.MTLSPort), URL: fmt.Sprintf("https://localhost:%d", d.MTLSPort),
			ClientCAFile: "tls/client-ca.crt",
		},
		Store:     config.Store{Driver: "sqlite", File: "countersign.db"},
		Signer:    keys,
		Telemetry: config.Telemetry{LogFormat: "text"},
		Limits:    config.Limits{DrainTime: config.Duration(100 * time.Millisecond)}, // no load balancer waits for it
		Resources: config.Resources{SampleAccounts: true},
		Scopes:    []config.Scope{{Name: "accounts", Description: "See your accounts and their balances"}},

		Outbound: config.Outbound{CAFile: "tls/outbound.crt"},
		CIBA: config.CIBA{ // far from the limits of a real one: a conformance suite asks alice again and again
			Enabled: true, PingKeys: "ping.keys", BindingMessage: "always_ask",
			PendingPerUser: 100, PendingPerOrg: 99, PendingPerClient: 100, UserPerMinute: 60, UserBurst: 1000,
			OrgPerMinute: 60, OrgBurst: 1000, TotalPerMinute: 60, TotalBurst: 1000, DenialPause: config.Duration(time.Second),
		},
		Registration: config.Registration{Enabled: true, DetailTypes: "account_information payment_initiation"},
		AuthorizationDetails: []config.AuthorizationDetail{
			{Type: "account_information", Accounts: "request", SchemaFile: "authorization-details/account_information.json"},
			{Type: "payment_initiation", Accounts: "request", SchemaFile: "authorization-details/payment_initiation.json"},
		},
	}
}

// state fills the store: schema, keys, users, clients.
func (d *setup) state(ctx context.Context, c *config.Config) error {
	chosen, err := database.New(c, d.Now, nil)
	if err != nil {
		return err
	}
	applied, err := chosen.Migrate(ctx)
	if err != nil {
		return err
	}
	d.note(len(applied) > 0, "database")
	s, err := chosen.Open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(d.fill(ctx, c, s), s.Close())
}

func (d *setup) fill(ctx context.Context, c *config.Config, s store.Store) error {
	if err := d.keys(ctx, c, s); err != nil {
		return err
	}
	a := &admin.Admin{Store: s, Now: d.Now}
	if err := d.users(ctx, a); err != nil {
		return err
	}
	return d.demoClients(ctx, a)
}

// users adds alice and bob with one random password, which is kept in a file for the demo.
func (d *setup) users(ctx context.Context, a *admin.Admin) error {
	letters := strings.ToLower(rand.Text())
	text := strings.Join([]string{letters[0:4], letters[4:8], letters[8:12], letters[12:16]}, "-")
	if err := writeMissing(d.path(passwordFile), []byte(text+"\n")); err != nil {
		return err
	}
	for _, name := range []string{"alice", "bob"} {
		_, err := a.Store.UserByName(ctx, name)
		if err == nil {
			continue
		}
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		claims, err := userClaims(name, d.Now())
		if err != nil {
			return err
		}
		if _, err := a.AddUser(ctx, admin.NewUser{Username: name, Claims: claims}, config.Secret(d.path(passwordFile)).Read); err != nil {
			return err
		}
		d.note(true, "user "+name)
	}
	return nil
}

// userClaims are the claims about an invented user: every standard one (OpenID Connect Core §5.1), so that clients can be
// tried with any of them.
func userClaims(name string, now time.Time) ([]byte, error) {
	given := strings.ToUpper(name[:1]) + name[1:]
	return json.Marshal(map[string]any{
		"name": given + " Example", "given_name": given, "middle_name": "Q.", "family_name": "Example", "nickname": name,
		"preferred_username": name, "profile": "https://people.example/" + name, "picture": "https://people.example/" + name + ".png",
		"website": "https://" + name + ".example", "gender": "not told", "birthdate": "1990-02-28", "zoneinfo": "Europe/Berlin",
		"locale": "en-GB", "updated_at": now.Unix(), "email": name + "@example.com", "email_verified": true,
		"phone_number": "+49 30 23125 000", "phone_number_verified": false,
		"address": map[string]string{
			"formatted": "Musterstrasse 1\n10115 Berlin\nGermany", "street_address": "Musterstrasse 1", "postal_code": "10115",
			"locality": "Berlin", "region": "Berlin", "country": "Germany",
		},
	})
}
