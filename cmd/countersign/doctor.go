package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"countersign/fapi"
	"countersign/internal/config"
	"countersign/signer"
	"countersign/store"
)

// doctorCommand checks an installation.
type doctorCommand struct{}

// Help implements kong.HelpProvider.
func (doctorCommand) Help() string {
	return `Changes nothing. Each line begins with ok, warn or FAIL; the exit code is 1 if something
failed, and 2 if the configuration is wrong. Run it as the user that the server runs as.

Examples:
  countersign doctor
  countersign doctor --config /etc/countersign/countersign.toml`
}

// diagnosis writes what was found.
type diagnosis struct {
	p      *program
	failed bool
}

func (d *diagnosis) line(outcome, topic, format string, arguments ...any) {
	d.p.printf("%-5s %-8s %s\n", outcome, topic, oneLine(fmt.Sprintf(format, arguments...)))
}

func (d *diagnosis) ok(topic, format string, arguments ...any) {
	d.line("ok", topic, format, arguments...)
}

func (d *diagnosis) warn(topic, format string, arguments ...any) {
	d.line("warn", topic, format, arguments...)
}

func (d *diagnosis) fail(topic, format string, arguments ...any) {
	d.failed = true
	d.line("FAIL", topic, format, arguments...)
}

// Run implements the command.
func (doctorCommand) Run(ctx context.Context, p *program) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	d := &diagnosis{p: p}
	c, err := p.loadConfig()
	if err != nil {
		return err
	}
	path, err := p.configPath()
	if err != nil {
		return err
	}
	d.ok("config", "%s is correct", path)
	d.build(c)
	d.clock()
	d.files(c)
	d.ciba(c)
	d.certificate(c)
	d.clientAuthorities(c)
	d.ports(ctx, c)
	d.storeAndKeys(ctx, c)
	if d.failed {
		return silentError{}
	}
	return nil
}

func (d *diagnosis) build(c *config.Config) {
	switch build := readBuild(); {
	case build.cgo:
		d.ok("build", "version %s, with PKCS#11 and crypto11", build.version)
	case c.Signer.DevelopmentKeyFile != "":
		d.warn("build", "version %s, built without cgo, so without PKCS#11 and crypto11, which development keys do not need", build.version)
	default:
		d.fail("build", "built without cgo, so without PKCS#11 and crypto11; build it with CGO_ENABLED=1")
	}
}

// clock looks for a clock that nobody keeps: lifetimes and DPoP depend on it.
func (d *diagnosis) clock() {
	synchronised, known := clockSynchronised()
	now := d.p.now().UTC().Format(time.RFC3339)
	switch {
	case !known:
		d.warn("clock", "it is %s; whether the clock is kept by NTP cannot be told here", now)
	case !synchronised:
		d.warn("clock", "it is %s, and the clock is not kept by NTP; assertions and DPoP proofs are refused when it drifts by a minute", now)
	default:
		d.ok("clock", "it is %s, kept by NTP", now)
	}
}

// files looks at modes; that each file is there and closed to everybody was checked with the configuration.
func (d *diagnosis) files(c *config.Config) {
	type secret struct {
		key  string
		name config.Secret
	}
	for _, s := range []secret{
		{"listen.key_file", c.Listen.KeyFile}, {"signer.pin_file", c.Signer.PINFile},
		{"store.url_file", c.Store.URL}, {"telemetry.otlp_headers_file", c.Telemetry.OTLPHeaders},
		{"ciba.ping_keys_file", c.CIBA.PingKeys}, {"ciba.ping_key_file", c.CIBA.ClientCertificateKey},
	} {
		if s.name == "" {
			continue
		}
		if _, err := s.name.Read(); err != nil {
			d.fail("files", "%s: %v", s.key, err)
			continue
		}
		path, err := s.name.Path()
		if err != nil {
			d.fail("files", "%s: %v", s.key, err)
			continue
		}
		info, err := os.Stat(path)
		switch {
		case err != nil:
			d.fail("files", "%s: %v", s.key, err)
		case info.Mode().Perm()&0o070 != 0:
			d.warn("files", "%s: %s is open to its group (mode %04o)", s.key, path, info.Mode().Perm())
		default:
			d.ok("files", "%s: %s is closed to others (mode %04o)", s.key, path, info.Mode().Perm())
		}
	}
	if c.Store.Driver == "sqlite" {
		d.databaseFile(c.Store.File.Path())
	}
}

func (d *diagnosis) databaseFile(name string) {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.fail("files", "store.file: there is no %s; run: countersign migrate up", name)
	case err != nil:
		d.fail("files", "store.file: %v", err)
	case info.Mode().Perm()&0o077 != 0:
		d.fail("files", "store.file: %s is open to others (mode %04o); run: chmod 600 %[1]s", name, info.Mode().Perm())
	default:
		d.ok("files", "store.file: %s is closed to others (mode %04o)", name, info.Mode().Perm())
	}
	if folder, err := os.Stat(filepath.Dir(name)); err == nil && folder.Mode().Perm()&0o002 != 0 {
		d.fail("files", "everybody can write to the folder of %s; run: chmod o-w %s", name, filepath.Dir(name))
	}
}

