package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"countersign/internal/config/filename"
	"countersign/internal/config/issuers"
	"countersign/internal/config/observe"
	"countersign/internal/config/value"
)

// rules checks what neither a tag nor the schema can say. A rule stays silent on a key that is already known
// to be wrong.
func (c *collector) rules(config *Config) {
	c.issuer("issuer", config.Issuer)
	c.profiles(config)
	c.strictTransport(config)
	c.address("listen.address", config.Listen.Address)
	c.listenMTLS(config)
	c.listeners(config)
	c.trustStores(config)
	c.networks("listen.ingress_networks", config.Listen.IngressNetworks)
	c.store(&config.Store)
	for _, p := range config.Store.Problems() {
		c.add("store."+p.Key, "", "%s", p.Text)
	}
	keyRules{c}.signer(config)
	c.lifetimes(config)
	c.telemetry(&config.Telemetry)
	for _, p := range config.Metrics.Problems(config.Telemetry.OTLPEndpoint != "") {
		c.add("metrics."+p.Key, quote(p.Value), "%s", p.Text)
	}
	for _, p := range config.Admin.Problems() {
		c.add("admin."+p.Key, quote(p.Value), "%s", p.Text)
	}
	for _, p := range issuers.Problems(config.Issuers) {
		c.add(p.Key, quote(p.Value), "%s", p.Text)
	}
	c.scopes(config)
	c.resourceServers(config)
	c.detailTypes(config)
	c.registration(config)
	c.directories(config)
	loginRules{c}.check(config)
	c.ciba(&config.CIBA)
	c.claimsSource(&config.ClaimsSource)
	c.consents(&config.Consents)
	consentSource(c, &config.Consents)
	c.account(config)
	c.approvalApps(&config.ApprovalApps)
	c.acrNames(&config.ACRNames)
	brandRules{c}.brand(&config.Brand)
}

// account wants both of its keys or none.
func (c *collector) account(config *Config) {
	a := config.Account
	c.knownScopes("account.scope", a.Scope, config)
	switch one := len(strings.Fields(a.Scope)); {
	case c.bad("account.scope"):
	case one > 1:
		c.add("account.scope", quote(a.Scope), "must be one scope")
	case one == 1 && strings.TrimSpace(a.Clients) == "":
		c.add("account.clients", quote(a.Clients), "names nobody: who may use the scope %s?", a.Scope)
	case one == 0 && strings.TrimSpace(a.Clients) != "":
		c.add("account.scope", quote(a.Scope), "is empty: with which scope may they use the API?")
	case slices.Contains(strings.Fields(config.Registration.Scopes), a.Scope) && one == 1:
		c.add("registration.scopes", quote(config.Registration.Scopes), "%s is for your own applications alone (account.scope)", a.Scope)
	}
}

// acrNames wants names that name one class, and no other thing.
func (c *collector) acrNames(names *ACRNames) {
	seen := []string{passwordACR, passkeyACR, "0"} // "0" is no class (OpenID Connect Core §2)
	check := func(key, values string) {
		for name := range strings.FieldsSeq(values) {
			switch {
			case slices.Contains(seen, name):
				c.add(key, quote(name), "names a class already, or cannot name one")
			case len(name) > 256 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }):
				c.add(key, quote(name), "must be up to 256 printable ASCII characters, without quotes and backslashes")
			}
			seen = append(seen, name)
		}
	}
	check("acr_names.passkey", names.Passkey)
	check("acr_names.password", names.Password)
}

// The authentication context classes that the server itself reaches, and the methods of RFC 8176 §2; beyondPassword are those
// that say more than a password does.
const (
	passwordACR    = "urn:countersign:acr:password"
	passkeyACR     = "urn:countersign:acr:passkey"
	methods        = "face fpt geo hwk iris kba mca mfa otp pin pop pwd rba retina sc sms swk tel user vbm wia"
	beyondPassword = "face fpt hwk iris mca mfa retina sc vbm"
)

