package rfc7512

import (
	"bytes"
	"strings"
	"testing"
)

func TestURI(t *testing.T) {
	good := map[string]URI{
		"pkcs11:token=countersign":                         {Token: "countersign"},
		"pkcs11:token=My%20token;serial=0123;object=a%3Bb": {Token: "My token", Serial: "0123", Object: "a;b"},
		"pkcs11:token=t;id=%01%FF":                         {Token: "t", ID: []byte{1, 255}},
	}
	for text, want := range good {
		got, err := Parse(text)
		if err != nil || got.String() != text || got.Token != want.Token || got.Serial != want.Serial || got.Object != want.Object || !bytes.Equal(got.ID, want.ID) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "pkcs11:", "token=t", "pkcs11:serial=1", "pkcs11:token=t;token=u", "pkcs11:token=t;slot-id=1", "pkcs11:token=%zz",
		"pkcs11:token=t?pin-value=1234", "pkcs11:token=t;type=cert", "pkcs11:token", "pkcs11:token=" + strings.Repeat("t", 2000),
	} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		} else if strings.Contains(err.Error(), "1234") {
			t.Errorf("the error shows a PIN: %v", err)
		}
	}
}

func FuzzParseURI(f *testing.F) {
	f.Add("pkcs11:token=countersign;id=%01%FF")
	f.Add("pkcs11:token=a;object=%3B;serial=1")
	f.Fuzz(func(t *testing.T, text string) {
		uri, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(uri.String())
		if err != nil || again.String() != uri.String() {
			t.Errorf("%q became %q, then %q, %v", text, uri, again, err)
		}
	})
}