// certificate looks at the TLS certificate: its key, its time and its names.
func (d *diagnosis) certificate(c *config.Config) {
	pair, err := serverCertificate(c.Listen)
	if err != nil {
		d.fail("tls", "%v", err)
		return
	}
	leaf := pair.Leaf
	if !d.validity("tls", "the certificate", leaf) {
		return
	}
	d.ok("tls", "the certificate fits its key and is valid until %s", leaf.NotAfter.UTC().Format(time.DateOnly))
	addresses := []string{c.Issuer}
	if c.ListenMTLS.Address != "" {
		addresses = append(addresses, c.ListenMTLS.URL)
	}
	for _, address := range addresses {
		if err := leaf.VerifyHostname(hostOf(address)); err != nil {
			d.fail("tls", "the certificate is not for %s; get one that names %s", address, hostOf(address))
		} else {
			d.ok("tls", "the certificate is for %s", address)
		}
	}
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address // the configuration lets no such address through
	}
	return u.Hostname()
}

func (d *diagnosis) validity(topic, name string, certificate *x509.Certificate) bool {
	now, end := d.p.now(), certificate.NotAfter.UTC().Format(time.DateOnly)
	switch left := certificate.NotAfter.Sub(now); {
	case now.Before(certificate.NotBefore):
		d.fail(topic, "%s is valid only from %s on; is the clock right?", name, certificate.NotBefore.UTC().Format(time.DateTime))
		return false
	case left <= 0:
		d.fail(topic, "%s ended on %s; get a new one", name, end)
		return false
	case left < renewBefore:
		d.warn(topic, "%s ends soon, on %s", name, end)
	}
	return true
}

// ports tells whether the ports are free or answered by this server.
func (d *diagnosis) ports(ctx context.Context, c *config.Config) {
	addresses := []string{c.Listen.Address}
	if c.ListenMTLS.Address != "" {
		addresses = append(addresses, c.ListenMTLS.Address)
	}
	for _, address := range addresses {
		if socket, ok := strings.CutPrefix(address, socketPrefix); ok {
			d.socket(ctx, socket)
			continue
		}
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err == nil {
			err = listener.Close()
		}
		switch {
		case err == nil:
			d.ok("port", "%s is free: the server is not running", address)
		case address == c.Listen.Address && d.answers(ctx, c):
			d.ok("port", "%s is this server's, and it answers", address)
		case address == c.ListenMTLS.Address && d.connects(ctx, c, address):
			d.ok("port", "%s is this server's, and it answers", address)
		default:
			d.fail("port", "%v", listenError("port", address, err))
		}
	}
}

// socket tells whether somebody answers on the socket of an ingress, and who may open it.
func (d *diagnosis) socket(ctx context.Context, name string) {
	folder, err := os.Stat(filepath.Dir(name))
	if err != nil {
		d.fail("port", "the folder of %s: %v", name, err)
		return
	}
	const others = 0o007
	if folder.Mode().Perm()&others != 0 {
		d.warn("port", "every user of this machine may enter the folder of %s; only the mode of the socket keeps them from the place of the ingress", name)
	}
	connection, err := new(net.Dialer).DialContext(ctx, "unix", name)
	if err != nil {
		d.ok("port", "nobody answers on %s: the server is not running", name)
		return
	}
	d.ok("port", "a server answers on %s", name)
	_ = connection.Close() // nothing was sent
}

// trustingOwn is a TLS client that trusts this server's own certificate and nothing else.
func trustingOwn(c *config.Config, address string) (*tls.Config, error) {
	chain, err := readCertificates(c.Listen.CertificateFile.Path())
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	for _, certificate := range chain {
		roots.AddCert(certificate)
	}
	return &tls.Config{RootCAs: roots, ServerName: hostOf(address), MinVersion: tls.VersionTLS12}, nil
}

// answers asks the listener for its discovery document.
func (d *diagnosis) answers(ctx context.Context, c *config.Config) bool {
	trust, err := trustingOwn(c, c.Issuer)
	if err != nil {
		return false
	}
	// The listener is asked where it listens, by the name that clients use.
	transport := &http.Transport{TLSClientConfig: trust, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", c.Listen.Address)
	}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Issuer+"/.well-known/openid-configuration", http.NoBody)
	if err != nil {
		return false
	}
	response, err := (&http.Client{Transport: transport, Timeout: 5 * time.Second}).Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	var document struct {
		Issuer string `json:"issuer"`
	}
	err = json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&document)
	return err == nil && document.Issuer == c.Issuer
}

// connects makes a TLS connection to the mTLS listener.
func (d *diagnosis) connects(ctx context.Context, c *config.Config, address string) bool {
	trust, err := trustingOwn(c, c.ListenMTLS.URL)
	if err != nil {
		return false
	}
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: trust}
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	return connection.Close() == nil
}