// approvalApps keeps what is enrolled under a password below a passkey.
func (c *collector) approvalApps(a *ApprovalApps) {
	c.listed("approval_apps.password_acr", a.PasswordACR, passwordACR, "an application that was enrolled under a password may claim "+passwordACR+" at most")
	c.listed("approval_apps.passkey_acr", a.PasskeyACR, passkeyACR+" "+passwordACR, "must be of "+passkeyACR+" and "+passwordACR)
	c.listed("approval_apps.passkey_amr", a.PasskeyAMR, methods, "not a value of RFC 8176 §2")
	for method := range strings.FieldsSeq(a.PasswordAMR) {
		if slices.Contains(strings.Fields(beyondPassword), method) {
			c.add("approval_apps.password_amr", quote(method), "says more than a password does, under which such applications were enrolled")
		} else {
			c.listed("approval_apps.password_amr", method, methods, "not a value of RFC 8176 §2")
		}
	}
}

// listed wants each of the values separated by spaces to be one of those known.
func (c *collector) listed(key, values, known, problem string) {
	for value := range strings.FieldsSeq(values) {
		if !slices.Contains(strings.Fields(known), value) {
			c.add(key, quote(value), "%s", problem)
		}
	}
}

// ciba wants times that fit each other, and a certificate with its key.
func (c *collector) ciba(b *CIBA) {
	if b.Lifetime > b.MaxLifetime && !c.bad("ciba.lifetime") && !c.bad("ciba.max_lifetime") {
		c.add("ciba.lifetime", quote(b.Lifetime.String()), "longer than ciba.max_lifetime")
	}
	if b.PendingPerClient > b.PendingPerUser && !c.bad("ciba.pending_per_client") && !c.bad("ciba.pending_per_person") {
		c.add("ciba.pending_per_client", strconv.Itoa(b.PendingPerClient), "more than ciba.pending_per_person, which counts those of all clients")
	}
	pair(c, "ciba.ping_certificate_file", string(b.ClientCertificate), "ciba.ping_key_file", string(b.ClientCertificateKey))
	if b.ClientCertificate != "" && b.PingKeys == "" {
		c.add("ciba.ping_certificate_file", quote(string(b.ClientCertificate)), "has no meaning without ciba.ping_keys_file: no client is notified")
	}
}

// issuer is the rule of RFC 8414 §2, and no slash at the end, so that paths can be appended.
func (c *collector) issuer(key, address string) {
	if c.bad(key) {
		return
	}
	u, err := url.Parse(address)
	problem := ""
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		problem = `not an address; write https:// and a host, such as "https://login.example"`
	case u.Scheme != "https":
		problem = "not https; an issuer always is (RFC 8414 §2)"
	case u.User != nil:
		problem = "holds user information; leave it out"
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(address, "#"):
		problem = "has a query or a fragment; leave it out (RFC 8414 §2)"
	case strings.HasSuffix(address, "/"):
		problem = "ends with a slash; leave it out"
	case u.String() != address || strings.ToLower(u.Host) != u.Host || path.Clean("/"+u.Path) != "/"+strings.TrimPrefix(u.Path, "/"):
		problem = "not in the plain form that clients compare byte by byte; write the host in lower case and the path without . or .. or //"
	case !portIsCorrect(u):
		problem = "the port is not one from 1 to 65535"
	}
	if problem != "" {
		c.add(key, quote(address), "%s", problem)
	}
}

func portIsCorrect(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	port, err := strconv.Atoi(u.Port())
	return err == nil && port >= 1 && port <= 65535
}

func (c *collector) address(key, address string) {
	if c.bad(key) {
		return
	}
	_, port, err := net.SplitHostPort(address)
	number, numberErr := strconv.Atoi(port)
	if err != nil || numberErr != nil || number < 1 || number > 65535 {
		c.add(key, quote(address), `not host:port with a port from 1 to 65535, such as "127.0.0.1:8443"`)
	}
}

