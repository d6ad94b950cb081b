package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"countersign/ciba"
	"countersign/internal/config"
	"countersign/store"
)

// development makes everything to try the server, below one folder. Each step keeps what is there, so that one that
// was interrupted is done by the next run.
type development struct {
	p       *program
	flags   initCommand
	folder  string
	servers authority
	clients authority
	// made lists what this run made, for the operator.
	made []string
}

func initDevelopment(ctx context.Context, p *program, flags initCommand) error {
	d := &development{p: p, flags: flags, folder: flags.Dir}
	for _, folder := range []string{"", "tls", "hsm", "demo"} {
		if err := os.MkdirAll(filepath.Join(d.folder, folder), 0o700); err != nil {
			return err
		}
	}
	if err := d.certificates(); err != nil {
		return err
	}
	wanted, err := d.signer(ctx)
	if err != nil {
		return err
	}
	c, err := d.configuration(wanted)
	if err != nil {
		return err
	}
	if err := d.state(ctx, c); err != nil {
		return err
	}
	d.tell(c)
	return nil
}

func (d *development) path(name string) string { return filepath.Join(d.folder, name) }

// hosts are the names that the TLS certificate is for.
func (d *development) hosts() []string {
	return append([]string{"localhost", "127.0.0.1", "::1"}, d.flags.Host...)
}

// certificates makes the authorities and the server's certificate.
func (d *development) certificates() error {
	folder, now := d.path("tls"), d.p.now()
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
func (d *development) outboundTrust() error {
	file := d.path("tls/outbound.crt")
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	own, err := os.ReadFile(d.path("tls/ca.crt"))
	if err != nil {
		return err
	}
	return writeFile(file, own, 0o600)
}

func (d *development) note(made bool, what string) {
	if made {
		d.made = append(d.made, what)
	}
}

// configuration writes the file, or keeps the one that is there, and reads it.
func (d *development) configuration(keys config.Signer) (*config.Config, error) {
	file := d.path(configName)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		if err := d.detailSchemas(); err != nil {
			return nil, err
		}
		if err := d.pingKeys(); err != nil {
			return nil, err
		}
		wanted := d.wanted(keys)
		if err := writeFile(file, []byte(wanted.Commented()), 0o600); err != nil {
			return nil, err
		}
		d.note(true, "configuration")
	}
	return config.Load(file)
}

//go:embed authorization-details/*.json
var detailSchemas embed.FS

// detailSchemas writes the sample types of authorization_details.
func (d *development) detailSchemas() error {
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
		return writeFile(d.path(name), schema, 0o600)
	})
}

// pingKeys makes what closes notifications while they wait.
func (d *development) pingKeys() error {
	file := d.path("ping.keys")
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return writeFile(file, []byte(ciba.NewSealKey()+"\n"), 0o600)
}

func (d *development) wanted(keys config.Signer) *config.Config {
	return &config.Config{
		Issuer: fmt.Sprintf("https://localhost:%d", d.flags.Port), Profiles: "fapi2-security fapi2-message-signing fapi1-advanced",
		Listen: config.Listen{
			Address: fmt.Sprintf("127.0.0.1:%d", d.flags.Port), CertificateFile: "tls/server.crt", KeyFile: "tls/server.key",
		},
		ListenMTLS: config.ListenMTLS{
			Address: fmt.Sprintf("127.0.0.1:%d", d.flags.MTLSPort), URL: fmt.Sprintf("https://localhost:%d", d.flags.MTLSPort),
			ClientCAFile: "tls/client-ca.crt",
		},
		Store:     config.Store{Driver: "sqlite", File: "countersign.db"},
		Signer:    keys,
		Telemetry: config.Telemetry{LogFormat: "text"},
		Resources: config.Resources{SampleAccounts: true},
		Scopes:    []config.Scope{{Name: "accounts", Description: "See your accounts and their balances"}},

		Outbound: config.Outbound{CAFile: "tls/outbound.crt"},
		CIBA: config.CIBA{ // far from the limits of a real one: a conformance suite asks alice again and again
			Enabled: true, PingKeys: "ping.keys", BindingMessage: "always_ask",
			PendingPerPerson: 100, PendingPerClient: 100, PersonPerMinute: 60, PersonBurst: 1000,
		},
		Registration: config.Registration{Enabled: true, DetailTypes: "account_information payment_initiation"},
		AuthorizationDetails: []config.AuthorizationDetail{
			{Type: "account_information", Title: "Look at accounts", SchemaFile: "authorization-details/account_information.json"},
			{Type: "payment_initiation", Title: "Make this payment", SchemaFile: "authorization-details/payment_initiation.json"},
		},
	}
}

