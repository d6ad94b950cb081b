package mtls

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"testing"
)

// FuzzParseDN: a name that is accepted equals itself, is within the limits, and differs from itself with one more
// relative name. Written down it reads as itself.
func FuzzParseDN(f *testing.F) {
	f.Add(`CN=a\,b+UID=#0c0161,2.5.4.97=x , O=S\C3\A3o`)
	f.Add(`OID.2.5.4.97="a ""b"", c"; S = x ;G=\#`)
	f.Add(`/C=BR/O=a\/b\x41+CN=c`)
	f.Fuzz(func(t *testing.T, text string) {
		name, err := ParseDN(text)
		if err != nil {
			return
		}
		if len(name) == 0 || len(name) > maxRDNs || !name.Equal(name) {
			t.Fatalf("%q: %v", text, name)
		}
		if written, err := ParseDN(name.String()); len(name.String()) <= maxSubject && (err != nil || !written.Equal(name)) {
			t.Fatalf("%q is written as %q: %v", text, name, err)
		}
		if again, err := ParseDN("C=ZZ," + text); err == nil && (again.Equal(name) || len(again) != len(name)+1) {
			t.Fatalf("%q: another name is equal", text)
		}
	})
}

// FuzzSubjectDN: no subject panics, and one that is accepted equals itself.
func FuzzSubjectDN(f *testing.F) {
	f.Add(marshal(f, []wireRDNSET{{value(commonName, 12, "client"), value(commonName, 30, "\x00a")}}))
	f.Fuzz(func(t *testing.T, der []byte) {
		name, err := SubjectDN(&x509.Certificate{RawSubject: der})
		if err == nil && !name.Equal(name) {
			t.Fatalf("%x: %v", der, name)
		}
	})
}

// FuzzParseCertificate: whatever is accepted has the bytes that were given, each part where it was.
func FuzzParseCertificate(f *testing.F) {
	for _, name := range []string{"negserial", "underscore", "pss", "brainpool", "noeku", "openbanking", "escapes"} {
		f.Add(bankCertificate(f, name))
	}
	f.Add(unreadableNames(f, newAuthority(f, "root", nil, nil)).Raw)
	f.Fuzz(func(t *testing.T, der []byte) {
		certificate, err := ParseCertificate(der)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		parts, ok := readOutline(bytes.Clone(der))
		if !ok || !bytes.Equal(certificate.Raw, der) || !bytes.Equal(certificate.RawTBSCertificate, parts.tbs) ||
			!bytes.Equal(certificate.RawSubject, parts.subject) || !bytes.Equal(certificate.RawIssuer, parts.issuer) ||
			!bytes.Equal(certificate.RawSubjectPublicKeyInfo, parts.key) || certificate.SerialNumber.Cmp(signed(parts.serial)) != 0 ||
			len(certificate.Extensions) != len(parts.extensions) {
			t.Fatalf("%x is read as another certificate", der)
		}
		for i, extension := range certificate.Extensions {
			id, err := asn1.Marshal(extension.Id)
			if err == nil && !bytes.HasSuffix(id, parts.extensions[i].id) || !bytes.Equal(extension.Value, parts.extensions[i].value) {
				t.Fatalf("%x: extension %d is another", der, i)
			}
		}
		keyKind(certificate.RawSubjectPublicKeyInfo)
		rsaPSSKey(certificate.RawSubjectPublicKeyInfo)
		hiddenNames(certificate)
		understood(certificate)
	})
}