// listeners refuses two that take the same port.
func (c *collector) listeners(config *Config) {
	all := [][2]string{
		{"listen.address", config.Listen.Address}, {"listen_mtls.address", config.ListenMTLS.Address},
		{"metrics.listen", config.Metrics.Listen}, {"admin.listen", config.Admin.Listen},
	}
	for n, one := range all {
		for _, other := range all[:n] {
			if value.SameListener(one[1], other[1]) && !c.bad(one[0]) && !c.bad(other[0]) {
				c.add(one[0], quote(one[1]), "the same as %s; take another port", other[0])
			}
		}
	}
}

func (c *collector) listenMTLS(config *Config) {
	l := &config.ListenMTLS
	if c.bad("listen_mtls.address") {
		return
	}
	if l.Address == "" {
		for key, value := range map[string]string{
			"listen_mtls.url": l.URL, "listen_mtls.client_ca_file": string(l.ClientCAFile),
			"listen_mtls.intermediates_file": string(l.IntermediatesFile), "listen_mtls.crl_file": string(l.CRLFile),
			"listen_mtls.ingress_ca_file": string(l.IngressCAFile), "listen_mtls.ingress_name": l.IngressName, "listen_mtls.ingress_networks": l.IngressNetworks,
		} {
			if value != "" && !c.bad(key) {
				c.add(key, quote(value), "has no meaning while the listener is off; set listen_mtls.address too")
			}
		}
		return
	}
	c.ingress(l)
	if socket, ok := strings.CutPrefix(l.Address, value.SocketPrefix); !ok {
		c.address("listen_mtls.address", l.Address)
	} else if !filepath.IsAbs(socket) {
		c.add("listen_mtls.address", quote(l.Address), `not the whole name of a socket, such as "unix:/run/countersign/mtls.sock"`)
	}
	if l.URL == "" && !c.bad("listen_mtls.url") {
		c.add("listen_mtls.url", "", `missing: clients find this listener by its public address, such as "https://mtls.login.example"`)
		return
	}
	c.issuer("listen_mtls.url", l.URL)
	if l.URL == config.Issuer && !c.bad("listen_mtls.url") {
		c.add("listen_mtls.url", quote(l.URL), "the same as the issuer; the listener needs a host or port of its own, because browsers must not be asked for a certificate")
	}
}

func (c *collector) store(s *Store) {
	if c.bad("store.driver") {
		return
	}
	file, address := string(s.File), string(s.URL)
	switch s.Driver {
	case "sqlite":
		c.needed("store.file", file, `missing: the sqlite driver needs the name of its database file, such as "countersign.db"`)
		c.unneeded("store.url_file", address, shown(s.URL), "belongs to the driver postgres; leave it out or set store.driver")
		c.unneeded("store.notify_url_file", string(s.NotifyURL), shown(s.NotifyURL), "belongs to the driver postgres; leave it out or set store.driver")
	case "postgres":
		c.needed("store.url_file", address, "missing: the postgres driver needs the name of a file that holds its connection URL")
		c.unneeded("store.file", file, quote(file), "belongs to the driver sqlite; leave it out or set store.driver")
	}
}

func (c *collector) needed(key, value, problem string) {
	if value == "" && !c.bad(key) {
		c.add(key, "", "%s", problem)
	}
}

func (c *collector) unneeded(key, value, shown, problem string) {
	if value != "" && !c.bad(key) {
		c.add(key, shown, "%s", problem)
	}
}

