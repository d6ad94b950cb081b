package mtls

import (
	"context"
	"crypto"
	"crypto/fips140"
	"crypto/x509"
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"countersign/internal/fips/fipstest"
)

// Covers: NM-117. TestNM117OCSP: where FIPS 140-3 is enforced, the issuer is named by SHA-256, and not by SHA-1, which would end the program.
func TestNM117OCSP(t *testing.T) {
	asked := func(t *testing.T, status int) (crypto.Hash, error) {
		t.Helper()
		root := newAuthority(t, "root", nil, signsLists)
		leaf := root.issue(t, newP256(t), func(c *x509.Certificate) { c.OCSPServer = []string{"http://ocsp.example"} })
		var hash crypto.Hash
		answer := root.responder(t, status, testTime.Add(time.Hour), root)
		r := NewRevocation(RevocationHard, func(_ context.Context, address, _ string) ([]byte, error) {
			encoded, err := url.QueryUnescape(address[strings.LastIndex(address, "/")+1:])
			if err != nil {
				t.Fatal(err)
			}
			der, err := base64.StdEncoding.DecodeString(encoded)
			if err != nil {
				t.Fatal(err)
			}
			request, err := ocsp.ParseRequest(der)
			if err != nil {
				t.Fatal(err)
			}
			hash = request.HashAlgorithm
			return answer(address), nil
		}, func() time.Time { return testTime })
		err := r.Check(t.Context(), []*x509.Certificate{leaf, root.certificate})
		return hash, err
	}
	t.Run("accepts a good certificate, asked for by SHA-256 where it is enforced", func(t *testing.T) {
		if !fipstest.Enforced(t) {
			return
		}
		if hash, err := asked(t, ocsp.Good); err != nil || hash != crypto.SHA256 {
			t.Errorf("%v, %v", hash, err)
		}
	})
	t.Run("accepts SHA-1 where it is not, which every responder knows", func(t *testing.T) {
		want := map[bool]crypto.Hash{true: crypto.SHA256, false: crypto.SHA1}[fips140.Enforced()]
		if hash, err := asked(t, ocsp.Good); err != nil || hash != want {
			t.Errorf("%v, %v", hash, err)
		}
	})
	t.Run("refuses a revoked certificate where it is enforced", func(t *testing.T) {
		if !fipstest.Enforced(t) {
			return
		}
		if _, err := asked(t, ocsp.Revoked); err == nil {
			t.Error("it passes")
		}
	})
}
