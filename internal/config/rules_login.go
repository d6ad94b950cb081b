package config

import (
	"net/url"
	"strings"
)

// loginRules are the rules of [login].
type loginRules struct{ *collector }

// check wants a login that browsers find, and that can authenticate.
func (c loginRules) check(config *Config) {
	l := &config.Login
	const address = "login.address"
	if c.bad(address) {
		return
	}
	for _, p := range l.UpstreamProblems(config.Issuer, config.CIBA.Enabled) {
		if key := "login." + p.Key; !c.bad(key) {
			c.add(key, quote(p.Value), "%s", p.Text)
		}
	}
	c.networks("login.issuer_networks", l.IssuerNetworks)
	if l.Issuer != "" {
		return
	}
	if l.Address == "" {
		const alone = "has no meaning without login.address; set it too"
		c.unneeded("login.acr_values", l.ACRValues, quote(l.ACRValues), alone)
		c.unneeded("login.certificate_file", string(l.CertificateFile), quote(string(l.CertificateFile)), alone)
		c.unneeded("login.certificate_dn", l.CertificateDN, quote(l.CertificateDN), alone)
		c.unneeded("login.client_id", l.ClientID, quote(l.ClientID), alone)
		c.unneeded("login.hints_address", l.HintsAddress, quote(l.HintsAddress), alone)
		return
	}
	u, err := url.Parse(l.Address)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Contains(l.Address, "#"):
		c.add(address, quote(l.Address), `not an https address without user information and fragment, such as "https://login.bank.example/sign-in"`)
	case u.Query().Has("handle"):
		c.add(address, quote(l.Address), "has the parameter handle, which is added to it; leave it out")
	}
	c.classes(l)
	if config.Sessions.InteractionLifetime < l.AnswerWithin && !c.bad("login.answer_within") && !c.bad("sessions.interaction_lifetime") {
		c.add("login.answer_within", quote(l.AnswerWithin.String()), "longer than sessions.interaction_lifetime (%s), which ends it; use %[1]s or less",
			config.Sessions.InteractionLifetime)
	}
	if l.Confirmations && !config.CIBA.Enabled && !c.bad("login.confirmations") && !c.bad("ciba.enabled") {
		c.add("login.confirmations", "true", "needs ciba.enabled: without it no application asks users on their devices")
	}
	c.hints(config)
	c.authentication(config)
}

// hints wants an address that is shown a certificate, and that applications need.
func (c loginRules) hints(config *Config) {
	l := &config.Login
	const address = "login.hints_address"
	if c.bad(address) {
		return
	}
	if l.HintsAddress == "" {
		const alone = "has no meaning without login.hints_address; set it too"
		c.unneeded("login.hints_certificate_file", string(l.HintsCertificate), quote(string(l.HintsCertificate)), alone)
		c.unneeded("login.hints_key_file", string(l.HintsKey), shown(l.HintsKey), alone)
		c.unneeded("login.hints_networks", l.HintsNetworks, quote(l.HintsNetworks), alone)
		return
	}
	if u, err := url.Parse(l.HintsAddress); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Contains(l.HintsAddress, "#") {
		c.add(address, quote(l.HintsAddress), `not an https address without user information and fragment, such as "https://login.bank.example/hints"`)
	} else if !config.CIBA.Enabled && !c.bad("ciba.enabled") {
		c.add(address, quote(l.HintsAddress), "needs ciba.enabled: without it there are no hints to resolve")
	}
	const missing = "missing: login.hints_address is told by a certificate who asks"
	c.needed("login.hints_certificate_file", string(l.HintsCertificate), missing)
	c.needed("login.hints_key_file", string(l.HintsKey), missing)
	c.networks("login.hints_networks", l.HintsNetworks)
}

func (c loginRules) classes(l *Login) {
	const key = "login.acr_values"
	switch {
	case c.bad(key) || c.bad("login.hand_off"):
	case l.HandOff == "consent" && !l.Confirmations:
		c.unneeded(key, l.ACRValues, quote(l.ACRValues), "belongs to a login that signs users in; leave it out or set login.hand_off")
	case len(strings.Fields(l.ACRValues)) == 0:
		c.add(key, "", `missing: say which classes the login may claim, best first, such as "urn:bank.example:acr:sca"`)
	}
	seen := map[string]bool{"0": true} // is no class (OpenID Connect Core §2)
	for name := range strings.FieldsSeq(l.ACRValues) {
		if seen[name] || len(name) > 256 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			c.add(key, quote(name), "must be up to 256 printable ASCII characters, without quotes and backslashes, named once, and not 0")
		}
		seen[name] = true
	}
}

// authentication wants one way to authenticate, that there is.
func (c loginRules) authentication(config *Config) {
	l, mtls := &config.Login, &config.ListenMTLS
	var set []string
	for key, value := range map[string]string{
		"login.certificate_file": string(l.CertificateFile), "login.certificate_dn": l.CertificateDN, "login.client_id": l.ClientID,
	} {
		if value != "" {
			set = append(set, key)
		}
	}
	switch {
	case len(set) == 0:
		c.add("login.certificate_file", "", "missing: the login's backend authenticates by certificate_file, certificate_dn or client_id; set one")
	case len(set) > 1:
		c.add("login.client_id", "", "the login's backend authenticates in one way; set one of certificate_file, certificate_dn and client_id")
	case c.bad(set[0]) || l.ClientID != "" || c.bad("listen_mtls.address"):
	case mtls.Address == "":
		c.add(set[0], "", "needs listen_mtls.address, where certificates are asked for")
	case l.CertificateDN != "" && mtls.ClientCAFile == "" && !c.bad("listen_mtls.client_ca_file"):
		c.add(set[0], quote(l.CertificateDN), "needs listen_mtls.client_ca_file, the authorities that issued it")
	}
}
