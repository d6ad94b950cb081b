package dn

import "testing"

func TestTypeOf(t *testing.T) {
	for name, want := range map[string]string{
		"UID": "0.9.2342.19200300.100.1.1", "uid": "0.9.2342.19200300.100.1.1", "2.5.4.97": "2.5.4.97",
		"organizationIdentifier": "2.5.4.97", "OU": "2.5.4.11", "OID.2.5.4.15": "2.5.4.15",
	} {
		if got, ok := TypeOf(name); !ok || got != want {
			t.Errorf("%s is %q, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "subject", "UID=", "no such type", "UID "} {
		if got, ok := TypeOf(name); ok {
			t.Errorf("%q is %q", name, got)
		}
	}
}

func TestHas(t *testing.T) {
	const uid, organisation = "0.9.2342.19200300.100.1.1", "2.5.4.97"
	for _, test := range []struct {
		name, oid, text string
		want            bool
	}{
		{"UID=abc,C=BR", uid, "ABC", true},
		// Both string types of Open Finance Brasil, as the DER of a UTF8String and of a PrintableString.
		{"2.5.4.97=#0C094F464242522D61622D,C=BR", organisation, "OFBBR-ab-", true},
		{"2.5.4.97=#13094F464242522D61622D,C=BR", organisation, "ofbbr-ab-", true},
		{"2.5.4.97=#0C094F464242522D61622D,C=BR", organisation, "OFBBR-ab", false},
		{"UID=abc,UID=abc,C=BR", uid, "abc", false}, // which of them?
		{"UID=abc,UID=d,C=BR", uid, "abc", false},
		{"UID=#040161,C=BR", uid, "a", false}, // an octet string is no text
		{"C=BR", uid, "", false},
		{"UID=abc,C=BR", uid, "a\x00", false},
	} {
		name, err := Parse(test.name)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if got := name.Has(test.oid, test.text); got != test.want {
			t.Errorf("%s has %s=%s: %v", test.name, test.oid, test.text, got)
		}
	}
}
