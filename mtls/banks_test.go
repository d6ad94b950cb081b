package mtls

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Covers: FD-50, FD-52. Certificates of banks, as they come in a header of the ingress.
func TestParseCertificate(t *testing.T) {
	for name, dn := range map[string]string{
		"negserial": "CN=negserial,O=Bank,C=BR", "underscore": "CN=underscore,O=Bank_1,C=FR",
		"noeku": "CN=noeku,O=Bank,C=BR", "pss": "CN=pss,O=Bank,C=BR",
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			der := bankCertificate(t, name)
			certificate, err := ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			if err := (Subject{DN: dn}).Match(certificate); err != nil || !bytes.Equal(certificate.Raw, der) {
				t.Error(err)
			}
		})
	}
	t.Run("accepts the serial number as it is", func(t *testing.T) {
		if serial := bankSubject(t, "negserial").SerialNumber; serial.Cmp(big.NewInt(-0x1234)) != 0 {
			t.Errorf("%x", serial)
		}
	})
	t.Run("refuses brainpool, and names subject and curve", func(t *testing.T) {
		_, err := ParseCertificate(bankCertificate(t, "brainpool"))
		refused, ok := errors.AsType[*CertificateError](err)
		if !ok || !errors.Is(err, ErrMalformed) || refused.Subject != "CN=brainpool,O=Bank,C=BR" || !strings.Contains(refused.Cause, "brainpoolP256r1 (1.3.36.3.3.2.8.1.1.7)") {
			t.Error(err)
		}
	})
	t.Run("refuses what is no certificate", func(t *testing.T) {
		for _, der := range [][]byte{nil, {0x30, 0}, {0x30, 3, 0x30, 1, 0}, append(bankCertificate(t, "negserial"), 0), bankCertificate(t, "negserial")[:300]} {
			_, err := ParseCertificate(der)
			if _, ok := errors.AsType[*CertificateError](err); ok || !errors.Is(err, ErrMalformed) {
				t.Errorf("%x: %v", der, err)
			}
		}
	})
}

// edited issues a certificate whose signed part has one text in the place of another of the same length.
func (a *authority) edited(t testing.TB, key crypto.Signer, change func(*x509.Certificate), from, to string) []byte {
	t.Helper()
	original := a.issue(t, key, change)
	if len(from) != len(to) || bytes.Count(original.RawTBSCertificate, []byte(from)) != 1 {
		t.Fatalf("%q is there %d times", from, bytes.Count(original.RawTBSCertificate, []byte(from)))
	}
	signed := bytes.Replace(original.RawTBSCertificate, []byte(from), []byte(to), 1)
	digest := sha256.Sum256(signed)
	signature, err := a.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return marshal(t, struct {
		Signed    asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{
		asn1.RawValue{FullBytes: signed}, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}},
		asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)},
	})
}

