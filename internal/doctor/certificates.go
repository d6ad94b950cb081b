package doctor

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"os"
	"slices"
	"strings"
	"time"

	"countersign/internal/config"
	"countersign/internal/config/value"
)

// leastRSA is the length in bits of an RSA key that every client accepts (NIST SP 800-131A Rev. 2, section 3).
const leastRSA = 2048

// accepted looks for what has clients refuse a server's certificate that is valid.
func (f *Findings) accepted(leaf *x509.Certificate) {
	if uses := leaf.ExtKeyUsage; len(uses) > 0 && !slices.Contains(uses, x509.ExtKeyUsageServerAuth) && !slices.Contains(uses, x509.ExtKeyUsageAny) {
		f.fail("tls", "the certificate is not for a server (its extended key usage lacks serverAuth); get one that is")
	}
	if key, ok := leaf.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < leastRSA {
		f.fail("tls", "the certificate has an RSA key of %d bits, which clients refuse; get one with %d or more, or with P-256", key.N.BitLen(), leastRSA)
	}
}

// chain looks for a chain that clients cannot follow.
func (f *Findings) chain(chain [][]byte, host string) {
	if value.OnThisMachine(host) {
		return // of an authority for development
	}
	for n, der := range chain {
		certificate, err := x509.ParseCertificate(der)
		if err != nil || bytes.Equal(certificate.RawIssuer, certificate.RawSubject) {
			return
		}
		if n+1 < len(chain) {
			next, err := x509.ParseCertificate(chain[n+1])
			if err == nil && !bytes.Equal(certificate.RawIssuer, next.RawSubject) {
				f.fail("tls", "in listen.certificate_file %s is followed by %s, and not by who issued it, %s; put the chain in order, the server's own first", certificate.Subject, next.Subject, certificate.Issuer)
				return
			}
			continue
		}
		if n == 0 {
			f.warn("tls", "listen.certificate_file holds the server's certificate alone: clients that do not have %s already refuse it; add the chain of the authority", certificate.Issuer)
		}
	}
}

// certificates examines every other certificate that the configuration names: those that are shown to others, and the authorities
// of others.
func (d *Doctor) certificates() (f Findings) {
	d.Config.EachFile(func(key string, file config.File, _ config.Secret) {
		switch {
		case file == "", key == "listen.certificate_file", strings.HasSuffix(key, "client_ca_file") && (strings.HasPrefix(key, "listen_mtls") || strings.HasPrefix(key, "trust_stores")):
			return // examined by others
		case strings.HasSuffix(key, "certificate_file"):
			if read, err := readCertificates(file.Path()); err == nil { // what cannot be read is told with the configuration
				if f.validity("tls", key, read[0], d.Now()) {
					f.ok("tls", "%s is valid until %s", key, read[0].NotAfter.UTC().Format(time.DateOnly))
				}
			}
		case strings.HasSuffix(key, "ca_file"):
			f.trusted(key, file.Path(), d.Now())
		}
	})
	return f
}

// trusted examines authorities: one that has ended is told, and none that is left is a fault.
func (f *Findings) trusted(key, file string, now time.Time) {
	encoded, err := os.ReadFile(file)
	if err != nil {
		return // told with the configuration
	}
	usable, _ := parseCertificates(encoded)
	var ended []string
	for _, authority := range usable {
		if !now.Before(authority.NotAfter) {
			ended = append(ended, authority.Subject.String())
		}
	}
	switch {
	case len(usable) == 0, len(ended) == 0:
	case len(ended) == len(usable):
		f.fail("tls", "%s: every authority in %s has ended (%s); get the new one", key, file, strings.Join(ended, ", "))
	default:
		f.warn("tls", "%s: ended, and trusted no more: %s", key, strings.Join(ended, ", "))
	}
}
