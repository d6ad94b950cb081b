package mtls

import (
	"context"
	"countersign/mtls/internal/keykind"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"iter"
	"slices"
	"time"

	"countersign/internal/finding"
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
	return finding.First(t.Findings(ctx, p))
}

// Findings are the rules of [Trust.VerifyContext], one by one and in its order: each by its name, with the error that refuses the
// certificate, or nil. Rules that need what an earlier one has refused are left out.
func (t Trust) Findings(ctx context.Context, p *Presented) iter.Seq2[string, error] {
	return t.findings(p, func() error {
		if t.Stores == nil {
			_, err := t.paths(p)
			return err
		}
		return t.Stores.verify(ctx, p)
	})
}

// findings are the rules that look at the certificate alone, and then whether it leads to an authority.
func (t Trust) findings(p *Presented, led func() error) finding.Findings {
	return func(yield func(string, error) bool) {
		if p == nil || p.Leaf == nil {
			yield(finding.Presented, fmt.Errorf("%w: there is none", ErrUntrusted))
			return
		}
		if t.Stores == nil && t.Roots == nil {
			yield(finding.Authorities, untrusted("no certificate authorities are configured"))
			return
		}
		if !yield(finding.Authorities, nil) {
			return
		}
		usage := checkUsage(p.Leaf)
		if !yield(finding.Usage, usage) || usage != nil { // x509 would refuse it for the same, in other words
			return
		}
		yield(finding.Chain, led())
	}
}

// Verify checks that the certificate leads to a trust anchor by RFC 5280 (validity, path length, name constraints, no
// unknown critical extension), that it is made for client authentication, and that every key and signature on the way
// is strong. qcStatements (RFC 3739 §3.2.6) may be critical: what they state of the certificate restricts nothing that
// is done with it here. Nothing is fetched. Errors wrap [ErrUntrusted] and are mostly a [*TrustError].
func (t Trust) Verify(p *Presented) error {
	t.Stores = nil
	return finding.First(t.findings(p, func() error {
		_, err := t.paths(p)
		return err
	}))
}

// paths gives the valid chains of a certificate whose usage is right.
func (t Trust) paths(p *Presented) ([][]*x509.Certificate, error) {
	if t.Roots == nil { // x509 would take those of the system
		return nil, untrusted("no certificate authorities are configured")
	}
	leaf := understood(p.Leaf)
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots:         t.Roots,
		Intermediates: t.intermediates(p),
		CurrentTime:   t.Now(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, &TrustError{Reason: reasonOf(leaf, err), cause: err}
	}
	var good [][]*x509.Certificate
	var bad error
	for _, chain := range chains {
		if err := checkChain(chain); err != nil {
			bad = err
			continue
		}
		good = append(good, chain)
	}
	if len(good) == 0 {
		return nil, bad
	}
	return good, nil
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
		pool.AddCert(understood(certificate))
	}
	return pool
}

// checkUsage applies the extended key usage. A certificate without one may be used for everything (RFC 5280 §4.2.1.12),
// and so may one that says so: the authorities here are those that the operator named for clients. One that is
// made for other things only is refused.
func checkUsage(leaf *x509.Certificate) error {
	restricted := len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0
	if restricted && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return untrusted("it is not made for client authentication (extended key usage)")
	}
	// RFC 5280 §4.2.1.3: TLS clients sign
	if leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return untrusted("it is not made for signatures (key usage)")
	}
	return nil
}

// checkChain applies what x509 does not.
func checkChain(chain []*x509.Certificate) error {
	if err := checkStrength(chain); err != nil {
		return err
	}
	return checkHiddenNames(chain)
}

// checkHiddenNames refuses alternative names that cannot be read where an authority constrains the names of what it
// issues.
func checkHiddenNames(chain []*x509.Certificate) error {
	for i, certificate := range chain[:len(chain)-1] {
		if hiddenNames(certificate) && slices.ContainsFunc(chain[i+1:], constrainsNames) {
			return untrusted("its subject alternative names cannot be read, and the name constraints of its authority apply to them")
		}
	}
	return nil
}

// checkStrength looks at every key of a chain and at every signature but the trust anchor's own, on which nothing
// rests.
func checkStrength(chain []*x509.Certificate) error {
	for i, certificate := range chain {
		whose := "its"
		if i > 0 {
			whose = "its authority's"
		}
		if !strongKey(certificate.PublicKey) {
			return untrusted("%s key is %s; %s", whose, describeKey(certificate), acceptedKeys)
		}
		anchor := i == len(chain)-1
		if !anchor && !strongSignature(certificate.SignatureAlgorithm) {
			return untrusted("%s certificate is signed with %s", whose, certificate.SignatureAlgorithm)
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

// strongKey demands RSA of 2048 bits or more, or a curve of 256 bits or more (FAPI 2.0 Security Profile §5.4.1).
func strongKey(public crypto.PublicKey) bool {
	switch public := public.(type) {
	case *rsa.PublicKey:
		return public.N.BitLen() >= 2048
	case *ecdsa.PublicKey:
		switch public.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return true
		}
	case ed25519.PublicKey:
		return true
	}
	return false
}

// describeKey is the kind of a key, and the size of one that has several.
func describeKey(certificate *x509.Certificate) string {
	if public, ok := certificate.PublicKey.(*rsa.PublicKey); ok {
		return fmt.Sprintf("RSA of %d bits", public.N.BitLen())
	}
	return keykind.Of(certificate.RawSubjectPublicKeyInfo)
}

// SelfSigned checks a certificate for self_signed_tls_client_auth (RFC 8705 §2.2): its public key is one of those that
// the client registered, and it is valid at the given time. No chain is looked at. Errors wrap [ErrMismatch].
func SelfSigned(p *Presented, keys []crypto.PublicKey, now time.Time) error {
	return finding.First(SelfSignedFindings(p, keys, now))
}

// SelfSignedFindings are the rules of [SelfSigned], one by one and in its order: each by its name, with the error that refuses the
// certificate, or nil.
func SelfSignedFindings(p *Presented, keys []crypto.PublicKey, now time.Time) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if p == nil || p.Leaf == nil {
			yield(finding.Presented, fmt.Errorf("%w: there is none", ErrMismatch))
			return
		}
		_ = yield(finding.Validity, selfSignedValidity(p.Leaf, now)) &&
			yield(finding.Strength, selfSignedStrength(p.Leaf)) &&
			yield(finding.Registered, registered(p.Leaf, keys))
	}
}

func selfSignedValidity(leaf *x509.Certificate, now time.Time) error {
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return &selfSignedError{fmt.Sprintf("it is valid from %s to %s", stamp(leaf.NotBefore), stamp(leaf.NotAfter))}
	}
	return nil
}

func selfSignedStrength(leaf *x509.Certificate) error {
	if !strongKey(leaf.PublicKey) {
		return &selfSignedError{fmt.Sprintf("its key is %s; %s", describeKey(leaf), acceptedKeys)}
	}
	return nil
}

func registered(leaf *x509.Certificate, keys []crypto.PublicKey) error {
	presented, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !slices.ContainsFunc(keys, presented.Equal) {
		return ErrUnknownKey
	}
	return nil
}