// storeAndKeys opens the store and, with its keys, the HSM.
func (d *diagnosis) storeAndKeys(ctx context.Context, c *config.Config) {
	database, err := newDatabase(c, d.p.now, nil)
	if err != nil {
		d.fail("store", "%v", err)
		return
	}
	s, err := database.open(ctx)
	if err != nil {
		d.fail("store", "%v", err)
		d.hsm(ctx, c, nil)
		return
	}
	defer s.Close() // nothing was written
	if err := s.Ping(ctx); err != nil {
		d.fail("store", "%v", err)
		return
	}
	d.ok("store", "%s: reached, its schema is up to date", database.name)
	d.clients(ctx, c, s)
	d.hsm(ctx, c, s)
}

// clients looks for clients that this release would refuse.
func (d *diagnosis) clients(ctx context.Context, c *config.Config, s store.Store) {
	clients, err := s.Clients(ctx)
	if err != nil {
		d.fail("clients", "%v", err)
		return
	}
	good := 0
	for _, client := range clients {
		if _, err := fapi.ParseClient(client.ID, client.Profile, client.Metadata); err != nil {
			d.fail("clients", "%s is refused: %v", client.ID, err)
		} else if !slices.Contains(strings.Fields(c.Profiles), client.Profile) {
			d.warn("clients", "%s is refused: its profile %s is not offered; add it to profiles in the configuration", client.ID, client.Profile)
		} else {
			good++
		}
	}
	d.ok("clients", "%s registered and correct", counted(good, "client"))
}

// hsm reaches every token and signs with every active key. Without a store it only reaches the tokens.
func (d *diagnosis) hsm(ctx context.Context, c *config.Config, s store.Store) {
	if warning := keyWarning(c.Signer); warning != "" {
		d.warn("hsm", "%s", warning)
	} else {
		d.ok("hsm", "the module runs in a worker process of its own")
	}
	tokens, problems, err := connectTokens(ctx, c.Signer, nil)
	if err != nil {
		d.fail("hsm", "%v", err)
		return
	}
	defer closeTokens(tokens) // nothing was written
	reached := false
	for i, token := range tokens {
		if problems[i] != nil {
			d.fail("hsm", "%s: %v", token.Token(), problems[i])
			continue
		}
		reached = d.token(ctx, token) || reached
	}
	if !reached || s == nil {
		return
	}
	keys, err := signer.New(ctx, signer.Config{Catalogue: catalogue{s}, Replicas: replicas(tokens), Now: d.p.now})
	if err != nil {
		d.fail("keys", "%v", err)
		return
	}
	published, err := keys.Published(ctx)
	if err != nil {
		d.fail("keys", "%v", err)
		return
	}
	for _, record := range published {
		if record.CreatedAt.After(d.p.now().Add(time.Minute)) {
			d.fail("clock", "the key %s was made later than now: the clock is behind", record.ID)
		}
	}
	d.activeKeys(ctx, c, keys, published)
}

// token lists what a token holds, and tells whether it could.
func (d *diagnosis) token(ctx context.Context, token keyHolder) bool {
	held, err := token.List(ctx)
	if err != nil {
		d.fail("hsm", "%s: %v", token.Token(), err)
		return false
	}
	d.ok("hsm", "%s is reached and holds %s", token.Token(), counted(len(held), "key"))
	for _, key := range held {
		if key.Refused != "" {
			d.warn("hsm", "the key %s is not used: %s", key.Record.ID, key.Refused)
		}
	}
	return true
}

func (d *diagnosis) activeKeys(ctx context.Context, c *config.Config, keys *signer.Signer, published []signer.Record) {
	if err := keys.Ready(ctx); err != nil {
		d.fail("keys", "%v", err)
	} else {
		for _, record := range published {
			if record.State == signer.Active {
				d.ok("keys", "%s %s %s", record.Algorithm, record.ID, does(record.Algorithm))
			}
		}
	}
	if _, err := keys.Active(ctx, signer.UseAccessToken, signer.Algorithm(c.Tokens.AccessTokenAlgorithm)); err != nil {
		d.fail("keys", "tokens.access_token_algorithm: %v", err) // which says what to run
	}
	signsIDTokens := func(r signer.Record) bool {
		return r.State == signer.Active && slices.Contains(r.Uses, signer.UseIDToken)
	}
	if !slices.ContainsFunc(published, signsIDTokens) {
		d.warn("keys", "no active key signs ID tokens: OpenID Connect clients get none")
	}
	signsResponses := func(r signer.Record) bool {
		return r.State == signer.Active && slices.Contains(r.Uses, signer.UseResponse)
	}
	if c.Profiles != "fapi2-security" && !slices.ContainsFunc(published, signsResponses) {
		d.warn("keys", "no active key signs authorization responses: clients that want them signed get an error page; run: countersign keys generate --alg PS256 --use %s", signer.UseResponse)
	}
	if _, err := keys.ActiveFor(ctx, signer.UseEvidence); err != nil {
		d.warn("audit", "no active key seals the audit log: who can write to the store can change it unseen; run: countersign keys generate --alg ES256 --use %s, and activate the key", signer.UseEvidence)
	}
}