// state fills the store: schema, keys, users, clients.
func (d *development) state(ctx context.Context, c *config.Config) error {
	database, err := newDatabase(c, d.p.now, nil)
	if err != nil {
		return err
	}
	applied, err := database.migrate(ctx)
	if err != nil {
		return err
	}
	d.note(len(applied) > 0, "database")
	s, err := database.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(d.fill(ctx, c, s), s.Close())
}

func (d *development) fill(ctx context.Context, c *config.Config, s store.Store) error {
	if err := d.keys(ctx, c, s); err != nil {
		return err
	}
	if err := d.users(ctx, s); err != nil {
		return err
	}
	return d.demoClients(ctx, c, s)
}

// keys makes one active key for each algorithm.
func (d *development) keys(ctx context.Context, c *config.Config, s store.Store) error {
	have, err := s.Keys(ctx)
	if err != nil {
		return err
	}
	var missing []string
	for _, alg := range developmentAlgorithms(c.Signer) {
		if !slices.ContainsFunc(have, func(k store.Key) bool { return k.Algorithm == string(alg) && k.State == "active" }) {
			missing = append(missing, string(alg))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	backend, err := openBackend(ctx, c.Signer, nil)
	if err != nil {
		return err
	}
	for _, alg := range missing {
		record, err := generateKey(ctx, backend, alg)
		if err == nil {
			record.Uses = allUses(alg)
			err = addKey(ctx, s, record, true, d.p.now())
		}
		if err != nil {
			return errors.Join(err, backend.Close())
		}
		d.note(true, alg+" key")
	}
	return backend.Close()
}

// users adds alice and bob with one random password, which is kept in a file for the demo.
func (d *development) users(ctx context.Context, s store.Store) error {
	password, err := d.password()
	if err != nil {
		return err
	}
	for _, name := range []string{"alice", "bob"} {
		if _, err := s.UserByName(ctx, name); !errors.Is(err, store.ErrNotFound) {
			if err != nil {
				return err
			}
			continue
		}
		claims, err := personClaims(name, d.p.now())
		if err != nil {
			return err
		}
		user := store.User{Subject: rand.Text(), Username: name, Claims: claims}
		if err := putUser(ctx, s, d.p, user, password); err != nil {
			return err
		}
		d.note(true, "user "+name)
	}
	return nil
}

// personClaims are the claims about an invented person: every standard one (OpenID Connect Core §5.1), so that clients
// can be tried with any of them.
func personClaims(name string, now time.Time) ([]byte, error) {
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

func (d *development) password() ([]byte, error) {
	file := d.path("demo/password")
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		letters := strings.ToLower(rand.Text())
		text := strings.Join([]string{letters[0:4], letters[4:8], letters[8:12], letters[12:16]}, "-")
		if err := writeFile(file, []byte(text+"\n"), 0o600); err != nil {
			return nil, err
		}
	}
	return config.Secret(file).Read()
}

// tell says in five lines what there is and what to try.
func (d *development) tell(c *config.Config) {
	made := "everything was there already"
	if len(d.made) > 0 {
		made = "made " + strings.Join(d.made, ", ")
	}
	authority := d.path("tls/ca.crt")
	d.p.printf("%s: %s\n", d.folder, made)
	if warning := keyWarning(c.Signer); warning != "" {
		d.p.printf("warning: %s\n", warning)
	}
	d.p.printf("issuer %s, for client certificates %s\n", c.Issuer, c.ListenMTLS.URL)
	d.p.printf("users alice and bob, password in %s; let your browser trust %s (it vouches for %s only)\n",
		d.path("demo/password"), authority, strings.Join(d.hosts(), ", "))
	d.p.printf("try, while it serves:  countersign demo        (--auto needs no browser)\n")
	d.p.printf("or:  curl --cacert %s %s/.well-known/openid-configuration\n", authority, c.Issuer)
}

// clientCertificate makes a certificate of the client authority, in the demo's folder.
func (d *development) clientCertificate(name string) (*x509.Certificate, error) {
	made, fresh, err := ensure(d.path("demo"), clientCredential(name), &d.clients, d.p.now())
	d.note(fresh, "certificate of "+name)
	return made.certificate, err
}
