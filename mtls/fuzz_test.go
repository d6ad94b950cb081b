package mtls

import (
	"crypto/x509"
	"testing"
)

// FuzzParseDN: a name that is accepted equals itself, is within the limits, and differs from itself with one more
// relative name.
func FuzzParseDN(f *testing.F) {
	f.Add(`CN=a\,b+UID=#0c0161,2.5.4.97=x , O=S\C3\A3o`)
	f.Fuzz(func(t *testing.T, text string) {
		name, err := ParseDN(text)
		if err != nil {
			return
		}
		if len(name) == 0 || len(name) > maxRDNs || !name.Equal(name) {
			t.Fatalf("%q: %v", text, name)
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
