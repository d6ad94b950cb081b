package mtls

import (
	"bytes"
	"countersign/mtls/internal/keykind"
	"encoding/asn1"
	"errors"
	"testing"
)

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
		keykind.Of(certificate.RawSubjectPublicKeyInfo)
		rsaPSSKey(certificate.RawSubjectPublicKeyInfo)
		hiddenNames(certificate)
		understood(certificate)
	})
}
