package config

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"countersign/fapi/profile"
	"countersign/fapi/rar/ready"
	"countersign/internal/config/value"
	"countersign/internal/suggest"
)

// profiles demands that the profiles exist, and that their tokens can be bound.
func (c *collector) profiles(config *Config) {
	const key = "profiles"
	for name := range strings.FieldsSeq(config.Profiles) {
		known, ok := profile.Lookup(name)
		switch {
		case c.bad(key):
		case !ok:
			c.add(key, quote(config.Profiles), "%s", profile.Unknown(name))
		case !slices.Contains(known.SenderConstraints, profile.ByDPoP) && config.ListenMTLS.Address == "" && !c.bad("listen_mtls.address"):
			c.add(key, quote(config.Profiles), "%s binds access tokens to certificates only; set listen_mtls.address and listen_mtls.url too", name)
		case known.MTLSEverywhere && config.ListenMTLS.Address == "" && !c.bad("listen_mtls.address"):
			c.add(key, quote(config.Profiles), "%s wants client certificates in all of the back channel; set listen_mtls.address and listen_mtls.url too", name)
		}
	}
}

// strictTransport keeps what holds for every subdomain away from names that all developers share.
func (c *collector) strictTransport(config *Config) {
	const key = "listen.strict_transport_security"
	u, err := url.Parse(config.Issuer)
	if err != nil || c.bad("issuer") || c.bad(key) || config.Listen.StrictTransport == "host" {
		return
	}
	if value.OnThisMachine(u.Hostname()) || strings.HasSuffix(u.Hostname(), ".localhost") {
		c.add(key, quote(config.Listen.StrictTransport), `not for an issuer on this machine: other servers on it may have no https; leave it out or write "host"`)
	}
}

// maxResource bounds the identifier of a resource server, in bytes.
const maxResource = 512

// resourceServers is the rule of RFC 8707 §2.
func (c *collector) resourceServers(config *Config) {
	seen := map[string]bool{}
	for i, server := range config.ResourceServers {
		key := fmt.Sprintf("resource_servers[%d].", i)
		name := key + "identifier"
		u, err := url.Parse(server.Identifier)
		switch {
		case c.bad(name):
		case err != nil || !u.IsAbs() || u.Host == "" && u.Opaque == "" || strings.Contains(server.Identifier, "#"):
			c.add(name, quote(server.Identifier), `not an absolute URI without a fragment, such as "https://api.example" (RFC 8707 §2)`)
		case len(server.Identifier) > maxResource:
			c.add(name, quote(server.Identifier), "longer than %d bytes", maxResource)
		case seen[server.Identifier]:
			c.add(name, quote(server.Identifier), "described twice; keep one")
		}
		seen[server.Identifier] = true
		c.knownScopes(key+"scopes", server.Scopes, config)
	}
}

// detailTypes wants a name of its own for each type (RFC 9396 §2).
func (c *collector) detailTypes(config *Config) {
	seen := map[string]bool{}
	for i, known := range config.AuthorizationDetails {
		key := fmt.Sprintf("authorization_details[%d].type", i)
		switch {
		case c.bad(key):
		case len(known.Type) > 200 || strings.ContainsFunc(known.Type, func(r rune) bool { return r <= 0x20 || r > 0x7e }):
			c.add(key, quote(known.Type), "not the name of a type; use 1 to 200 printable ASCII characters without space")
		case seen[known.Type]:
			c.add(key, quote(known.Type), "described twice; keep one")
		}
		seen[known.Type] = true
		if key := fmt.Sprintf("authorization_details[%d].schema_file", i); !c.bad(key) && (known.SchemaFile == "") == (known.Ready == "") {
			c.add(key, quote(string(known.SchemaFile)), "a type has either a schema_file or a ready type, and not both; set one")
		}
		switch key := fmt.Sprintf("authorization_details[%d].accounts", i); {
		case known.Accounts == "login" && config.Login.Address == "":
			c.add(key, quote(known.Accounts), "there is no login that could offer them; set login.address, or use claims-source")
		case known.Accounts == "claims-source" && config.ClaimsSource.Address == "":
			c.add(key, quote(known.Accounts), "there is no claims source that could offer them; set claims_source.address, or use login")
		}
		if names := ready.Names(); known.Ready != "" && !slices.Contains(names, known.Ready) {
			c.add(fmt.Sprintf("authorization_details[%d].ready", i), quote(known.Ready), "there is no such ready type; %s",
				suggest.Hint(known.Ready, names, "there are "+strings.Join(names, ", ")))
		}
	}
}

func (c *collector) registration(config *Config) {
	r := &config.Registration
	c.knownScopes("registration.scopes", r.Scopes, config)
	for name := range strings.FieldsSeq(r.DetailTypes) {
		if known := config.DetailTypes(); !slices.Contains(known, name) {
			c.add("registration.authorization_details_types", quote(name), "there is no such type; %s", described(name, known, "authorization_details"))
		}
	}
	if r.CertificateQuota > 0 && (config.ListenMTLS.Address == "" || config.ListenMTLS.ClientCAFile == "") {
		c.add("registration.certificate_quota", strconv.Itoa(r.CertificateQuota), "needs listen_mtls.address and listen_mtls.client_ca_file, where certificates are shown and trusted")
	}
}

// described is the nearest of the known names, or the table in which a new one is described.
func described(unknown string, known []string, table string) string {
	return suggest.Hint(unknown, known, "describe it under [["+table+"]]")
}

// ScopeNames are the scope values that exist: the built-in ones, those of the configuration, and those that its profiles name.
func (config *Config) ScopeNames() []string {
	names := []string{"openid", "offline_access", "profile", "email", "phone", "address"}
	for _, scope := range config.Scopes {
		names = append(names, scope.Name)
	}
	if config.Login.ClientID != "" && config.Login.Issuer == "" {
		names = append(names, loginScope)
	}
	for name := range strings.FieldsSeq(config.Profiles) {
		known, _ := profile.Lookup(name)
		for _, rule := range known.Scopes {
			if rule.Parameter == "" && !slices.Contains(names, rule.Name) {
				names = append(names, rule.Name)
			}
		}
	}
	return names
}

// loginScope is the scope of the login's backend where it is a client.
const loginScope = "login"

// DetailTypes are the types of authorization_details that exist.
func (config *Config) DetailTypes() []string {
	names := make([]string, len(config.AuthorizationDetails))
	for i, known := range config.AuthorizationDetails {
		names[i] = known.Type
	}
	return names
}

// ResourceNames are the identifiers of all resource servers: the issuer, and those of the configuration.
func (config *Config) ResourceNames() []string {
	names := []string{config.Issuer}
	for _, known := range config.ResourceServers {
		names = append(names, known.Identifier)
	}
	return names
}

// TrustStoreNames are the names of the further trust stores.
func (config *Config) TrustStoreNames() []string {
	names := make([]string, len(config.TrustStores))
	for i, known := range config.TrustStores {
		names[i] = known.Name
	}
	return names
}

// knownScopes demands that scope values exist.
func (c *collector) knownScopes(key, scopes string, config *Config) {
	known := config.ScopeNames()
	for name := range strings.FieldsSeq(scopes) {
		if !c.bad(key) && !slices.Contains(known, name) {
			c.add(key, quote(name), "there is no such scope; %s", described(name, known, "scopes"))
		}
	}
}
