package devsetup

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"countersign/internal/wholefile"
)

const (
	// certificateLifetime is that of every certificate.
	certificateLifetime = 365 * 24 * time.Hour
	// renewBefore is how long before its end a certificate is replaced.
	renewBefore = 30 * 24 * time.Hour
)

// authority is a development certificate authority, kept in NAME.crt and NAME.key.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// credential is a certificate with its key, kept in NAME.crt and NAME.key.
type credential struct {
	name        string
	template    x509.Certificate
	generateKey func() (crypto.Signer, error)
}

func generateRSA() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }

func generateP256() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// developmentAuthority reads an authority from a folder, or makes it. An authority for servers may only vouch for
// the given hosts, so that trusting it in a browser opens no other site.
func developmentAuthority(folder, name, commonName string, hosts []string, now time.Time) (authority, bool, error) {
	template := x509.Certificate{
		Subject:  pkix.Name{CommonName: commonName},
		IsCA:     true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		// It vouches for leaves only.
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
	}
	dns, addresses := splitHosts(hosts)
	template.PermittedDNSDomains = dns
	for _, address := range addresses {
		template.PermittedIPRanges = append(template.PermittedIPRanges, oneAddress(address))
	}
	template.PermittedDNSDomainsCritical = len(hosts) > 0
	return ensure(folder, credential{name, template, generateRSA}, nil, now)
}

func oneAddress(address net.IP) *net.IPNet {
	if four := address.To4(); four != nil {
		address = four
	}
	return &net.IPNet{IP: address, Mask: net.CIDRMask(len(address)*8, len(address)*8)}
}

// serverCredential is the TLS server certificate for the given hosts. The addresses of this machine have a name, localhost,
// and are left out: BoringSSL, and so Envoy, does not know constraints of addresses and refuses a certificate with an
// address from an authority that has any.
func serverCredential(hosts []string) credential {
	template := x509.Certificate{
		Subject:     pkix.Name{CommonName: hosts[0]},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	template.DNSNames, template.IPAddresses = splitHosts(hosts)
	if len(template.DNSNames) > 0 {
		template.IPAddresses = slices.DeleteFunc(template.IPAddresses, net.IP.IsLoopback)
	}
	return credential{"server", template, generateRSA}
}

// clientCredential is a TLS client certificate.
func clientCredential(name string) credential {
	return credential{name, x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, generateP256}
}

func splitHosts(hosts []string) (dns []string, addresses []net.IP) {
	for _, host := range hosts {
		if address := net.ParseIP(host); address != nil {
			addresses = append(addresses, address)
		} else {
			dns = append(dns, host)
		}
	}
	return dns, addresses
}

// ensure keeps a certificate that is there, issued by the authority and far from its end, and makes it otherwise.
// Without an authority it signs itself.
func ensure(folder string, wanted credential, by *authority, now time.Time) (_ authority, fresh bool, err error) {
	certificateFile, keyFile := filepath.Join(folder, wanted.name+".crt"), filepath.Join(folder, wanted.name+".key")
	kept, err := readCredential(certificateFile, keyFile)
	switch {
	case err == nil && stillGood(kept.certificate, &wanted.template, by, now):
		return kept, false, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNoPair):
		return authority{}, false, err
	}
	made, err := issue(wanted, by, now)
	if err != nil {
		return authority{}, false, fmt.Errorf("certificate %s: %w", certificateFile, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(made.key)
	if err != nil {
		return authority{}, false, fmt.Errorf("certificate %s: %w", certificateFile, err)
	}
	// The key goes first: a certificate without its key would be kept.
	if err := wholefile.Write(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return authority{}, false, err
	}
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made.certificate.Raw})
	return made, true, wholefile.Write(certificateFile, encoded, 0o644)
}

func stillGood(certificate, wanted *x509.Certificate, by *authority, now time.Time) bool {
	if by != nil && certificate.CheckSignatureFrom(by.certificate) != nil {
		return false
	}
	for _, host := range wanted.DNSNames {
		if !slices.Contains(certificate.DNSNames, host) {
			return false
		}
	}
	if len(certificate.IPAddresses) > len(wanted.IPAddresses) {
		return false // one of an earlier release
	}
	for _, address := range wanted.IPAddresses {
		if !slices.ContainsFunc(certificate.IPAddresses, address.Equal) {
			return false
		}
	}
	for _, host := range wanted.PermittedDNSDomains {
		if !slices.Contains(certificate.PermittedDNSDomains, host) {
			return false
		}
	}
	return now.After(certificate.NotBefore) && now.Add(renewBefore).Before(certificate.NotAfter)
}

func issue(wanted credential, by *authority, now time.Time) (authority, error) {
	key, err := wanted.generateKey()
	if err != nil {
		return authority{}, err
	}
	template := wanted.template
	template.NotBefore, template.NotAfter = now.Add(-time.Hour), now.Add(certificateLifetime)
	parent, signer := &template, key
	if by != nil {
		parent, signer = by.certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, key.Public(), signer)
	if err != nil {
		return authority{}, err
	}
	certificate, err := x509.ParseCertificate(der)
	return authority{certificate, key}, err
}

// errNoPair is for a key and a certificate that do not belong together: writing them was interrupted.
var errNoPair = errors.New("the key is not the certificate's; remove both and try again")

// readCredential reads a certificate and its key.
func readCredential(certificateFile, keyFile string) (authority, error) {
	encoded, err := os.ReadFile(certificateFile)
	if err != nil {
		return authority{}, err
	}
	block, _ := pem.Decode(encoded)
	if block == nil {
		return authority{}, fmt.Errorf("%s holds no PEM; remove it and try again", certificateFile)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return authority{}, fmt.Errorf("%s: %w", certificateFile, err)
	}
	encoded, err = os.ReadFile(keyFile)
	if err != nil {
		return authority{}, err
	}
	if block, _ = pem.Decode(encoded); block == nil {
		return authority{}, fmt.Errorf("%s holds no PEM; remove it and try again", keyFile)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return authority{}, fmt.Errorf("%s: %w", keyFile, err)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return authority{}, fmt.Errorf("%s holds no signing key", keyFile)
	}
	if public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(certificate.PublicKey) {
		return authority{}, fmt.Errorf("%s: %w", keyFile, errNoPair)
	}
	return authority{certificate, key}, nil
}
