package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"countersign/internal/config"
	"countersign/mtls"
	"countersign/mtls/dn"
)

// ClientCertificate examines a client's certificate as this installation would take it, without a connection.
type ClientCertificate struct {
	// File holds the certificate and those that the client sends with it, PEM, its own first.
	File   string
	Config *config.Config
	Now    func() time.Time
}

// Checks are what there is to find out. Revocation is not looked up.
func (c ClientCertificate) Checks() []Check {
	return []Check{{Name: "certificate", Run: c.run}}
}

func (c ClientCertificate) run(context.Context) (f Findings, _ error) {
	encoded, err := os.ReadFile(c.File)
	if err != nil {
		return nil, err
	}
	sent, unusable := parseCertificates(encoded)
	switch {
	case len(unusable) > 0:
		f.unreadable(unusable[0])
		return f, nil
	case len(sent) == 0:
		return nil, fmt.Errorf("%s holds no certificate in PEM form", c.File)
	}
	presented := mtls.Presented{Leaf: sent[0], Chain: sent[1:]}
	name, err := dn.OfSubject(presented.Leaf)
	if err != nil {
		f.fail("subject", "%v", err)
		return f, nil
	}
	f.ok("subject", "tls_client_auth_subject_dn is %s", name)
	f.ok("key", "its kind is %s", mtls.KeyKind(presented.Leaf))
	if c.Config.ListenMTLS.Source == mtls.SourceDirect || c.Config.ListenMTLS.Source == "" {
		f.handshake(presented.Leaf)
	}
	c.trusted(&f, &presented)
	return f, nil
}

func (f *Findings) unreadable(err error) {
	refused, ok := errors.AsType[*mtls.CertificateError](err)
	if !ok {
		f.fail("read", "%v", err)
		return
	}
	f.fail("read", "the certificate of %q cannot be used: %s", refused.Subject, refused.Cause)
}

// handshake reports whether a listener that clients reach themselves takes the certificate.
func (f *Findings) handshake(leaf *x509.Certificate) {
	strict, err := x509.ParseCertificate(leaf.Raw)
	switch {
	case err != nil:
		f.fail("tls", "the handshake of this server refuses it (%v); it is accepted behind an ingress, docs/ingress.md", err)
	case strict.PublicKey == nil:
		f.fail("tls", "this server does not ask for keys of its kind, so that clients do not send it; it is accepted behind an ingress if it is RSASSA-PSS")
	default:
		f.ok("tls", "the handshake of this server takes it")
	}
}

// trusted tries all sets of authorities.
func (c ClientCertificate) trusted(f *Findings, presented *mtls.Presented) {
	l := c.Config.ListenMTLS
	stores := []mtls.Store{{Name: "listen_mtls", Roots: l.ClientCAFile.Path(), Intermediates: l.IntermediatesFile.Path()}}
	for _, t := range c.Config.TrustStores {
		stores = append(stores, mtls.Store{Name: "trust store " + t.Name, Roots: t.ClientCAFile.Path(), Intermediates: t.IntermediatesFile.Path()})
	}
	for _, store := range stores {
		if store.Roots == "" {
			continue
		}
		read, err := mtls.NewStores([]mtls.Store{store}, c.Now)
		if err != nil {
			f.fail("trust", "%v", err)
			continue
		}
		if err := (mtls.Trust{Stores: read}).VerifyContext(context.Background(), presented); err != nil {
			f.warn("trust", "%s does not trust it: %s", store.Name, mtls.Reason(err))
			continue
		}
		f.ok("trust", "%s trusts it", store.Name)
	}
}
