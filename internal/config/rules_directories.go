package config

import (
	"fmt"
	"slices"
	"strings"

	"countersign/fapi/profile"
	"countersign/internal/suggest"
)

// Directory is a directory of participants.
type Directory struct {
	Name                string   `toml:"name" required:"true" doc:"What it is called here, in the log and to clients. Clients keep it: do not change it."`
	Kind                string   `toml:"kind" required:"true" enum:"uk,brazil,cdr" doc:"How it publishes: as Open Banking Limited's directory does, as Open Finance Brasil's and those of the same software, or as the register of Australia's Consumer Data Right."`
	Issuer              string   `toml:"issuer" required:"true" doc:"The iss of its software statements."`
	Profile             string   `toml:"profile" required:"true" doc:"The profile, one of profiles, of clients that register with its statements. Its rule of registration says how they are bound to the statement (countersign profile explain)."`
	KeysAddress         string   `toml:"keys_address" required:"true" doc:"https address of its key set."`
	ParticipantsAddress string   `toml:"participants_address" doc:"https address below which its lists of participants and their statuses are. Without it nobody is suspended."`
	Authorization       Secret   `toml:"authorization_file" doc:"File of the header Authorization for the lists, such as a bearer token that something else keeps fresh; read each time."`
	TokenAddress        string   `toml:"token_address" doc:"https address of its token endpoint, where an access token for the lists is had and kept fresh: by client_credentials, authenticated with certificate_file (tls_client_auth). In place of authorization_file."`
	TokenClientID       string   `toml:"token_client_id" doc:"The client_id by which its token endpoint knows this server."`
	TokenScope          string   `toml:"token_scope" doc:"Scope of that token, such as TPPReadAccess in the United Kingdom."`
	CertificateFile     File     `toml:"certificate_file" doc:"Certificate, PEM, that is shown to it."`
	KeyFile             Secret   `toml:"key_file" doc:"Private key of that certificate, PEM."`
	CAFile              File     `toml:"ca_file" doc:"Certificate authorities, PEM, of its certificate; those of outbound.ca_file, or the system's, when absent."`
	Networks            string   `toml:"networks" doc:"Networks that are not public and in which it may be, such as 10.1.2.0/28, separated by spaces."`
	Audiences           string   `toml:"audiences" doc:"What it calls this server, separated by spaces: registration requests that are JWTs may have these as aud beside the issuer."`
	TrustStore          string   `toml:"trust_store" doc:"The one of [[trust_stores]] whose authorities issue its participants' certificates; listen_mtls.client_ca_file when absent."`
	Quota               int      `toml:"quota" default:"10" min:"1" max:"100000" doc:"Clients that one participant may register with statements."`
	Refresh             Duration `toml:"refresh" default:"2m" min:"30s" max:"1h" doc:"How often keys and lists are read. In Australia a change has to count within 5 minutes."`
	Outage              Duration `toml:"outage" default:"24h" lax:"more" min:"10m" max:"7d" doc:"How long after its keys were last read statements are still accepted; then registrations are answered 503. Statuses stay as they were last known."`
}

// directories wants directories whose clients can register.
func (c *collector) directories(config *Config) {
	seen := map[string]bool{}
	for i, d := range config.Directories {
		key := fmt.Sprintf("directories[%d].", i)
		if seen["name "+d.Name] && !c.bad(key+"name") {
			c.add(key+"name", quote(d.Name), "described twice; keep one")
		}
		if seen["iss "+d.Issuer] && !c.bad(key+"issuer") {
			c.add(key+"issuer", quote(d.Issuer), "is that of another directory; statements have to tell whose they are")
		}
		seen["name "+d.Name], seen["iss "+d.Issuer] = true, true
		pair(c, key+"certificate_file", string(d.CertificateFile), key+"key_file", string(d.KeyFile))
		c.networks(key+"networks", d.Networks)
		if !config.Registration.Enabled && !c.bad("registration.enabled") {
			c.add(key+"name", quote(d.Name), "has no meaning while clients cannot register; set registration.enabled too")
		}
		directoryProfile(c, key+"profile", d.Profile, config)
		stores := config.TrustStoreNames()
		if d.TrustStore != "" && !slices.Contains(stores, d.TrustStore) && !c.bad(key+"trust_store") {
			c.add(key+"trust_store", quote(d.TrustStore), "there is no such trust store; %s", described(d.TrustStore, stores, "trust_stores"))
		}
		if d.ParticipantsAddress == "" {
			c.unneeded(key+"authorization_file", string(d.Authorization), shown(d.Authorization), "has no meaning without participants_address")
		}
	}
}

// directoryProfile wants a profile that is offered, and that says how clients register with statements.
func directoryProfile(c *collector, key, name string, config *Config) {
	offered := strings.Fields(config.Profiles)
	known, ok := profile.Lookup(name)
	switch {
	case c.bad(key) || c.bad("profiles"):
	case !ok || !profile.Offers(offered, name):
		c.add(key, quote(name), "is not one of profiles; %s", suggest.Hint(name, offered, "those are "+strings.Join(offered, ", ")))
	case known.Registration.SoftwareStatement == profile.SoftwareStatementIgnored:
		c.add(key, quote(name), "says nothing of software statements")
	case known.Registration.NeedsCertificate() && config.ListenMTLS.Address == "" && !c.bad("listen_mtls.address"):
		c.add(key, quote(name), "has clients register with a certificate; set listen_mtls.address and listen_mtls.url too")
	}
}
