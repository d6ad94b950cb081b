package mtls

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bankCertificate reads a certificate of testdata/banks as DER.
func bankCertificate(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "banks", name+".crt"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("%s is no PEM", name)
	}
	return block.Bytes
}

func bankSubject(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	certificate, err := ParseCertificate(bankCertificate(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// Covers: FD-55, FD-57. The subjects of two certificates as the tools of banks write them.
func TestSubjectForms(t *testing.T) {
	banking, escapes := bankSubject(t, "openbanking"), bankSubject(t, "escapes")
	for _, test := range []struct {
		certificate *x509.Certificate
		tool, dn    string
	}{
		{banking, "OpenSSL RFC2253", `jurisdictionC=BR,businessCategory=Private Organization,UID=aaaaaaaa-1111-4222-8333-bbbbbbbbbbbb,CN=web.exemplo.example,serialNumber=00000000000191,organizationIdentifier=OFBBR-11111111-2222-4333-8444-555555555555,L=Goiania,ST=GO,O=EXEMPLO - SOLUCOES S/A,C=BR`},
		{banking, "OpenSSL RFC2253, dump_all, oid", `1.3.6.1.4.1.311.60.2.1.3=#13024252,2.5.4.15=#0C1450726976617465204F7267616E697A6174696F6E,0.9.2342.19200300.100.1.1=#0C2461616161616161612D313131312D343232322D383333332D626262626262626262626262,2.5.4.3=#0C137765622E6578656D706C6F2E6578616D706C65,2.5.4.5=#130E3030303030303030303030313931,2.5.4.97=#0C2A4F464242522D31313131313131312D323232322D343333332D383434342D353535353535353535353535,2.5.4.7=#0C07476F69616E6961,2.5.4.8=#0C02474F,2.5.4.10=#0C164558454D504C4F202D20534F4C55434F455320532F41,2.5.4.6=#13024252`},
		{banking, "OpenSSL compat", `/C=BR/O=EXEMPLO - SOLUCOES S\/A/ST=GO/L=Goiania/organizationIdentifier=OFBBR-11111111-2222-4333-8444-555555555555/serialNumber=00000000000191/CN=web.exemplo.example/UID=aaaaaaaa-1111-4222-8333-bbbbbbbbbbbb/businessCategory=Private Organization/jurisdictionC=BR`},
		{banking, "OpenSSL 1 compat, which escapes no slash", `/C=BR/O=EXEMPLO - SOLUCOES S/A/ST=GO/L=Goiania/organizationIdentifier=OFBBR-11111111-2222-4333-8444-555555555555/serialNumber=00000000000191/CN=web.exemplo.example/UID=aaaaaaaa-1111-4222-8333-bbbbbbbbbbbb/businessCategory=Private Organization/jurisdictionC=BR`},
		{banking, "Java toString and keytool", `OID.1.3.6.1.4.1.311.60.2.1.3=BR, OID.2.5.4.15=Private Organization, UID=aaaaaaaa-1111-4222-8333-bbbbbbbbbbbb, CN=web.exemplo.example, SERIALNUMBER=00000000000191, OID.2.5.4.97=OFBBR-11111111-2222-4333-8444-555555555555, L=Goiania, ST=GO, O=EXEMPLO - SOLUCOES S/A, C=BR`},
		{banking, "Java RFC1779", `OID.1.3.6.1.4.1.311.60.2.1.3=BR, OID.2.5.4.15=Private Organization, OID.0.9.2342.19200300.100.1.1=aaaaaaaa-1111-4222-8333-bbbbbbbbbbbb, CN=web.exemplo.example, OID.2.5.4.5=00000000000191, OID.2.5.4.97=OFBBR-11111111-2222-4333-8444-555555555555, L=Goiania, ST=GO, O=EXEMPLO - SOLUCOES S/A, C=BR`},
		{banking, "Java RFC2253", `1.3.6.1.4.1.311.60.2.1.3=#13024252,2.5.4.15=#0c1450726976617465204f7267616e697a6174696f6e,UID=aaaaaaaa-1111-4222-8333-bbbbbbbbbbbb,CN=web.exemplo.example,2.5.4.5=#130e3030303030303030303030313931,2.5.4.97=#0c2a4f464242522d31313131313131312d323232322d343333332d383434342d353535353535353535353535,L=Goiania,ST=GO,O=EXEMPLO - SOLUCOES S/A,C=BR`},
		{banking, "Java CANONICAL", `1.3.6.1.4.1.311.60.2.1.3=#13024252,2.5.4.15=#0c1450726976617465204f7267616e697a6174696f6e,uid=aaaaaaaa-1111-4222-8333-bbbbbbbbbbbb,cn=web.exemplo.example,2.5.4.5=#130e3030303030303030303030313931,2.5.4.97=#0c2a4f464242522d31313131313131312d323232322d343333332d383434342d353535353535353535353535,l=goiania,st=go,o=exemplo - solucoes s/a,c=br`},
		{banking, ".NET", `OID.1.3.6.1.4.1.311.60.2.1.3=BR, OID.2.5.4.15=Private Organization, OID.0.9.2342.19200300.100.1.1=aaaaaaaa-1111-4222-8333-bbbbbbbbbbbb, CN=web.exemplo.example, SERIALNUMBER=00000000000191, OID.2.5.4.97=OFBBR-11111111-2222-4333-8444-555555555555, L=Goiania, S=GO, O=EXEMPLO - SOLUCOES S/A, C=BR`},
		{banking, ".NET with semicolons", `OID.1.3.6.1.4.1.311.60.2.1.3=BR; OID.2.5.4.15=Private Organization; OID.0.9.2342.19200300.100.1.1=aaaaaaaa-1111-4222-8333-bbbbbbbbbbbb; CN=web.exemplo.example; SERIALNUMBER=00000000000191; OID.2.5.4.97=OFBBR-11111111-2222-4333-8444-555555555555; L=Goiania; S=GO; O=EXEMPLO - SOLUCOES S/A; C=BR`},
		{banking, "quotes around everything", `jurisdictionC="BR", businessCategory="Private Organization", UID="aaaaaaaa-1111-4222-8333-bbbbbbbbbbbb" , CN="web.exemplo.example",serialNumber="00000000000191",organizationIdentifier="OFBBR-11111111-2222-4333-8444-555555555555",L="Goiania",ST="GO",O="EXEMPLO - SOLUCOES S/A",C="BR"`},

		{escapes, "OpenSSL RFC2253", `CN=web \\ a,emailAddress=a@b.example,initials=AS,dnQualifier=q,SN=Souza,GN=Ana,title=Dr,organizationIdentifier=OFBBR-1,ST=S\C3\A3o Paulo,O=Banco S\C3\A3o\, S.A. \+ Filhos\; \<x\>,C=BR`},
		{escapes, "OpenSSL RFC2253, utf8", `CN=web \\ a,emailAddress=a@b.example,initials=AS,dnQualifier=q,SN=Souza,GN=Ana,title=Dr,organizationIdentifier=OFBBR-1,ST=São Paulo,O=Banco São\, S.A. \+ Filhos\; \<x\>,C=BR`},
		{escapes, "OpenSSL compat", `/C=BR/O=Banco S\xC3\xA3o, S.A. \+ Filhos; <x>/ST=S\xC3\xA3o Paulo/organizationIdentifier=OFBBR-1/title=Dr/GN=Ana/SN=Souza/dnQualifier=q/initials=AS/emailAddress=a@b.example/CN=web \ a`},
		{escapes, "Java toString", `CN="web \\ a", EMAILADDRESS=a@b.example, INITIALS=AS, DNQ=q, SURNAME=Souza, GIVENNAME=Ana, T=Dr, OID.2.5.4.97=OFBBR-1, ST=São Paulo, O="Banco São, S.A. + Filhos; <x>", C=BR`},
		{escapes, "Java RFC1779", `CN="web \\ a", OID.1.2.840.113549.1.9.1=a@b.example, OID.2.5.4.43=AS, OID.2.5.4.46=q, OID.2.5.4.4=Souza, OID.2.5.4.42=Ana, OID.2.5.4.12=Dr, OID.2.5.4.97=OFBBR-1, ST=São Paulo, O="Banco São, S.A. + Filhos; <x>", C=BR`},
		{escapes, "Java RFC2253", `CN=web \\ a,1.2.840.113549.1.9.1=#160b6140622e6578616d706c65,2.5.4.43=#0c024153,2.5.4.46=#130171,2.5.4.4=#0c05536f757a61,2.5.4.42=#0c03416e61,2.5.4.12=#0c024472,2.5.4.97=#0c074f464242522d31,ST=São Paulo,O=Banco São\, S.A. \+ Filhos\; \<x\>,C=BR`},
		{escapes, ".NET", `CN="web \\ a", E=a@b.example, I=AS, OID.2.5.4.46=q, SN=Souza, G=Ana, T=Dr, OID.2.5.4.97=OFBBR-1, S=São Paulo, O="Banco São, S.A. + Filhos; <x>", C=BR`},
		{escapes, "Bouncy Castle", `CN=web \\ a,EMAIL=a@b.example,INITIALS=AS,DNQ=q,SURNAME=Souza,GIVENNAME=Ana,T=Dr,organizationIdentifier=OFBBR-1,ST=São Paulo,O=Banco São\, S.A. \+ Filhos\; \<x\>,C=BR`},
		{escapes, "oid. in small letters", `oid.2.5.4.3=web \\ a,E=a@b.example,I=AS,DNQ=q,SN=Souza,G=Ana,T=Dr,oid.2.5.4.97=OFBBR-1,S=São Paulo,O=Banco São\, S.A. \+ Filhos\; \<x\>,C=BR`},
	} {
		t.Run("accepts "+test.tool, func(t *testing.T) {
			if err := (Subject{DN: test.dn}).Match(test.certificate); err != nil {
				t.Error(err)
			}
			if hint := (Subject{DN: test.dn}).Hint(); hint != "" {
				t.Error(hint)
			}
		})
	}
	for _, test := range []struct {
		certificate *x509.Certificate
		tool, dn    string
	}{
		{banking, "OpenSSL 3 as it prints by default", `C = BR, O = EXEMPLO - SOLUCOES S/A, ST = GO, L = Goiania, organizationIdentifier = OFBBR-11111111-2222-4333-8444-555555555555, serialNumber = 00000000000191, CN = web.exemplo.example, UID = aaaaaaaa-1111-4222-8333-bbbbbbbbbbbb, businessCategory = Private Organization, jurisdictionC = BR`},
		{escapes, "OpenSSL oneline", `C = BR, O = "Banco S\C3\A3o, S.A. + Filhos; <x>", ST = S\C3\A3o Paulo, organizationIdentifier = OFBBR-1, title = Dr, GN = Ana, SN = Souza, dnQualifier = q, initials = AS, emailAddress = a@b.example, CN = web \\ a`},
		{escapes, "OpenSSL with semicolons and long names", `countryName = BR; organizationName = Banco São\, S.A. \+ Filhos\; \<x\>; stateOrProvinceName = São Paulo; organizationIdentifier = OFBBR-1; title = Dr; givenName = Ana; surname = Souza; dnQualifier = q; initials = AS; emailAddress = a@b.example; commonName = web \\ a`},
	} {
		t.Run("refuses "+test.tool+", most significant first, with a hint", func(t *testing.T) {
			subject := Subject{DN: test.dn}
			err := subject.Match(test.certificate)
			if !errors.Is(err, ErrReversed) || !errors.Is(err, ErrMismatch) {
				t.Fatal(err)
			}
			_, hint, _ := strings.Cut(err.Error(), "register it as ")
			if err := (Subject{DN: hint}).Match(test.certificate); err != nil {
				t.Errorf("%s: %v", hint, err)
			}
			if !strings.Contains(subject.Hint(), hint) {
				t.Errorf("%q does not have %q", subject.Hint(), hint)
			}
		})
	}
	t.Run("refuses another name, without that hint", func(t *testing.T) {
		err := (Subject{DN: "CN=web.exemplo.example,C=BR"}).Match(banking)
		if !errors.Is(err, ErrMismatch) || errors.Is(err, ErrReversed) || !strings.Contains(err.Error(), "O=EXEMPLO") {
			t.Error(err)
		}
	})
}

// TestHint: only a name whose country or domain is where RFC 4514 has the client looks reversed.
func TestHint(t *testing.T) {
	for dn, want := range map[string]bool{
		"C=BR,O=Bank,CN=a": true, "DC=example,DC=bank,CN=a": true, "C = BR, CN = a": true,
		"CN=a,O=Bank,C=BR": false, "/C=BR/CN=a": false, "C=BR": false, "CN=a,O=b": false, "C=BR,O=Bank,C=DE": false, "": false, "x": false,
	} {
		if got := (Subject{DN: dn}).Hint() != ""; got != want {
			t.Errorf("%q: %v", dn, got)
		}
	}
	if hint := (Subject{SANDNS: "a.example"}).Hint(); hint != "" {
		t.Error(hint)
	}
}

// TestSubjectDNOfRealCertificate has the shape of an open-banking certificate: several string types, dotted types, a
// multi-valued relative name.
func TestSubjectDNOfRealCertificate(t *testing.T) {
	root := newAuthority(t, "root", nil, nil)
	name := pkix.RDNSequence{
		{{Type: asn1.ObjectIdentifier{2, 5, 4, 6}, Value: "BR"}},
		{{Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: `Banco "São", S.A.`}},
		{{Type: asn1.ObjectIdentifier{2, 5, 4, 97}, Value: "OFBBR-d7384bd0"}},
		{{Type: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 3}, Value: "BR"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 15}, Value: "Private Organization"}},
		{{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: "67c57882"}},
		{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "tpp.example"}},
	}
	der := marshal(t, name)
	key := newP256(t)
	template := selfSigned(t, key, nil)
	template.RawSubject = der
	certificate := root.sign(t, template, key.Public())
	for _, registered := range []string{
		// what OpenSSL 3.0 prints with -nameopt RFC2253, and with utf8, dump_all and oid
		`CN=tpp.example,UID=67c57882,businessCategory=Private Organization+jurisdictionC=BR,organizationIdentifier=OFBBR-d7384bd0,O=Banco \"S\C3\A3o\"\, S.A.,C=BR`,
		`CN=tpp.example,UID=67c57882,businessCategory=Private Organization+jurisdictionC=BR,organizationIdentifier=OFBBR-d7384bd0,O=Banco \"São\"\, S.A.,C=BR`,
		`CN=#130B7470702E6578616D706C65,UID=#13083637633537383832,businessCategory=#131450726976617465204F7267616E697A6174696F6E+jurisdictionC=#13024252,organizationIdentifier=#130E4F464242522D6437333834626430,O=#0C1242616E636F202253C3A36F222C20532E412E,C=#13024252`,
		`2.5.4.3=tpp.example, 0.9.2342.19200300.100.1.1=67c57882, 2.5.4.15=Private Organization + 1.3.6.1.4.1.311.60.2.1.3=BR, 2.5.4.97=OFBBR-d7384bd0, 2.5.4.10=Banco \"São\"\, S.A., 2.5.4.6=BR`,
		// the attributes of the multi-valued name in the other order, the quotes in hexadecimal
		`CN=tpp.example,UID=67c57882,jurisdictionC=BR+businessCategory=Private Organization,organizationIdentifier=OFBBR-d7384bd0,O=Banco \22S\C3\A3o\22\2C S.A.,C=BR`,
	} {
		if err := (Subject{DN: registered}).Match(certificate); err != nil {
			t.Errorf("%s: %v", registered, err)
		}
	}
	if err := (Subject{DN: `CN=tpp.example,UID=67c57882,businessCategory=Private Organization,jurisdictionC=BR,organizationIdentifier=OFBBR-d7384bd0,O=Banco \"São\"\, S.A.,C=BR`}).Match(certificate); !errors.Is(err, ErrMismatch) {
		t.Errorf("two relative names for a multi-valued one: %v", err)
	}
}
