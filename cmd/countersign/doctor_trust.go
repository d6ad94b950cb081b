package main

import (
	"os"
	"time"

	"countersign/internal/config"
	"countersign/mtls"
)

// clientAuthorities looks at what client certificates are held against.
func (d *diagnosis) clientAuthorities(c *config.Config) {
	if c.ListenMTLS.Address == "" {
		return
	}
	if c.ListenMTLS.ClientCAFile == "" {
		d.warn("mtls", "no listen_mtls.client_ca_file: tls_client_auth trusts nobody who names no trust store, self_signed_tls_client_auth works")
	} else {
		d.authorities("listen_mtls", c.ListenMTLS.ClientCAFile.Path(), c.ListenMTLS.CRLFile.Path())
	}
	for _, store := range c.TrustStores {
		d.authorities("trust store "+store.Name, store.ClientCAFile.Path(), store.CRLFile.Path())
	}
}

// authorities looks at the files of one set of authorities.
func (d *diagnosis) authorities(name, file, lists string) {
	authorities, err := readCertificates(file)
	if err != nil {
		d.fail("mtls", "%s, client_ca_file: %v", name, err)
		return
	}
	for _, authority := range authorities {
		if d.validity("mtls", "the client authority "+authority.Subject.String(), authority) {
			d.ok("mtls", "%s: client certificates of %s are trusted", name, authority.Subject)
		}
	}
	if lists == "" {
		return
	}
	encoded, err := os.ReadFile(lists)
	if err != nil {
		d.fail("mtls", "%s, crl_file: %v", name, err)
		return
	}
	found, err := mtls.ParseLists(encoded)
	if err != nil {
		d.fail("mtls", "%s, crl_file: %v", name, err)
		return
	}
	for _, list := range found {
		switch left := list.NextUpdate.Sub(d.p.now()); {
		case list.NextUpdate.IsZero():
			d.fail("mtls", "%s: the revocation list of %s does not say when the next one comes, and is not used", name, list.Issuer)
		case left <= 0:
			d.fail("mtls", "%s: the revocation list of %s ended on %s; fetch a new one", name, list.Issuer, list.NextUpdate.UTC().Format(time.DateTime))
		default:
			d.ok("mtls", "%s: the revocation list of %s is good until %s", name, list.Issuer, list.NextUpdate.UTC().Format(time.DateTime))
		}
	}
}
