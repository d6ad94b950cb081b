package dn

import (
	"crypto/x509"
	"testing"
)

// FuzzParse: a name that is accepted equals itself, is within the limits, and differs from itself with one more
// relative name. Written down it reads as itself.
func FuzzParse(f *testing.F) {
	f.Add(`CN=a\,b+UID=#0c0161,2.5.4.97=x , O=S\C3\A3o`)
	f.Add(`OID.2.5.4.97="a ""b"", c"; S = x ;G=\#`)
	f.Add(`/C=BR/O=a\/b\x41+CN=c`)
	f.Fuzz(func(t *testing.T, text string) {
		name, err := Parse(text)
		if err != nil {
			return
		}
		if len(name) == 0 || len(name) > maxRDNs || !name.Equal(name) {
			t.Fatalf("%q: %v", text, name)
		}
		if written, err := Parse(name.String()); len(name.String()) <= MaxSize && (err != nil || !written.Equal(name)) {
			t.Fatalf("%q is written as %q: %v", text, name, err)
		}
		if again, err := Parse("C=ZZ," + text); err == nil && (again.Equal(name) || len(again) != len(name)+1) {
			t.Fatalf("%q: another name is equal", text)
		}
	})
}

// FuzzOfSubject: no subject panics, and one that is accepted equals itself.
func FuzzOfSubject(f *testing.F) {
	f.Add(marshal(f, []wireRDNSET{{value(commonName, 12, "client"), value(commonName, 30, "\x00a")}}))
	f.Fuzz(func(t *testing.T, der []byte) {
		name, err := OfSubject(&x509.Certificate{RawSubject: der})
		if err == nil && !name.Equal(name) {
			t.Fatalf("%x: %v", der, name)
		}
	})
}
