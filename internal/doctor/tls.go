package doctor

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"countersign/internal/serve"
	"countersign/mtls"
)

// endsSoon is how long before its end a certificate is worth a warning.
const endsSoon = 30 * 24 * time.Hour

// certificate examines the TLS certificate: its key, its time and its names.
func (d *Doctor) certificate() (f Findings) {
	pair, err := serve.Certificate(d.Config.Listen)
	if err != nil {
		f.fail("tls", "%v", err)
		return f
	}
	leaf := pair.Leaf
	if !f.validity("tls", "the certificate", leaf, d.Now()) {
		return f
	}
	f.ok("tls", "the certificate fits its key and is valid until %s", leaf.NotAfter.UTC().Format(time.DateOnly))
	f.accepted(leaf)
	f.chain(pair.Certificate, hostOf(d.Config.Issuer))
	addresses := []string{d.Config.Issuer}
	if d.Config.ListenMTLS.Address != "" {
		addresses = append(addresses, d.Config.ListenMTLS.URL)
	}
	for _, address := range addresses {
		if err := leaf.VerifyHostname(hostOf(address)); err != nil {
			f.fail("tls", "the certificate is not for %s; get one that names %s", address, hostOf(address))
			continue
		}
		f.ok("tls", "the certificate is for %s", address)
	}
	return f
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address // the configuration lets no such address through
	}
	return u.Hostname()
}

// validity reports whether a certificate is valid now.
func (f *Findings) validity(topic, name string, certificate *x509.Certificate, now time.Time) bool {
	end := certificate.NotAfter.UTC().Format(time.DateOnly)
	switch left := certificate.NotAfter.Sub(now); {
	case now.Before(certificate.NotBefore):
		f.fail(topic, "%s is valid only from %s on; is the clock right?", name, certificate.NotBefore.UTC().Format(time.RFC3339))
		return false
	case left <= 0:
		f.fail(topic, "%s ended on %s; get a new one", name, end)
		return false
	case left < endsSoon:
		f.warn(topic, "%s ends soon, on %s", name, end)
	}
	return true
}

// clientAuthorities examines what client certificates are verified with.
func (d *Doctor) clientAuthorities() (f Findings) {
	c := d.Config
	if c.Admin.CRLFile != "" {
		f.revocationLists("admin", c.Admin.CRLFile.Path(), d.Now())
	}
	if c.ListenMTLS.Address == "" {
		return f
	}
	if c.ListenMTLS.ClientCAFile == "" {
		f.warn("mtls", "no listen_mtls.client_ca_file: tls_client_auth trusts nobody who names no trust store, self_signed_tls_client_auth works")
	} else {
		f.authorities("listen_mtls", c.ListenMTLS.ClientCAFile.Path(), c.ListenMTLS.CRLFile.Path(), d.Now())
	}
	for _, store := range c.TrustStores {
		f.authorities("trust store "+store.Name, store.ClientCAFile.Path(), store.CRLFile.Path(), d.Now())
	}
	return f
}

// authorities examines the files of one set of authorities.
func (f *Findings) authorities(name, file, lists string, now time.Time) {
	authorities, unusable, err := readAuthorities(file)
	if err != nil {
		f.fail("mtls", "%s, client_ca_file: %v", name, err)
		return
	}
	for _, problem := range unusable {
		f.warn("mtls", "%s, client_ca_file: left out: %v", name, problem)
	}
	for _, authority := range authorities {
		if authority.Version == 3 && !authority.BasicConstraintsValid || authority.BasicConstraintsValid && !authority.IsCA { // as crypto/x509 has it
			f.warn("mtls", "%s, client_ca_file: %s is no authority (it lacks basicConstraints with CA): it vouches for nobody but itself; name the certificate of who issued it", name, authority.Subject)
			continue
		}
		if f.validity("mtls", "the client authority "+authority.Subject.String(), authority, now) {
			f.ok("mtls", "%s: client certificates of %s are trusted", name, authority.Subject)
		}
	}
	if lists != "" {
		f.revocationLists(name, lists, now)
	}
}

func (f *Findings) revocationLists(name, file string, now time.Time) {
	encoded, err := os.ReadFile(file)
	if err != nil {
		f.fail("mtls", "%s, crl_file: %v", name, err)
		return
	}
	lists, err := mtls.ParseLists(encoded)
	if err != nil {
		f.fail("mtls", "%s, crl_file: %v", name, err)
		return
	}
	for _, list := range lists {
		end := list.NextUpdate.UTC().Format(time.RFC3339)
		switch {
		case list.NextUpdate.IsZero():
			f.fail("mtls", "%s: the revocation list of %s does not say when the next one comes, and is not used", name, list.Issuer)
		case !now.Before(list.NextUpdate):
			f.fail("mtls", "%s: the revocation list of %s ended on %s; fetch a new one", name, list.Issuer, end)
		default:
			f.ok("mtls", "%s: the revocation list of %s is good until %s", name, list.Issuer, end)
		}
	}
}

// readAuthorities reads the certificates of a PEM file that can be used, and says why the others cannot.
func readAuthorities(name string) (usable []*x509.Certificate, unusable []error, err error) {
	encoded, err := os.ReadFile(name)
	if err != nil {
		return nil, nil, err
	}
	usable, unusable = parseCertificates(encoded)
	switch {
	case len(usable) == 0 && len(unusable) > 0:
		return nil, nil, fmt.Errorf("%s holds no certificate that can be used: %w", name, errors.Join(unusable...))
	case len(usable) == 0:
		return nil, nil, fmt.Errorf("%s holds no certificate in PEM form", name)
	}
	return usable, unusable, nil
}

// parseCertificates reads the certificates of a PEM text that can be used, and says why the others cannot.
func parseCertificates(encoded []byte) (usable []*x509.Certificate, unusable []error) {
	for block, rest := pem.Decode(encoded); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := mtls.ParseCertificate(block.Bytes)
		if err != nil {
			unusable = append(unusable, err)
			continue
		}
		usable = append(usable, certificate)
	}
	return usable, unusable
}

// readCertificates reads every certificate of a PEM file.
func readCertificates(name string) ([]*x509.Certificate, error) {
	encoded, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var certificates []*x509.Certificate
	for block, rest := pem.Decode(encoded); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		certificates = append(certificates, certificate)
	}
	if len(certificates) == 0 {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", name)
	}
	return certificates, nil
}
