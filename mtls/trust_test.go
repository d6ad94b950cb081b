package mtls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"testing"
	"time"
)

// Covers: MT-01, MT-11, RULE-14.
func TestTrustVerify(t *testing.T) {
	root := newAuthority(t, "root", nil, nil)
	middle := newAuthority(t, "intermediate", root, nil)
	other := newAuthority(t, "other root", nil, nil)
	expired := newAuthority(t, "expired", root, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = testTime.Add(-2*time.Hour), testTime.Add(-time.Hour)
	})
	serversOnly := newAuthority(t, "servers", root, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	constrained := newAuthority(t, "constrained", root, func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"bank.example"}
	})
	endOfPath := newAuthority(t, "end of path", root, func(c *x509.Certificate) { c.MaxPathLenZero = true })
	tooDeep := newAuthority(t, "too deep", endOfPath, nil)
	noAuthority := &authority{key: newP256(t)}
	noAuthority.certificate = root.issue(t, noAuthority.key, nil)
	key := newP256(t)
	dns := func(name string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.DNSNames = []string{name} }
	}
	usage := func(usages ...x509.ExtKeyUsage) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtKeyUsage = usages }
	}
	for _, test := range []struct {
		name      string
		presented *Presented
		ok        bool
	}{
		{"by the root", present(root.issue(t, key, nil)), true},
		{"with the intermediate", present(middle.issue(t, key, nil), middle.certificate), true},
		{"with the whole chain", present(middle.issue(t, key, nil), middle.certificate, root.certificate), true},
		{"with unrelated certificates", present(root.issue(t, key, nil), other.certificate), true},
		{"Ed25519", present(root.issue(t, newEd25519(t), nil)), true},
		{"among other usages", present(root.issue(t, key, usage(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth))), true},
		{"no key usage", present(root.issue(t, key, func(c *x509.Certificate) { c.KeyUsage = 0 })), true},
		{"within name constraints", present(constrained.issue(t, key, dns("tpp.bank.example")), constrained.certificate), true},
		{"for anything", present(root.issue(t, key, usage(x509.ExtKeyUsageAny))), true},
		{"for nothing in particular", present(root.issue(t, key, usage())), true},

		{"nil", nil, false},
		{"no leaf", &Presented{}, false},
		{"intermediate missing", present(middle.issue(t, key, nil)), false},
		{"another root", present(other.issue(t, key, nil)), false},
		{"another root, sent along", present(other.issue(t, key, nil), other.certificate), false},
		{"self-signed", present(selfSigned(t, key, nil)), false},
		{"expired", present(root.issue(t, key, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = testTime.Add(-2*time.Hour), testTime.Add(-time.Second)
		})), false},
		{"not valid yet", present(root.issue(t, key, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = testTime.Add(time.Second), testTime.Add(time.Hour)
		})), false},
		{"expired intermediate", present(expired.issue(t, key, nil), expired.certificate), false},
		{"for servers", present(root.issue(t, key, usage(x509.ExtKeyUsageServerAuth))), false},
		{"for a purpose that x509 does not know", present(root.issue(t, key, func(c *x509.Certificate) {
			c.ExtKeyUsage, c.UnknownExtKeyUsage = nil, []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 99}}
		})), false},
		{"CA for servers", present(serversOnly.issue(t, key, nil), serversOnly.certificate), false},
		{"key usage without signatures", present(root.issue(t, key, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement })), false},
		{"outside name constraints", present(constrained.issue(t, key, dns("tpp.evil.example")), constrained.certificate), false},
		{"path too long", present(tooDeep.issue(t, key, nil), tooDeep.certificate, endOfPath.certificate), false},
		{"issuer is no CA", present(noAuthority.issue(t, key, nil), noAuthority.certificate), false},
		{"unknown critical extension", present(root.issue(t, key, func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, extension(asn1.ObjectIdentifier{1, 2, 3, 4}, true, []byte{5, 0}))
		})), false},
	} {
		t.Run(title(test.ok, test.name), func(t *testing.T) {
			err := Trust{Roots: pool(root.certificate), Now: now}.Verify(test.presented)
			if (err == nil) != test.ok || err != nil && !errors.Is(err, ErrUntrusted) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("configured intermediate", func(t *testing.T) {
		trust := Trust{Roots: pool(root.certificate), Intermediates: pool(middle.certificate), Now: now}
		for _, presented := range []*Presented{present(middle.issue(t, key, nil)), present(middle.issue(t, key, nil), other.certificate)} {
			if err := trust.Verify(presented); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("an intermediate that was sent does not stay", func(t *testing.T) {
		trust := Trust{Roots: pool(root.certificate), Intermediates: pool(), Now: now}
		if err := trust.Verify(present(middle.issue(t, key, nil), middle.certificate)); err != nil {
			t.Fatal(err)
		}
		if err := trust.Verify(present(middle.issue(t, key, nil))); !errors.Is(err, ErrUntrusted) {
			t.Errorf("%v", err)
		}
	})
	t.Run("no roots", func(t *testing.T) {
		if err := (Trust{Now: now}).Verify(present(root.issue(t, key, nil))); !errors.Is(err, ErrUntrusted) {
			t.Errorf("%v", err)
		}
	})
}

func TestTrustVerifyWeakKeys(t *testing.T) {
	root := newAuthority(t, "root", nil, nil)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsa2048, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	trust := Trust{Roots: pool(root.certificate), Now: now}
	for name, test := range map[string]struct {
		key crypto.Signer
		ok  bool
	}{
		"P-224": {p224, false}, "P-384": {p384, true}, "RSA 2048": {rsa2048, true}, "RSA 1024": {rsa1024(t), false},
	} {
		if err := trust.Verify(present(root.issue(t, test.key, nil))); (err == nil) != test.ok || err != nil && !errors.Is(err, ErrUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
	}
	weakRoot := &authority{key: rsa1024(t)}
	template := &x509.Certificate{BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign}
	weakRoot.certificate = template
	weakRoot.certificate = weakRoot.sign(t, template, weakRoot.key.Public())
	trust.Roots = pool(weakRoot.certificate)
	if err := trust.Verify(present(weakRoot.issue(t, newP256(t), nil))); !errors.Is(err, ErrUntrusted) {
		t.Errorf("weak root: %v", err)
	}
}

func rsa1024(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestTrustVerifySHA1(t *testing.T) {
	root := newAuthority(t, "root", nil, nil)
	trust := Trust{Roots: pool(root.certificate), Now: now}
	for algorithm, ok := range map[x509.SignatureAlgorithm]bool{x509.ECDSAWithSHA1: false, x509.ECDSAWithSHA256: true, x509.ECDSAWithSHA512: true} {
		leaf := root.issue(t, newP256(t), func(c *x509.Certificate) { c.SignatureAlgorithm = algorithm })
		if leaf.SignatureAlgorithm != algorithm {
			t.Fatalf("signed with %s", leaf.SignatureAlgorithm)
		}
		if err := trust.Verify(present(leaf)); (err == nil) != ok || err != nil && !errors.Is(err, ErrUntrusted) {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
}

func TestCheckStrength(t *testing.T) {
	leaf, root := &x509.Certificate{PublicKey: newP256(t).Public()}, &x509.Certificate{PublicKey: newP256(t).Public(), SignatureAlgorithm: x509.SHA1WithRSA}
	for algorithm := x509.UnknownSignatureAlgorithm; algorithm <= x509.PureEd25519; algorithm++ {
		leaf.SignatureAlgorithm = algorithm
		weak := algorithm < x509.SHA256WithRSA || algorithm >= x509.DSAWithSHA1 && algorithm <= x509.ECDSAWithSHA1
		if err := checkStrength([]*x509.Certificate{leaf, root}); (err == nil) == weak {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
}

// Covers: MT-03.
func TestSelfSigned(t *testing.T) {
	key, other, weak := newP256(t), newP256(t), rsa1024(t)
	good := selfSigned(t, key, nil)
	root := newAuthority(t, "root", nil, nil)
	for _, test := range []struct {
		name      string
		presented *Presented
		keys      []crypto.PublicKey
		now       time.Time
		ok        bool
	}{
		{"registered", present(good), []crypto.PublicKey{key.Public()}, testTime, true},
		{"second of three", present(good), []crypto.PublicKey{newEd25519(t).Public(), key.Public(), other.Public()}, testTime, true},
		{"by an unknown authority", present(root.issue(t, key, nil)), []crypto.PublicKey{key.Public()}, testTime, true},
		{"without usages", present(selfSigned(t, key, func(c *x509.Certificate) { c.ExtKeyUsage = nil })), []crypto.PublicKey{key.Public()}, testTime, true},
		{"first second", present(good), []crypto.PublicKey{key.Public()}, good.NotBefore, true},
		{"last second", present(good), []crypto.PublicKey{key.Public()}, good.NotAfter, true},

		{"none presented", nil, []crypto.PublicKey{key.Public()}, testTime, false},
		{"no leaf", &Presented{}, []crypto.PublicKey{key.Public()}, testTime, false},
		{"no keys", present(good), nil, testTime, false},
		{"another key", present(good), []crypto.PublicKey{other.Public()}, testTime, false},
		{"key of the chain only", present(selfSigned(t, other, nil), good), []crypto.PublicKey{key.Public()}, testTime, false},
		{"not valid yet", present(good), []crypto.PublicKey{key.Public()}, good.NotBefore.Add(-time.Second), false},
		{"expired", present(good), []crypto.PublicKey{key.Public()}, good.NotAfter.Add(time.Second), false},
		{"weak key", present(selfSigned(t, weak, nil)), []crypto.PublicKey{weak.Public()}, testTime, false},
	} {
		t.Run(title(test.ok, test.name), func(t *testing.T) {
			err := SelfSigned(test.presented, test.keys, test.now)
			if (err == nil) != test.ok || err != nil && !errors.Is(err, ErrMismatch) {
				t.Errorf("%v", err)
			}
		})
	}
}
