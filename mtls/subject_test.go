package mtls

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"
)

func extension(id asn1.ObjectIdentifier, critical bool, value []byte) pkix.Extension {
	return pkix.Extension{Id: id, Critical: critical, Value: value}
}

func TestSubjectValidate(t *testing.T) {
	for _, test := range []struct {
		name    string
		subject Subject
		ok      bool
	}{
		{"dn", Subject{DN: "CN=client,O=Bank,C=DE"}, true},
		{"dns", Subject{SANDNS: "client.bank.example"}, true},
		{"uri", Subject{SANURI: "https://client.example/a?b"}, true},
		{"urn", Subject{SANURI: "urn:example:client"}, true},
		{"spiffe", Subject{SANURI: "spiffe://bank.example/client"}, true},
		{"ipv4", Subject{SANIP: "192.0.2.1"}, true},
		{"ipv6", Subject{SANIP: "2001:db8::1"}, true},
		{"email", Subject{SANEmail: "ops@bank.example"}, true},

		{"none", Subject{}, false},
		{"two", Subject{DN: "CN=client", SANDNS: "client.bank.example"}, false},
		{"two of san", Subject{SANURI: "urn:a", SANEmail: "ops@bank.example"}, false},
		{"all", Subject{"CN=client", "client.bank.example", "urn:a", "192.0.2.1", "ops@bank.example"}, false},
		{"dn bad", Subject{DN: "client"}, false},
		{"dns wildcard", Subject{SANDNS: "*.bank.example"}, false},
		{"dns empty label", Subject{SANDNS: "client..example"}, false},
		{"dns dot at the end", Subject{SANDNS: "client.example."}, false},
		{"dns space", Subject{SANDNS: "client .example"}, false},
		{"dns NUL", Subject{SANDNS: "client.example\x00.evil.example"}, false},
		{"dns too long", Subject{SANDNS: strings.Repeat("abcdefgh.", 28) + "toolong"}, false},
		{"dns label too long", Subject{SANDNS: strings.Repeat("a", 64) + ".example"}, false},
		{"uri relative", Subject{SANURI: "/client"}, false},
		{"uri space", Subject{SANURI: "https://client.example/ "}, false},
		{"uri not ASCII", Subject{SANURI: "https://clïent.example/"}, false},
		{"ip name", Subject{SANIP: "localhost"}, false},
		{"ip network", Subject{SANIP: "192.0.2.0/24"}, false},
		{"ip zone", Subject{SANIP: "fe80::1%eth0"}, false},
		{"email without host", Subject{SANEmail: "ops"}, false},
		{"email without local part", Subject{SANEmail: "@bank.example"}, false},
		{"email two at", Subject{SANEmail: "ops@a@bank.example"}, false},
		{"too long", Subject{SANURI: "urn:" + strings.Repeat("a", maxSubject)}, false},
	} {
		err := test.subject.Validate()
		if (err == nil) != test.ok || err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// Covers: MT-01.
func TestSubjectMatch(t *testing.T) {
	root := newAuthority(t, "root", nil, nil)
	spiffe, err := url.Parse("spiffe://Bank.example/Client")
	if err != nil {
		t.Fatal(err)
	}
	certificate := root.issue(t, newP256(t), func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "Client One", Organization: []string{"Bank"}, Country: []string{"DE"}}
		c.DNSNames = []string{"one.bank.example", "two.bank.example", "*.wild.example"}
		c.URIs = []*url.URL{spiffe}
		c.IPAddresses = []net.IP{net.ParseIP("192.0.2.1"), net.ParseIP("2001:db8::1")}
		c.EmailAddresses = []string{"Ops@bank.example"}
	})
	for _, test := range []struct {
		name    string
		subject Subject
		want    error
	}{
		{"dn", Subject{DN: "CN=client  one,O=BANK,C=de"}, nil},
		{"dns", Subject{SANDNS: "TWO.bank.example"}, nil},
		{"uri", Subject{SANURI: "spiffe://Bank.example/Client"}, nil},
		{"ipv4", Subject{SANIP: "192.0.2.1"}, nil},
		{"ipv4 in ipv6", Subject{SANIP: "::ffff:192.0.2.1"}, nil},
		{"ipv6", Subject{SANIP: "2001:0DB8:0:0:0:0:0:1"}, nil},
		{"email", Subject{SANEmail: "Ops@BANK.example"}, nil},

		{"none registered", Subject{}, ErrMalformed},
		{"another dn", Subject{DN: "CN=Client Two,O=Bank,C=DE"}, ErrMismatch},
		{"part of the dn", Subject{DN: "CN=Client One"}, ErrMismatch},
		{"dn backwards", Subject{DN: "C=DE,O=Bank,CN=Client One"}, ErrMismatch},
		{"another dns", Subject{SANDNS: "three.bank.example"}, ErrMismatch},
		{"dns within a wildcard", Subject{SANDNS: "a.wild.example"}, ErrMismatch},
		{"dns is the common name", Subject{SANDNS: "client"}, ErrMismatch},
		{"dns suffix", Subject{SANDNS: "bank.example"}, ErrMismatch},
		{"uri in another case", Subject{SANURI: "spiffe://bank.example/client"}, ErrMismatch},
		{"uri prefix", Subject{SANURI: "spiffe://Bank.example"}, ErrMismatch},
		{"another ip", Subject{SANIP: "192.0.2.2"}, ErrMismatch},
		{"email local part in another case", Subject{SANEmail: "ops@bank.example"}, ErrMismatch},
		{"a dns name as uri", Subject{SANURI: "urn:one.bank.example"}, ErrMismatch},
		{"an ip as dns", Subject{SANDNS: "192.0.2.1"}, ErrMismatch},
	} {
		t.Run(title(test.want == nil, test.name), func(t *testing.T) {
			if err := test.subject.Match(certificate); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	bare := root.issue(t, newP256(t), nil)
	if err := (Subject{SANDNS: "one.bank.example"}).Match(bare); !errors.Is(err, ErrMismatch) {
		t.Errorf("a certificate without names: %v", err)
	}
}

// TestAlternativeNamesAreReadRaw feeds what x509 would not let through or would lose.
func TestAlternativeNamesAreReadRaw(t *testing.T) {
	names := func(values ...asn1.RawValue) *x509.Certificate {
		return &x509.Certificate{Extensions: []pkix.Extension{extension(asn1.ObjectIdentifier{2, 5, 29, 17}, false, marshal(t, values))}}
	}
	context := func(tag int, value string) asn1.RawValue {
		return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(value)}
	}
	dns := Subject{SANDNS: "bank.example"}
	for _, test := range []struct {
		name        string
		certificate *x509.Certificate
		subject     Subject
		want        error
	}{
		{"good", names(context(tagDNS, "bank.example")), dns, nil},
		{"NUL after the name", names(context(tagDNS, "bank.example\x00.evil.example")), dns, ErrMalformed},
		{"NUL in another name", names(context(tagDNS, "bank.example"), context(tagURI, "urn:a\x00b")), dns, ErrMalformed},
		{"NUL in an IP address", names(context(tagIP, "\xc0\x00\x02\x00")), Subject{SANIP: "192.0.2.0"}, nil},
		{"IP address of 3 bytes", names(context(tagIP, "\xc0\x00\x02")), Subject{SANIP: "192.0.2.0"}, ErrMismatch},
		{"email as dns", names(context(tagEmail, "bank.example")), dns, ErrMismatch},
		{"other name", names(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: []byte{5, 0}}, context(tagDNS, "bank.example")), dns, nil},
		{"not a name", names(asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagUTF8String, Bytes: []byte("bank.example")}), dns, ErrMalformed},
		{"bytes after the names", &x509.Certificate{Extensions: []pkix.Extension{extension(asn1.ObjectIdentifier{2, 5, 29, 17}, false, []byte{0x30, 0, 5, 0})}}, dns, ErrMalformed},
		{"uri that url.URL would rewrite", names(context(tagURI, "HTTPS://a.example/%7e")), Subject{SANURI: "HTTPS://a.example/%7e"}, nil},
	} {
		if err := test.subject.Match(test.certificate); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
}
