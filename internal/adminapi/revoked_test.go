package adminapi_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net/http"
	"os"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/config"
)

// Covers: NM-154. Whom a list revokes is let in by no connection, and by none that is open, as soon as the list is there.
func TestNM154RevocationList(t *testing.T) {
	w := newWorld(t)
	template := *w.authority.Certificate
	template.KeyUsage |= x509.KeyUsageCRLSign
	w.authority.Certificate = fapitest.SignCertificate(t, &template, &template, w.authority.Key.Public(), w.authority.Key)
	w.file("ca.crt", "CERTIFICATE", w.authority.Certificate.Raw)
	for _, name := range []string{"ada", "rita"} {
		w.shown[name] = w.authority.Issue(t, name, time.Now())
	}
	number := int64(0)
	list := func(revoked ...tls.Certificate) {
		t.Helper()
		number++
		wanted := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
		for _, one := range revoked {
			wanted.RevokedCertificateEntries = append(wanted.RevokedCertificateEntries, x509.RevocationListEntry{
				SerialNumber: one.Leaf.SerialNumber, RevocationTime: time.Now().Add(-time.Minute),
			})
		}
		der, err := x509.CreateRevocationList(rand.Reader, wanted, w.authority.Certificate, w.authority.Key)
		if err != nil {
			t.Fatal(err)
		}
		w.config.Admin.CRLFile = config.File(w.file("operators.crl", "X509 CRL", der))
	}
	list()
	w.config.Admin.Revocation = "hard"
	w.base = w.node()
	open := w.client(w.shown["ada"])
	get := func() answer {
		t.Helper()
		got, err := w.send(open, w.base+"/admin/v1/operator", "GET", nil)
		if err != nil {
			t.Fatal(err)
		}
		got.T = t
		return got
	}
	t.Run("accepts who is not on the list", func(t *testing.T) {
		get().want(http.StatusOK)
		w.ask(t, "rita", "GET", "/admin/v1/operator", nil).want(http.StatusOK)
	})
	list(w.shown["ada"])
	t.Run("refuses who is, on a connection that is open", func(t *testing.T) {
		get().problem(http.StatusForbidden, "certificate_untrusted")
	})
	t.Run("refuses who is, on a new connection", func(t *testing.T) {
		if got, err := w.send(w.client(w.shown["ada"]), w.base+"/admin/v1/operator", "GET", nil); err == nil {
			t.Errorf("%d %s", got.status, got.raw)
		}
	})
	t.Run("accepts the others", func(t *testing.T) {
		w.ask(t, "rita", "GET", "/admin/v1/operator", nil).want(http.StatusOK)
	})
	t.Run("refuses everybody by a list that cannot be read", func(t *testing.T) {
		if err := os.WriteFile(w.config.Admin.CRLFile.Path(), []byte("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := w.send(w.client(w.shown["rita"]), w.base+"/admin/v1/operator", "GET", nil); err == nil {
			t.Errorf("%d %s", got.status, got.raw)
		}
	})
}
