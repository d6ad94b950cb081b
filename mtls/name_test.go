package mtls_test

import (
	"crypto/x509"
	"net/url"
	"testing"

	"countersign/mtls"
)

// TestHasName: a certificate is known by its whole name, letter by letter.
func TestHasName(t *testing.T) {
	uri, err := url.Parse("spiffe://bank/prometheus")
	if err != nil {
		t.Fatal(err)
	}
	certificate := &x509.Certificate{DNSNames: []string{"metrics.bank.example"}, URIs: []*url.URL{uri}}
	for _, name := range []string{"metrics.bank.example", "spiffe://bank/prometheus"} {
		if !mtls.HasName(certificate, []string{"other", name}) {
			t.Errorf("refuses %s", name)
		}
	}
	for _, name := range []string{"", "bank.example", "METRICS.bank.example", "spiffe://bank", "spiffe://bank/prometheus/"} {
		if mtls.HasName(certificate, []string{name}) {
			t.Errorf("accepts %q", name)
		}
	}
	if mtls.HasName(certificate, nil) || mtls.HasName(&x509.Certificate{}, []string{"", "a"}) {
		t.Error("accepts no name")
	}
}