// unreadableNames is a certificate with a DNS name that is not ASCII.
func unreadableNames(t testing.TB, a *authority) *x509.Certificate {
	t.Helper()
	certificate, err := ParseCertificate(a.edited(t, newP256(t), func(c *x509.Certificate) {
		c.DNSNames = []string{"bank.example"}
	}, "bank.example", "ban\xe2\x84\xaa.examp")) // the Kelvin sign, which folds to k
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// Covers: FD-50. What x509 does not read is verified all the same: signature, time, usage, constraints, revocation.
func TestTrustOfUnusualCertificates(t *testing.T) {
	root := newAuthority(t, "root", nil, nil)
	constrained := newAuthority(t, "constrained", root, func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"bank.example"}
	})
	key := newP256(t)
	organisation := func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "client", Organization: []string{"Bank_1"}}
	}
	uniqueID := func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "client", ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 45}, Value: "\x00\x01\x02"}}}
	}
	withExtension := func(id asn1.ObjectIdentifier, value []byte) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{extension(id, true, value)} }
	}
	trust := Trust{Roots: pool(root.certificate), Now: now}
	critical := asn1.ObjectIdentifier{1, 2, 3, 4}
	for _, test := range []struct {
		name, dn string
		der      []byte
		want     string // of the error
	}{
		{"an underscore in a PrintableString", "CN=client,O=Bank_1", root.edited(t, key, organisation, "\x0c\x06Bank_1", "\x13\x06Bank_1"), ""},
		{"an at sign in a NumericString", "CN=client,O=Bank_1", root.edited(t, key, organisation, "\x0c\x06Bank_1", "\x12\x06Bank_1"), ""},
		{"a VisibleString", "CN=client,O=Bank_1", root.edited(t, key, organisation, "\x0c\x06Bank_1", "\x1a\x06Bank_1"), ""},
		{"a UniversalString", "CN=client,O=\U0001f600", root.edited(t, key, func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: "client", Organization: []string{"\x00\x01\x02_"}}
		}, "\x0c\x04\x00\x01\x02_", "\x1c\x04\x00\x01\xf6\x00"), ""},
		{"a BIT STRING", "2.5.4.45=#0303000102,CN=client", root.edited(t, key, uniqueID, "\x0c\x03\x00\x01\x02", "\x03\x03\x00\x01\x02"), ""},
		{"a critical subject key identifier", "CN=client", root.edited(t, key, withExtension(critical, []byte{4, 1, 1}), "\x06\x03\x2a\x03\x04\x01\x01\xff", "\x06\x03\x55\x1d\x0e\x01\x01\xff"), ""},
		{"a DNS name that is not ASCII", "CN=client", unreadableNames(t, root).Raw, ""},
		{"an address of five bytes", "CN=client", root.edited(t, key, func(c *x509.Certificate) { c.DNSNames = []string{"a.exa"} }, "\x82\x05a.exa", "\x87\x05a.exa"), ""},
		{"a URI that is none", "CN=client", root.edited(t, key, func(c *x509.Certificate) {
			c.URIs = []*url.URL{{Scheme: "https", Host: "a.example"}}
		}, "https://a.example", "https://%%%%%%%%%"), ""},

		{"another signed part", "", bytes.Replace(root.edited(t, key, organisation, "\x0c\x06Bank_1", "\x13\x06Bank_1"), []byte("Bank_1"), []byte("Bank_2"), 1), "none of the authorities"},
		{"another type than was signed", "", bytes.Replace(root.issue(t, key, organisation).Raw, []byte("\x0c\x06Bank_1"), []byte("\x13\x06Bank_1"), 1), "none of the authorities"},
		{"names that cannot be read below constraints", "", unreadableNames(t, constrained).Raw, "name constraints"},
		{"an unknown critical extension beside an odd string", "", root.edited(t, key, func(c *x509.Certificate) {
			organisation(c)
			withExtension(critical, []byte{5, 0})(c)
		}, "\x0c\x06Bank_1", "\x13\x06Bank_1"), "not understood here: 1.2.3.4"},
		{"for servers, with an odd string", "", root.edited(t, key, func(c *x509.Certificate) {
			organisation(c)
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}, "\x0c\x06Bank_1", "\x13\x06Bank_1"), "not made for client authentication"},
	} {
		t.Run(title(test.want == "", test.name), func(t *testing.T) {
			certificate, err := ParseCertificate(test.der)
			if err != nil {
				t.Fatal(err)
			}
			err = trust.Verify(present(certificate, constrained.certificate))
			if test.want != "" {
				reason, ok := errors.AsType[*TrustError](err)
				if !ok || !errors.Is(err, ErrUntrusted) || !strings.Contains(reason.Reason, test.want) {
					t.Error(err)
				}
				return
			}
			if err != nil {
				t.Error(err)
			}
			if err := (Subject{DN: test.dn}).Match(certificate); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("refuses an unreadable name as another that it folds to", func(t *testing.T) {
		kelvin := unreadableNames(t, root)
		if err := (Subject{SANDNS: "bank.examp"}).Match(kelvin); !errors.Is(err, ErrMismatch) {
			t.Error(err)
		}
	})
}

// Covers: FD-50. An authority may be as unusual; what cannot be used in a file is left out and named.
func TestStoresNameWhatTheyLeaveOut(t *testing.T) {
	root := newAuthority(t, "root", nil, nil)
	odd := &authority{key: newP256(t)}
	parsed, err := ParseCertificate(root.edited(t, odd.key, func(c *x509.Certificate) {
		c.Subject = pkix.Name{Organization: []string{"Bank_1"}}
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	}, "\x0c\x06Bank_1", "\x13\x06Bank_1"))
	if err != nil {
		t.Fatal(err)
	}
	odd.certificate = parsed
	file := filepath.Join(t.TempDir(), "roots.pem")
	write := func(all ...[]byte) {
		var text strings.Builder
		for _, der := range all {
			text.WriteString(spelled{&x509.Certificate{Raw: der}}.pem())
		}
		if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(odd.certificate.Raw, bankCertificate(t, "brainpool"))
	stores, err := NewStores([]Store{{Name: "banks", Roots: file}}, now)
	if err != nil {
		t.Fatal(err)
	}
	client := odd.issue(t, newP256(t), nil)
	t.Run("accepts a client of such an authority", func(t *testing.T) {
		if err := (Trust{Stores: stores}).VerifyContext(t.Context(), present(client)); err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses the other and names it", func(t *testing.T) {
		problems := stores.Problems()
		if len(problems) != 1 || !strings.Contains(problems[0].Error(), file) || !strings.Contains(problems[0].Error(), "CN=brainpool,O=Bank,C=BR") {
			t.Error(problems)
		}
	})
	t.Run("refuses a file with nothing else", func(t *testing.T) {
		write(bankCertificate(t, "brainpool"))
		if _, err := stores.Reload(); err == nil || !strings.Contains(err.Error(), "brainpoolP256r1") {
			t.Error(err)
		}
		if err := (Trust{Stores: stores}).VerifyContext(t.Context(), present(client)); err != nil {
			t.Errorf("the one before: %v", err)
		}
	})
}

// Covers: FD-52. Keys of the kind id-RSASSA-PSS, which only an ingress can ask for.
func TestPSSKeys(t *testing.T) {
	leaf := bankSubject(t, "pss")
	if leaf.PublicKey != nil {
		t.Fatalf("x509 reads it as %T", leaf.PublicKey)
	}
	t.Run("accepts one behind an ingress", func(t *testing.T) {
		source, err := Header(SourceRFC9440)
		if err != nil {
			t.Fatal(err)
		}
		presented, err := source.Certificate(request("Client-Cert", spelled{leaf}.sequence()))
		if err != nil {
			t.Fatal(err)
		}
		public, ok := presented.Leaf.PublicKey.(*rsa.PublicKey)
		if !ok || public.N.BitLen() != 2048 || public.E != 65537 || !strongKey(public) {
			t.Fatalf("%T", presented.Leaf.PublicKey)
		}
		if err := SelfSigned(presented, []crypto.PublicKey{public}, presented.Leaf.NotBefore); err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses one elsewhere, and names its kind", func(t *testing.T) {
		if kind := KeyKind(leaf); kind != "RSASSA-PSS (1.2.840.113549.1.1.10)" {
			t.Error(kind)
		}
		if err := checkStrength([]*x509.Certificate{leaf, leaf}); err == nil || !strings.Contains(err.Error(), "RSASSA-PSS") {
			t.Error(err)
		}
	})
	for name, certificate := range map[string]*x509.Certificate{"another kind": bankSubject(t, "noeku"), "nothing": {}} {
		if key := rsaPSSKey(certificate.RawSubjectPublicKeyInfo); key != nil {
			t.Errorf("%s: %v", name, key)
		}
	}
}

// Covers: FD-53. qcStatements of qualified certificates (eIDAS) may be critical; nothing else that is unknown may.
func TestCriticalExtensions(t *testing.T) {
	root := newAuthority(t, "root", nil, nil)
	key := newP256(t)
	statements := marshal(t, []any{
		[]any{asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 1}},
		[]any{asn1.ObjectIdentifier{0, 4, 0, 19495, 2}, []any{[]any{}, "BaFin", "DE-BAFIN"}},
	})
	with := func(extensions ...pkix.Extension) *Presented {
		return present(root.issue(t, key, func(c *x509.Certificate) { c.ExtraExtensions = extensions }))
	}
	middle := newAuthority(t, "qualified authority", root, func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{extension(oidQCStatements, true, statements)}
	})
	for _, test := range []struct {
		name      string
		presented *Presented
		want      string
	}{
		{"qcStatements that are critical", with(extension(oidQCStatements, true, statements)), ""},
		{"qcStatements that are not", with(extension(oidQCStatements, false, statements)), ""},
		{"an authority that has them", present(middle.issue(t, key, nil), middle.certificate), ""},
		{"qcStatements that are none", with(extension(oidQCStatements, true, []byte{5, 0})), oidQCStatements.String()},
		{"another beside them", with(extension(oidQCStatements, true, statements), extension(asn1.ObjectIdentifier{1, 2, 3, 4}, true, []byte{5, 0})), "1.2.3.4"},
		{"TLS features", with(extension(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, true, []byte{0x30, 3, 2, 1, 5})), "1.3.6.1.5.5.7.1.24"},
	} {
		t.Run(title(test.want == "", test.name), func(t *testing.T) {
			before := len(test.presented.Leaf.UnhandledCriticalExtensions)
			err := Trust{Roots: pool(root.certificate), Now: now}.Verify(test.presented)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Error(err)
			}
			if len(test.presented.Leaf.UnhandledCriticalExtensions) != before {
				t.Error("the certificate of the connection was changed")
			}
		})
	}
}

