package presented_test

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"countersign/internal/presented"
	"countersign/mtls"
)

func reason(err error) presented.Reason {
	if wrong, ok := errors.AsType[*presented.Error](err); ok {
		return wrong.Reason
	}
	return 0
}

func TestCredentials(t *testing.T) {
	for field, want := range map[string]string{"DPoP a.b.c": "DPoP", "dpop a": "DPoP", "BEARER a b": "Bearer"} {
		t.Run("accepts "+field, func(t *testing.T) {
			scheme, token, err := presented.Credentials([]string{field}, 100)
			if err != nil || scheme != want || token != field[strings.Index(field, " ")+1:] {
				t.Errorf("%q, %q, %v", scheme, token, err)
			}
		})
	}
	for name, one := range map[string]struct {
		fields []string
		want   presented.Reason
	}{
		"none":            {nil, presented.Missing},
		"two":             {[]string{"DPoP a", "DPoP a"}, presented.Malformed},
		"an empty field":  {[]string{""}, presented.Malformed},
		"a scheme":        {[]string{"DPoP"}, presented.Malformed},
		"an empty token":  {[]string{"DPoP "}, presented.Malformed},
		"a large token":   {[]string{"DPoP " + strings.Repeat("a", 101)}, presented.Malformed},
		"another scheme":  {[]string{"Basic a"}, presented.UnknownScheme},
		"a scheme in two": {[]string{"DPoPBearer a"}, presented.UnknownScheme},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if _, _, err := presented.Credentials(one.fields, 100); reason(err) != one.want || err.Error() == "" {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestBinding(t *testing.T) {
	certificate, other := &x509.Certificate{Raw: []byte("one")}, &x509.Certificate{Raw: []byte("other")}
	x5t := mtls.Thumbprint(certificate)
	shown := func(c *x509.Certificate) func() (*x509.Certificate, error) {
		return func() (*x509.Certificate, error) { return c, nil }
	}
	proven := func(jkt string) func() (string, error) { return func() (string, error) { return jkt, nil } }
	broken := errors.New("the proof is not valid")
	unreadable := errors.New("the header cannot be read")
	for name, one := range map[string]struct {
		binding presented.Binding
		sender  presented.Sender
		want    presented.Reason
		cause   error
	}{
		"accepts the key":                 {presented.Binding{JKT: "k"}, presented.Sender{Scheme: "DPoP", Proof: proven("k")}, 0, nil},
		"accepts the certificate":         {presented.Binding{X5T: x5t}, presented.Sender{Scheme: "Bearer", Certificate: shown(certificate)}, 0, nil},
		"accepts both":                    {presented.Binding{JKT: "k", X5T: x5t}, presented.Sender{Scheme: "DPoP", Proof: proven("k"), Certificate: shown(certificate)}, 0, nil},
		"refuses no binding":              {presented.Binding{}, presented.Sender{Scheme: "Bearer"}, presented.Unbound, nil},
		"refuses a bound token as Bearer": {presented.Binding{JKT: "k"}, presented.Sender{Scheme: "Bearer", Proof: proven("k")}, presented.WantsDPoP, nil},
		"refuses a certificate as DPoP":   {presented.Binding{X5T: x5t}, presented.Sender{Scheme: "DPoP", Certificate: shown(certificate)}, presented.WantsBearer, nil},
		"refuses another key":             {presented.Binding{JKT: "k"}, presented.Sender{Scheme: "DPoP", Proof: proven("l")}, presented.OtherKey, nil},
		"refuses a key without a name":    {presented.Binding{JKT: "k"}, presented.Sender{Scheme: "DPoP", Proof: proven("")}, presented.OtherKey, nil},
		"refuses a proof that is not":     {presented.Binding{JKT: "k"}, presented.Sender{Scheme: "DPoP", Proof: func() (string, error) { return "k", broken }}, 0, broken},
		"refuses no certificate":          {presented.Binding{X5T: x5t}, presented.Sender{Scheme: "Bearer", Certificate: shown(nil)}, presented.NoCertificate, nil},
		"refuses another certificate":     {presented.Binding{X5T: x5t}, presented.Sender{Scheme: "Bearer", Certificate: shown(other)}, presented.OtherCertificate, nil},
		"refuses one that cannot be read": {presented.Binding{X5T: x5t}, presented.Sender{Scheme: "Bearer", Certificate: func() (*x509.Certificate, error) { return certificate, unreadable }}, presented.OtherCertificate, unreadable},
		"refuses the key alone of both":   {presented.Binding{JKT: "k", X5T: x5t}, presented.Sender{Scheme: "DPoP", Proof: proven("k"), Certificate: shown(nil)}, presented.NoCertificate, nil},
		"refuses the other key with both": {presented.Binding{JKT: "k", X5T: x5t}, presented.Sender{Scheme: "DPoP", Proof: proven("l"), Certificate: shown(certificate)}, presented.OtherKey, nil},
	} {
		t.Run(name, func(t *testing.T) {
			err := one.binding.Check(one.sender)
			if reason(err) != one.want || one.cause != nil && !errors.Is(err, one.cause) || one.want == 0 && one.cause == nil && err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}

// FuzzCredentials: what comes back is what was sent, under one of two names.
func FuzzCredentials(f *testing.F) {
	f.Add("DPoP a.b.c")
	f.Add("bearer  x")
	f.Add("")
	f.Fuzz(func(t *testing.T, field string) {
		scheme, token, err := presented.Credentials([]string{field}, 64)
		if err != nil {
			if reason(err) == 0 || token != "" {
				t.Fatalf("%q, %v", token, err)
			}
			return
		}
		if scheme != presented.DPoP && scheme != presented.Bearer || len(token) == 0 || len(token) > 64 || !strings.EqualFold(field, scheme+" "+token) {
			t.Fatalf("%q became %q, %q", field, scheme, token)
		}
	})
}
