package config

import (
	"slices"
	"strings"

	"countersign/fapi/claims"
	"countersign/internal/suggest"
)

// claimsSource wants a source that is whole, or none.
func (c *collector) claimsSource(s *ClaimsSource) {
	pair(c, "claims_source.certificate_file", string(s.CertificateFile), "claims_source.key_file", string(s.KeyFile))
	if s.Address == "" {
		const off = "has no meaning while there is no source; set claims_source.address too"
		c.unneeded("claims_source.certificate_file", string(s.CertificateFile), quote(string(s.CertificateFile)), off)
		c.unneeded("claims_source.ca_file", string(s.CAFile), quote(string(s.CAFile)), off)
		c.unneeded("claims_source.networks", s.Networks, quote(s.Networks), off)
		c.unneeded("claims_source.claims", s.Claims, quote(s.Claims), off)
		return
	}
	if s.KeyFile == "" {
		c.needed("claims_source.certificate_file", string(s.CertificateFile), "missing: the source is called with mutual TLS, and has to be shown a certificate")
	}
	known, named := claims.Known(), strings.Fields(s.Claims)
	for i, name := range named {
		switch {
		case c.bad("claims_source.claims"):
		case !slices.Contains(known, name):
			c.add("claims_source.claims", quote(name), "no claim about a user (OpenID Connect Core §5.1); %s",
				suggest.Hint(name, known, "known are "+strings.Join(known, ", ")))
		case slices.Contains(named[:i], name):
			c.add("claims_source.claims", quote(name), "named twice; keep one")
		}
	}
	if len(named) == 0 && !s.CheckActive && !c.bad("claims_source.claims") {
		c.add("claims_source.claims", "", "missing: without claims and with check_active = false the source would never be asked")
	}
}
