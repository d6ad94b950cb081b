package endpoint_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/fapi/endpoint"
	"countersign/fapi/fapitest"
)

// Covers: FD-53, FD-54, FD-57, FD-59. A client that is refused for its certificate is told the true reason.
func TestCertificateReasons(t *testing.T) {
	var warned []endpoint.RefusedCertificate
	w := fapitest.NewWorld(t, func(c *fapitest.Config) {
		c.CertificateRefused = func(_ *http.Request, refused endpoint.RefusedCertificate) { warned = append(warned, refused) }
	})
	now := w.Clock.Now()
	name := pkix.Name{CommonName: "Client One", Organization: []string{"Example"}, Country: []string{"DE"}}
	issue := func(by fapitest.Authority, change func(*x509.Certificate)) *tls.Certificate {
		issued := by.IssueAs(t, now, func(c *x509.Certificate) {
			c.Subject = name
			if change != nil {
				change(c)
			}
		})
		return &issued
	}
	critical := func(id asn1.ObjectIdentifier, value ...byte) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: id, Critical: true, Value: value}}
		}
	}
	right := w.Register("client-1", subject("tls_client_auth_subject_dn", "CN=Client One,O=Example,C=DE"))
	reversed := w.Register("client-2", subject("tls_client_auth_subject_dn", "C = DE, O = Example, CN = Client One"))
	other := w.Register("client-3", subject("tls_client_auth_subject_dn", "CN=Client Three,O=Example,C=DE"))
	own := w.Register("client-4", fapitest.SelfSignedTLSClientAuth)
	foreign := fapitest.NewAuthority(t, "Another CA", now)
	for _, test := range []struct {
		name        string
		client      *fapitest.Client
		certificate *tls.Certificate
		want        string // of the answer; the empty string is none
	}{
		{"no extended key usage", right, issue(w.ClientCA, func(c *x509.Certificate) { c.ExtKeyUsage = nil }), ""},
		{"critical qcStatements", right, issue(w.ClientCA, critical(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}, 0x30, 0)), ""},

		{"for servers", right, issue(w.ClientCA, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
			"not trusted here: it is not made for client authentication"},
		{"another critical extension", right, issue(w.ClientCA, critical(asn1.ObjectIdentifier{1, 2, 3, 4}, 5, 0)), "not understood here: 1.2.3.4"},
		{"another authority", right, issue(foreign, nil), "not trusted here: its issuer 'CN=Another CA' is none of the authorities"},
		{"expired", right, issue(w.ClientCA, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }), "not trusted here: it is valid from "},
		{"reversed", reversed, issue(w.ClientCA, nil), "it is registered most significant part first; RFC 4514 wants the opposite order"},
		{"another subject", other, issue(w.ClientCA, nil), "subject is not the one that this client registered"},
		{"another key", own, new(fapitest.Authority{}.Issue(t, "client-4", now)), "its key is not among those that are registered"},
		{"none", right, nil, "the connection has none; the client sent none; a TLS client sends none whose kind of key is not asked for"},
	} {
		title := "accepts "
		if test.want != "" {
			title = "refuses "
		}
		t.Run(title+test.name, func(t *testing.T) {
			warned = nil
			answer := test.client.WithCertificate(test.certificate).Push(nil)
			if refused := test.want != ""; refused != (len(warned) == 1) {
				t.Errorf("warned of %v", warned)
			}
			if test.want == "" {
				fapitest.Good("", nil).Check(t, answer)
				return
			}
			fapitest.WantError(t, answer, 401, "invalid_client")
			if text := answer.Text("error_description"); !strings.Contains(text, test.want) {
				t.Errorf("%s", text)
			}
			subject := ""
			if test.certificate != nil {
				subject = test.certificate.Leaf.Subject.String()
			}
			if len(warned) == 1 && (warned[0].ClientID != test.client.ID || warned[0].Subject != subject || warned[0].Cause == nil) {
				t.Errorf("warned of %v", warned[0])
			}
			if text := answer.Text("error_description"); strings.Contains(text, "Client Three") {
				t.Errorf("a stranger learns what is registered: %s", text)
			}
		})
	}
	t.Run("refuses none where no certificate is asked for", func(t *testing.T) {
		away := right.WithCertificate(nil)
		away.AtMTLS = false
		away.HTTP = w.Transport(away)
		warned = nil
		answer := away.Push(nil)
		if len(warned) != 0 {
			t.Errorf("warned of %v", warned)
		}
		fapitest.WantError(t, answer, 401, "invalid_client")
		if text := answer.Text("error_description"); !strings.Contains(text, "use the endpoints in mtls_endpoint_aliases") {
			t.Error(text)
		}
	})
	if logs := w.Logs.String(); !strings.Contains(logs, "register it as CN=Client One,O=Example,C=DE") {
		t.Errorf("the log does not say how to register it:\n%s", logs)
	}
}