func (c *collector) lifetimes(config *Config) {
	grant, access := config.Tokens.GrantLifetime, config.Tokens.AccessTokenLifetime
	if grant < access && !c.bad("tokens.grant_lifetime") && !c.bad("tokens.access_token_lifetime") {
		c.add("tokens.grant_lifetime", quote(grant.String()), "shorter than tokens.access_token_lifetime (%s); use %[1]s or more", access)
	}
	header, whole := config.Limits.ReadHeaderTimeout, config.Limits.ReadTimeout
	if whole < header && !c.bad("limits.read_timeout") && !c.bad("limits.read_header_timeout") {
		c.add("limits.read_timeout", quote(whole.String()), "shorter than limits.read_header_timeout (%s); use %[1]s or more", header)
	}
}

func (c *collector) telemetry(t *Telemetry) {
	const key = "telemetry.otlp_endpoint"
	if c.bad(key) {
		return
	}
	if t.OTLPEndpoint == "" {
		c.unneeded("telemetry.otlp_headers_file", string(t.OTLPHeaders), shown(t.OTLPHeaders), "has no meaning without telemetry.otlp_endpoint; set both or none")
		return
	}
	if problem := t.Problem(); problem == observe.NoAddress {
		c.add(key, redacted, "%s", problem)
	} else if problem != "" {
		c.add(key, quote(t.OTLPEndpoint), "%s", problem)
	}
}

// scopeToken is the syntax of RFC 6749 §3.3.
var scopeToken = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]{1,128}$`)

func (c *collector) scopes(config *Config) {
	seen := map[string]bool{}
	for i, scope := range config.Scopes {
		key := fmt.Sprintf("scopes[%d].", i)
		name, description := key+"name", key+"description"
		switch {
		case c.bad(name):
		case !scopeToken.MatchString(scope.Name):
			c.add(name, quote(scope.Name), `not a scope value; use 1 to 128 printable ASCII characters without space, " and \ (RFC 6749 §3.3)`)
		case seen[scope.Name]:
			c.add(name, quote(scope.Name), "described twice; keep one")
		}
		seen[scope.Name] = true
		if !c.bad(description) && !isSentence(scope.Description) {
			c.add(description, "", "longer than 200 characters or with control characters; write one sentence that users understand")
		}
		brandRules{c}.descriptions(key+"descriptions", scope.Descriptions, &config.Brand)
	}
	accounts := slices.Contains(config.ScopeNames(), "accounts")
	if config.Resources.SampleAccounts && !accounts {
		c.add("resources.sample_accounts", "true", "needs the scope accounts; describe it under [[scopes]]")
	}
}

// files looks at each file that is named.
func (c *collector) files(config *Config) {
	config.eachField(func(key string, _ reflect.StructField, value reflect.Value) {
		if c.bad(key) {
			return
		}
		switch name := value.Interface().(type) {
		case File:
			if err := checkFile(key, name); name != "" && err != nil {
				c.add(key, quote(string(name)), "%v", err)
			}
		case Secret:
			if name == "" {
				return
			}
			if err := name.Check(); err != nil {
				c.add(key, shown(name), "%v", err)
			}
		}
	})
}

func checkFolder(folder string) error {
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return fmt.Errorf("the folder %s does not exist; make it, open to this user only (mkdir -m 700)", folder)
	}
	return nil
}

func checkFile(key string, name File) error {
	if key == "store.file" || key == "signer.development_key_file" { // it may have to be made; its folder must be there
		if name == "" {
			return nil
		}
		return checkFolder(filepath.Dir(string(name)))
	}
	if key == "signer.state_dir" {
		if name == "" {
			return nil
		}
		return checkFolder(string(name))
	}
	if key == "brand.messages_dir" {
		if info, err := os.Stat(string(name)); err != nil || !info.IsDir() {
			return errors.New("there is no such folder")
		}
		return nil
	}
	return name.Check()
}

// shown is the name in TOML, or "[redacted]" when it may be the secret itself, put here by accident.
func shown(s Secret) string {
	if s.IsCredential() {
		return quote(string(s))
	}
	if _, err := os.Stat(string(s)); err != nil && !filename.Is(string(s)) {
		return redacted
	}
	return quote(string(s))
}
