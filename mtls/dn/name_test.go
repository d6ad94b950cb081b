package dn

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"
)

func mustParse(t testing.TB, text string) Name {
	t.Helper()
	name, err := Parse(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return name
}

// Covers: MT-02, ATTACK-19.
func TestParseEqual(t *testing.T) {
	for _, test := range []struct {
		name, a, b string
		want       bool
	}{
		{"same", "CN=client,O=Bank,C=DE", "CN=client,O=Bank,C=DE", true},
		{"types in another case", "cn=client,o=Bank", "CN=client,O=Bank", true},
		{"long names", "commonName=client,organizationName=Bank,countryName=DE", "CN=client,O=Bank,C=DE", true},
		{"dotted numbers", "2.5.4.3=client,2.5.4.10=Bank", "CN=client,O=Bank", true},
		{"values in another case", "CN=CLIENT,O=bÄnk", "CN=client,O=Bänk", true},
		{"white space", "CN=  my   client  ", "CN=my client", true},
		{"white space around separators", "CN=client , O = Bank + OU = a ,C=DE", "CN=client,O=Bank+OU=a,C=DE", true},
		{"escaped space at the end", `CN=client\ `, "CN=client", true},
		{"escapes", `CN=a\,b\+c\"d\\e\<f\>g\;h\=i\#j`, `CN=a\2Cb\2bc\22d\5Ce\3cf\3Eg\3bh=i#j`, true},
		{"UTF-8 in hexadecimal", `O=S\C3\A3o Paulo`, "O=São Paulo", true},
		{"hexadecimal PrintableString", "CN=#1306636c69656e74", "CN=client", true},
		{"hexadecimal UTF8String", "CN=#0C06434C49454E54", "CN=client", true},
		{"hexadecimal BMPString", "CN=#1E0400e30061", "CN=ãa", true},
		{"hexadecimal of no string", "2.5.4.45=#030200ff", "2.5.4.45=#030200FF", true},
		{"multi-valued in another order", "CN=client+UID=1,O=Bank", "UID=1+CN=client,O=Bank", true},
		{"organizationIdentifier", "organizationIdentifier=PSDDE-BAFIN-123", "2.5.4.97=PSDDE-BAFIN-123", true},
		{"jurisdiction", "jurisdictionC=BR,businessCategory=Private Organization", "1.3.6.1.4.1.311.60.2.1.3=BR,2.5.4.15=private organization", true},
		{"jurisdictionCountryName", "jurisdictionCountryName=BR", "jurisdictionC=BR", true},
		{"UID", "UID=a", "0.9.2342.19200300.100.1.1=a", true},
		{"empty values", "CN=,O=Bank", "CN= ,O=Bank", true},
		{"composed and decomposed", "CN=\u00e3", "CN=a\u0303", true},
		{"unescaped equals and number sign inside", "CN=a=b#c", `CN=a\=b\#c`, true},

		{"order", "CN=client,O=Bank", "O=Bank,CN=client", false},
		{"prefix", "CN=client,O=Bank,C=DE", "O=Bank,C=DE", false},
		{"suffix", "CN=client,O=Bank", "CN=client,O=Bank,C=DE", false},
		{"another type", "CN=client", "OU=client", false},
		{"another value", "CN=client", "CN=clients", false},
		{"space or none", "CN=my client", "CN=myclient", false},
		{"multi-valued or two", "CN=client+O=Bank", "CN=client,O=Bank", false},
		{"comma in a value or separator", `CN=client\,O=Bank`, "CN=client,O=Bank", false},
		{"multi-valued with a repeated value", "CN=a+CN=a", "CN=a+CN=b", false},
		{"bits or text", "2.5.4.45=#030200ff", "2.5.4.45=\\#030200ff", false},
		{"other bits", "2.5.4.45=#030200ff", "2.5.4.45=#030200fe", false},
		{"serialNumber is not SN", "serialNumber=1", "SN=1", false},
	} {
		t.Run(title(test.want, test.name), func(t *testing.T) {
			a, b := mustParse(t, test.a), mustParse(t, test.b)
			if a.Equal(b) != test.want || b.Equal(a) != test.want {
				t.Errorf("%s and %s: %v, %v", test.a, test.b, a.Equal(b), b.Equal(a))
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", " ", ",", "+", "=", "client", "CN", "CN=a,", "CN=a,,O=b", ",CN=a", "CN=a+", "CN=a+,O=b", "=a", "CN=a,=b",
		"XX=a", "OID.CN=a", "OID=a", "subject=CN=a", "2=a", "2.=a", ".5=a", "2..5=a", "02.5=a", "2.05.4=a", "2.5.4.3.=a", "2.5.99999999999=a", "C N=a", "C\u00d1=a",
		`CN=a"b`, `CN="a`, `CN="a"b`, `CN="a" "b"`, `CN="a\x"`, "CN=a;", "CN=a<b", "CN=a>b", "CN=a\x00", `CN=a\00`, `CN=a\`, `CN=a\x`, `CN=a\4`, `CN=a\4g`, `CN=a\C3`, `CN=\C3\28`, "CN=\xff", `CN=\ed\a0\80`,
		`CN=a\01`, "CN=a\x7f", `CN=\EF\BF\BD`,
		"CN=#", "CN=#1", "CN=#13", "CN=#1306636c69656e", "CN=#1306636c69656e7400", "CN=#0c0100", "CN=#130161x", "CN=#zz",
		strings.Repeat("CN=a,", maxRDNs) + "CN=a", strings.Repeat("CN=a+", maxAttributes) + "CN=a", "CN=" + strings.Repeat("a", MaxSize),
		"/", "//C=DE", "/C", "/=DE", "/C=DE/XX=Bank", `/CN=\xC3`, `/CN=\x00`, "/C=DE+XX=Bank", "x/C=DE",
		strings.Repeat("/CN=a", maxRDNs+1), "/CN=a" + strings.Repeat("+CN=a", maxAttributes),
	} {
		if name, err := Parse(text); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v, %v", text, name, err)
		}
	}
}

// value is the DER of one attribute in its own relative name.
func value(oid asn1.ObjectIdentifier, tag int, bytes string) pkixAttribute {
	return pkixAttribute{oid, asn1.RawValue{Tag: tag, Bytes: []byte(bytes)}}
}

type pkixAttribute = wireAttribute

var commonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// Covers: MT-02, ATTACK-19.
func TestOfSubjectStringTypes(t *testing.T) {
	for _, test := range []struct {
		name       string
		attribute  pkixAttribute
		registered string
		want       bool
	}{
		{"UTF8String", value(commonName, asn1.TagUTF8String, "São"), "CN=são", true},
		{"PrintableString", value(commonName, asn1.TagPrintableString, "Client"), "CN=client", true},
		{"IA5String", value(commonName, asn1.TagIA5String, "a@b"), "CN=A@B", true},
		{"NumericString", value(commonName, asn1.TagNumericString, "1 2"), "CN=1  2", true},
		{"VisibleString", value(commonName, tagVisibleString, "a"), "CN=a", true},
		{"TeletexString, ASCII", value(commonName, asn1.TagT61String, "a"), "CN=a", true},
		{"BMPString", value(commonName, asn1.TagBMPString, "\x00S\x00\xe3\x00o"), "CN=São", true},
		{"UniversalString", value(commonName, tagUniversalString, "\x00\x00\x00S\x00\x01\xf6\x00"), "CN=S\U0001f600", true},
		{"by its DER", value(commonName, asn1.TagUTF8String, "client"), "CN=#0c06636c69656e74", true},
		{"by the DER of another string type", value(commonName, asn1.TagUTF8String, "client"), "CN=#1306434c49454e54", true},
		{"BIT STRING by its DER", value(commonName, asn1.TagBitString, "\x00\xff"), "CN=#030200ff", true},

		{"TeletexString, Latin-1", value(commonName, asn1.TagT61String, "S\xe3o"), "CN=São", true},
		{"TeletexString, by its DER", value(commonName, asn1.TagT61String, "S\xe3o"), "CN=#140353e36f", true},
		{"TeletexString, as OpenSSL escapes it", value(commonName, asn1.TagT61String, "S\xe3o"), `CN=S\C3\A3o`, true},
		{"TeletexString, another letter", value(commonName, asn1.TagT61String, "S\xe3o"), "CN=Sao", false},
		{"TeletexString, as if of T.61", value(commonName, asn1.TagT61String, "S\xc4ao"), "CN=São", false},
		{"TeletexString, UTF-8 in it", value(commonName, asn1.TagT61String, "S\xc3\xa3o"), "CN=São", false},
		{"TeletexString, control characters", value(commonName, asn1.TagT61String, "S\x80o"), "CN=#140353806f", true},
		{"PrintableString, Latin-1 in it", value(commonName, asn1.TagPrintableString, "S\xe3o"), "CN=São", false},
		{"UTF8String, not UTF-8", value(commonName, asn1.TagUTF8String, "S\xe3o"), "CN=São", false},
		{"BMPString, odd", value(commonName, asn1.TagBMPString, "\x00a\x00"), "CN=a", false},
		{"BMPString, surrogates", value(commonName, asn1.TagBMPString, "\xd8\x3d\xde\x00"), "CN=\U0001f600", false},
		{"UniversalString, out of range", value(commonName, tagUniversalString, "\x7f\xff\xff\xff"), "CN=a", false},
		{"UniversalString, odd", value(commonName, tagUniversalString, "\x00\x00\x00a\x00"), "CN=a", false},
		{"OCTET STRING", value(commonName, asn1.TagOctetString, "client"), "CN=client", false},
		{"BIT STRING and text", value(commonName, asn1.TagBitString, "\x00a"), "CN=a", false},
	} {
		t.Run(title(test.want, test.name), func(t *testing.T) {
			der := marshal(t, []wireRDNSET{{test.attribute}})
			name, err := OfSubject(subjectOf(t, der))
			if err != nil {
				t.Fatal(err)
			}
			if got := mustParse(t, test.registered).Equal(name); got != test.want {
				t.Errorf("%s matches %x: %v", test.registered, der, got)
			}
		})
	}
}

// Covers: ATTACK-19.
func TestOfSubjectRefuses(t *testing.T) {
	a := value(commonName, asn1.TagUTF8String, "a")
	many := make([]wireRDNSET, maxRDNs+1)
	for i := range many {
		many[i] = wireRDNSET{a}
	}
	wide := make(wireRDNSET, maxAttributes+1)
	for i := range wide {
		wide[i] = a
	}
	for name, der := range map[string][]byte{
		"NUL in UTF8String":     marshal(t, []wireRDNSET{{value(commonName, asn1.TagUTF8String, "bank\x00evil")}}),
		"NUL in IA5String":      marshal(t, []wireRDNSET{{value(commonName, asn1.TagIA5String, "bank\x00")}}),
		"NUL in BMPString":      marshal(t, []wireRDNSET{{value(commonName, asn1.TagBMPString, "\x00a\x00\x00")}}),
		"NUL in a second value": marshal(t, []wireRDNSET{{a, value(commonName, asn1.TagUTF8String, "\x00")}}),
		"escape character":      marshal(t, []wireRDNSET{{value(commonName, asn1.TagUTF8String, "\x1b[31m")}}),
		"replacement character": marshal(t, []wireRDNSET{{value(commonName, asn1.TagUTF8String, "\ufffd")}}),
		"too many":              marshal(t, many),
		"too many in one":       marshal(t, []wireRDNSET{wide}),
		"bytes after the name":  append(marshal(t, []wireRDNSET{{a}}), 5, 0),
		"not a name":            {5, 0},
		"nothing":               nil,
		"cut off":               marshal(t, []wireRDNSET{{a}})[:6],
		"a sequence, not a set": marshal(t, [][]wireAttribute{{a}}),
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if got, err := OfSubject(subjectOf(t, der)); !errors.Is(err, ErrMalformed) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// subjectOf is a certificate that has nothing but a subject, given as DER.
func subjectOf(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	return &x509.Certificate{RawSubject: der}
}

func marshal(t testing.TB, value any) []byte {
	t.Helper()
	der, err := asn1.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// title names a subtest as internal/checklist counts them.
func title(accepted bool, name string) string {
	if accepted {
		return "accepts " + name
	}
	return "refuses " + name
}
