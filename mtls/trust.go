package mtls

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"time"
)

// Trust says which client certificates are trusted for tls_client_auth (RFC 8705 §2.1).
type Trust struct {
	// Roots are the trust anchors. Without them nothing is trusted; the system's roots never are.
	Roots *x509.CertPool
	// Intermediates are known certificates between the roots and the clients', in addition to those that a client
	// sends along. May be nil.
	Intermediates *x509.CertPool
	// Now is the clock.
	Now func() time.Time
	// Stores, if not nil, are asked by VerifyContext in place of Roots and Intermediates: authorities that may change
	// while the server runs, and revocation.
	Stores *Stores
}

// VerifyContext is Verify, and asks Stores if there are any, with revocation, which may take the time of fetching until
// ctx ends. Errors wrap [ErrUntrusted].
func (t Trust) VerifyContext(ctx context.Context, p *Presented) error {
	if t.Stores == nil {
		return t.Verify(p)
	}
	return t.Stores.verify(ctx, p)
}

// Verify checks that the certificate leads to a trust anchor by RFC 5280 (validity, path length, name constraints, no
// unknown critical extension), that it is made for client authentication, and that every key and signature on the way
// is strong. Nothing is fetched. Errors wrap [ErrUntrusted].
func (t Trust) Verify(p *Presented) error {
	_, err := t.chains(p)
	return err
}

// chains gives the valid chains.
func (t Trust) chains(p *Presented) ([][]*x509.Certificate, error) {
	if p == nil || p.Leaf == nil {
		return nil, fmt.Errorf("%w: there is none", ErrUntrusted)
	}
	if t.Roots == nil {
		return nil, fmt.Errorf("%w: no trust anchors are configured", ErrUntrusted)
	}
	if err := checkUsage(p.Leaf); err != nil {
		return nil, err
	}
	chains, err := p.Leaf.Verify(x509.VerifyOptions{
		Roots:         t.Roots,
		Intermediates: t.intermediates(p),
		CurrentTime:   t.Now(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	var strong [][]*x509.Certificate
	var weak error
	for _, chain := range chains {
		if err := checkStrength(chain); err != nil {
			weak = err
			continue
		}
		strong = append(strong, chain)
	}
	if len(strong) == 0 {
		return nil, weak
	}
	return strong, nil
}

// intermediates are the configured ones and those that the client sent.
func (t Trust) intermediates(p *Presented) *x509.CertPool {
	if len(p.Chain) == 0 {
		return t.Intermediates
	}
	pool := x509.NewCertPool()
	if t.Intermediates != nil {
		pool = t.Intermediates.Clone()
	}
	for _, certificate := range p.Chain {
		pool.AddCert(certificate)
	}
	return pool
}

// checkUsage demands what x509 takes for granted when it is absent: that the certificate says what it is for
// (RFC 5280 §4.2.1.12).
func checkUsage(leaf *x509.Certificate) error {
	if !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return fmt.Errorf("%w: it is not made for client authentication (extended key usage)", ErrUntrusted)
	}
	// RFC 5280 §4.2.1.3: TLS clients sign
	if leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return fmt.Errorf("%w: it is not made for signatures (key usage)", ErrUntrusted)
	}
	return nil
}

// checkStrength looks at every key of a chain and at every signature but the trust anchor's own, on which nothing
// rests.
func checkStrength(chain []*x509.Certificate) error {
	for i, certificate := range chain {
		if err := checkKey(certificate.PublicKey); err != nil {
			return err
		}
		anchor := i == len(chain)-1
		if !anchor && !strongSignature(certificate.SignatureAlgorithm) {
			return fmt.Errorf("%w: signed with %s", ErrUntrusted, certificate.SignatureAlgorithm)
		}
	}
	return nil
}

func strongSignature(algorithm x509.SignatureAlgorithm) bool {
	switch algorithm {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519:
		return true
	}
	return false
}

// checkKey demands RSA of 2048 bits or more, or a curve of 256 bits or more (FAPI 2.0 Security Profile §5.4.1).
func checkKey(public crypto.PublicKey) error {
	switch public := public.(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() >= 2048 {
			return nil
		}
	case *ecdsa.PublicKey:
		switch public.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
	case ed25519.PublicKey:
		return nil
	}
	return fmt.Errorf("%w: a key in the chain is too weak or of an unknown kind", ErrUntrusted)
}

// SelfSigned checks a certificate for self_signed_tls_client_auth (RFC 8705 §2.2): its public key is one of those that
// the client registered, and it is valid at the given time. No chain is looked at. Errors wrap [ErrMismatch].
func SelfSigned(p *Presented, keys []crypto.PublicKey, now time.Time) error {
	if p == nil || p.Leaf == nil {
		return fmt.Errorf("%w: there is none", ErrMismatch)
	}
	if now.Before(p.Leaf.NotBefore) || now.After(p.Leaf.NotAfter) {
		return fmt.Errorf("%w: it is valid from %s to %s", ErrMismatch, p.Leaf.NotBefore.UTC().Format(time.RFC3339), p.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	if err := checkKey(p.Leaf.PublicKey); err != nil {
		return fmt.Errorf("%w: %w", ErrMismatch, err)
	}
	presented, ok := p.Leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !slices.ContainsFunc(keys, presented.Equal) {
		return ErrUnknownKey
	}
	return nil
}
