package access

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"countersign/mtls"
)

const responder = "http://ocsp.example"

// issuer is an authority that answers by OCSP.
type issuer struct {
	*testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	// status is what it answers; away has nobody answer.
	status int
	away   bool
}

func newIssuer(t *testing.T) *issuer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{T: t, key: key}
	i.certificate = i.sign(&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Operators"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, key)
	return i
}

func (i *issuer) sign(template *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	i.Helper()
	parent := i.certificate
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), i.key)
	if err != nil {
		i.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		i.Fatal(err)
	}
	return made
}

// operator issues Ada's certificate, which names the responder.
func (i *issuer) operator() *x509.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.Fatal(err)
	}
	return i.sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "ada"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature, OCSPServer: []string{responder},
	}, key)
}

// fetch answers what the responder is asked.
func (i *issuer) fetch(_ context.Context, address, _ string) ([]byte, error) {
	asked, ok := strings.CutPrefix(address, responder+"/")
	if !ok || i.away {
		return nil, errors.New("nobody answers")
	}
	encoded, err := url.QueryUnescape(asked)
	if err != nil {
		return nil, err
	}
	der, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, err
	}
	request, err := ocsp.ParseRequest(der)
	if err != nil {
		return nil, err
	}
	return ocsp.CreateResponse(i.certificate, i.certificate, ocsp.Response{
		Status: i.status, SerialNumber: request.SerialNumber, ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Minute),
		RevokedAt: time.Now().Add(-time.Minute), IssuerHash: request.HashAlgorithm,
	}, i.key)
}

// Covers: NM-154. Who is revoked by OCSP is refused, and where nobody answers as it is configured.
func TestNM154OCSP(t *testing.T) {
	for name, test := range map[string]struct {
		mode   mtls.RevocationMode
		status int
		away   bool
		want   int
	}{
		"accepts one that is good":                        {mtls.RevocationHard, ocsp.Good, false, http.StatusNoContent},
		"refuses one that is revoked":                     {mtls.RevocationHard, ocsp.Revoked, false, http.StatusForbidden},
		"refuses one that is revoked, softly too":         {mtls.RevocationSoft, ocsp.Revoked, false, http.StatusForbidden},
		"refuses one that nobody answers about, strictly": {mtls.RevocationHard, ocsp.Good, true, http.StatusForbidden},
		"accepts one that nobody answers about, softly":   {mtls.RevocationSoft, ocsp.Good, true, http.StatusNoContent},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.status, i.away = test.status, test.away
			roots := filepath.Join(t.TempDir(), "ca.crt")
			if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.certificate.Raw}), 0o600); err != nil {
				t.Fatal(err)
			}
			stores, err := mtls.NewStores([]mtls.Store{{Name: "operators", Roots: roots, Revocation: mtls.NewRevocation(test.mode, i.fetch, time.Now)}}, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			gate := Gate{
				Directory: Directory{Stores: stores, Now: time.Now, Operators: []Known{{Name: "Ada", Subject: "CN=ada", Roles: []Role{Reader}}}},
				Now:       time.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), PerMinute: 600, Timeout: time.Minute,
			}
			handler, err := gate.Handler(Route{Method: http.MethodGet, Path: "/x", Roles: []Role{Reader}, Serve: func(w http.ResponseWriter, _ *http.Request) error {
				w.WriteHeader(http.StatusNoContent)
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest(http.MethodGet, "/x", nil)
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{i.operator()}}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != test.want || test.want == http.StatusForbidden && !strings.Contains(w.Body.String(), "urn:countersign:problem:certificate_untrusted") {
				t.Errorf("%d, want %d: %s", w.Code, test.want, w.Body)
			}
		})
	}
}