// Covers: FD-54. A certificate without an extended key usage is good for everything (RFC 5280 §4.2.1.12).
func TestExtendedKeyUsage(t *testing.T) {
	root := newAuthority(t, "root", nil, nil)
	for name, usages := range map[string][]x509.ExtKeyUsage{
		"accepts none": nil, "accepts clientAuth": {x509.ExtKeyUsageClientAuth}, "accepts any": {x509.ExtKeyUsageAny},
		"accepts both of a qualified certificate": {x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		"refuses serverAuth":                      {x509.ExtKeyUsageServerAuth}, "refuses emailProtection": {x509.ExtKeyUsageEmailProtection},
	} {
		t.Run(name, func(t *testing.T) {
			leaf := root.issue(t, newP256(t), func(c *x509.Certificate) { c.ExtKeyUsage = usages })
			if err := (Trust{Roots: pool(root.certificate), Now: now}).Verify(present(leaf)); (err == nil) != strings.HasPrefix(name, "accepts") {
				t.Error(err)
			}
		})
	}
	t.Run("refuses an ingress without one", func(t *testing.T) {
		leaf := root.issue(t, newP256(t), func(c *x509.Certificate) { c.ExtKeyUsage, c.DNSNames = nil, []string{"ingress.example"} })
		ingress := IngressCertificate{Roots: pool(root.certificate), Names: []string{"ingress.example"}, Now: now}
		r := request()
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
		if err := ingress.Authenticate(r); err == nil {
			t.Error("believed")
		}
	})
}

// Covers: FD-58. Envoy's own names come first in X-Forwarded-Client-Cert; the client's are refused as before.
func TestEnvoyBy(t *testing.T) {
	leaf, other := spelled{selfSigned(t, newP256(t), nil)}, spelled{selfSigned(t, newP256(t), nil)}
	element := "Hash=" + leaf.digest() + `;Cert="` + leaf.escaped() + `"`
	source, err := Header(SourceEnvoy)
	if err != nil {
		t.Fatal(err)
	}
	for header, accepted := range map[string]bool{
		"By=spiffe://cluster.local/ns/gw/sa/gateway;" + element: true,
		"by=spiffe://a;By=https://b.example/?c=d;" + element:    true,
		"By=;" + element: true,
		element:          true,

		"By=spiffe://a": false, "By=spiffe://a;": false, "By": false,
		"By=spiffe://a," + element:       false,
		`By="spiffe://a;` + element:      false,
		element + ";By=spiffe://b":       false,
		"By=spiffe://a;URI=b;" + element: false,
		"By=spiffe://a;Hash=" + other.digest() + `;Cert="` + leaf.escaped() + `"`:                       false,
		"By=spiffe://a;" + element + ",By=b;Hash=" + other.digest() + `;Cert="` + other.escaped() + `"`: false,
	} {
		t.Run(title(accepted, header[:min(len(header), 40)]), func(t *testing.T) {
			presented, err := source.Certificate(request(xfccHeader, header))
			if (err == nil && presented != nil) != accepted || err != nil && !errors.Is(err, ErrMalformed) {
				t.Errorf("%v, %v", presented, err)
			}
			if accepted && !presented.Leaf.Equal(leaf.certificate) {
				t.Error("another certificate")
			}
		})
	}
}

// Covers: FD-52. self_signed_tls_client_auth with every kind of key that a handshake asks for.
func TestSelfSignedKinds(t *testing.T) {
	key, other := newEC(t, elliptic.P384()), newEC(t, elliptic.P384())
	for name, one := range map[string]struct {
		registered crypto.PublicKey
		ok         bool
	}{"accepts P-384": {key.Public(), true}, "refuses another P-384": {other.Public(), false}} {
		t.Run(name, func(t *testing.T) {
			if err := SelfSigned(present(selfSigned(t, key, nil)), []crypto.PublicKey{one.registered}, testTime); (err == nil) != one.ok {
				t.Error(err)
			}
		})
	}
}

// Covers: FD-59. The reason is the true one, in words that the certificate's holder may read.
func TestTrustReasons(t *testing.T) {
	root, other := newAuthority(t, "root", nil, nil), newAuthority(t, "other", nil, nil)
	constrained := newAuthority(t, "constrained", root, func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"bank.example"}
	})
	servers := newAuthority(t, "servers", root, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	key := newP256(t)
	for want, presented := range map[string]*Presented{
		"": present(root.issue(t, key, nil)),
		"it is valid from 2026-11-23T13:00:00Z to 2026-11-23T14:00:00Z": present(root.issue(t, key, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = testTime.Add(3600e9), testTime.Add(7200e9)
		})),
		`its issuer "CN=other" is none of the authorities`: present(other.issue(t, key, nil)),
		"name constraints": present(constrained.issue(t, key, func(c *x509.Certificate) {
			c.DNSNames, c.IPAddresses = []string{"evil.example"}, []net.IP{net.IPv4(1, 1, 1, 1)}
		}), constrained.certificate),
		"its authority may not issue certificates for client authentication": present(servers.issue(t, key, nil), servers.certificate),
		"its key is RSA of 1024 bits":                                        present(root.issue(t, rsa1024(t), nil)),
		"it is signed with ECDSA-SHA1":                                       present(root.issue(t, key, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 })),
		"its key is P-224 (1.3.132.0.33)":                                    present(root.issue(t, newEC(t, elliptic.P224()), nil)),
	} {
		t.Run(title(want == "", want), func(t *testing.T) {
			err := Trust{Roots: pool(root.certificate), Now: now}.Verify(presented)
			if want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			reason, ok := errors.AsType[*TrustError](err)
			if !ok || !strings.Contains(reason.Reason, want) || strings.Contains(reason.Reason, "x509") {
				t.Error(err)
			}
		})
	}
}
