package mtls

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// web is what certificates point to: documents by address, made when asked for.
type web struct {
	documents map[string]func(address string) []byte
	asked     int
}

func (w *web) fetch(_ context.Context, address, _ string) ([]byte, error) {
	w.asked++
	for prefix, document := range w.documents {
		if strings.HasPrefix(address, prefix) {
			return document(address), nil
		}
	}
	return nil, errors.New("nobody answers")
}

func signsLists(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCRLSign }

// list is a revocation list of an authority.
func (a *authority) list(t testing.TB, change func(*x509.RevocationList), revoked ...*x509.Certificate) []byte {
	t.Helper()
	template := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: testTime.Add(-time.Hour), NextUpdate: testTime.Add(time.Hour)}
	for _, certificate := range revoked {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: certificate.SerialNumber, RevocationTime: testTime})
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, a.certificate, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// responder answers for every certificate with one status.
func (a *authority) responder(t testing.TB, status int, until time.Time, as *authority) func(string) []byte {
	t.Helper()
	return func(address string) []byte {
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
		response, err := ocsp.CreateResponse(a.certificate, as.certificate, ocsp.Response{
			Status: status, SerialNumber: request.SerialNumber, ThisUpdate: testTime.Add(-time.Hour), NextUpdate: until, RevokedAt: testTime, IssuerHash: request.HashAlgorithm,
		}, as.key)
		if err != nil {
			t.Fatal(err)
		}
		return response
	}
}

func TestRevocation(t *testing.T) {
	root, other := newAuthority(t, "root", nil, signsLists), newAuthority(t, "root", nil, signsLists) // of one name
	const crl, responder = "http://crl.example/a.crl", "http://ocsp.example"
	byList := root.issue(t, newP256(t), func(c *x509.Certificate) { c.CRLDistributionPoints = []string{crl} })
	byOCSP := root.issue(t, newP256(t), func(c *x509.Certificate) {
		c.OCSPServer, c.CRLDistributionPoints = []string{responder}, []string{crl}
	})
	silent := root.issue(t, newP256(t), nil)
	good, bad := root.list(t, nil), root.list(t, nil, byList, byOCSP, silent)
	old := func(l *x509.RevocationList) {
		l.ThisUpdate, l.NextUpdate = testTime.Add(-9*time.Hour), testTime.Add(-8*time.Hour)
	}
	late := func(l *x509.RevocationList) { l.NextUpdate = testTime.Add(-time.Minute) }
	serve := func(der []byte) func(string) []byte { return func(string) []byte { return der } }
	until := testTime.Add(time.Hour)
	const (
		passes = iota
		passesSoft
		revoked
	)
	for _, test := range []struct {
		name  string
		leaf  *x509.Certificate
		local []byte
		web   map[string]func(string) []byte
		want  int
	}{
		{"not in the list", byList, nil, map[string]func(string) []byte{crl: serve(good)}, passes},
		{"not in a list that is a minute late", byList, nil, map[string]func(string) []byte{crl: serve(root.list(t, late))}, passes},
		{"in the list", byList, nil, map[string]func(string) []byte{crl: serve(bad)}, revoked},
		{"in the operator's list", silent, bad, nil, revoked},
		{"not in the operator's list", silent, good, nil, passes},
		{"good by OCSP", byOCSP, nil, map[string]func(string) []byte{responder: root.responder(t, ocsp.Good, until, root)}, passes},
		{"revoked by OCSP", byOCSP, nil, map[string]func(string) []byte{responder: root.responder(t, ocsp.Revoked, until, root), crl: serve(good)}, revoked},
		{"in the list, while OCSP is away", byOCSP, nil, map[string]func(string) []byte{crl: serve(bad)}, revoked},
		{"in the list, while OCSP does not know", byOCSP, nil, map[string]func(string) []byte{responder: root.responder(t, ocsp.Unknown, until, root), crl: serve(bad)}, revoked},

		{"nobody answers", byList, nil, nil, passesSoft},
		{"nobody to ask", silent, nil, nil, passesSoft},
		{"an old list", byList, nil, map[string]func(string) []byte{crl: serve(root.list(t, old))}, passesSoft},
		{"an old list of the operator's", silent, root.list(t, old, silent), nil, passesSoft},
		{"the list of another of the same name", byList, nil, map[string]func(string) []byte{crl: serve(other.list(t, nil))}, passesSoft},
		{"no list", byList, nil, map[string]func(string) []byte{crl: serve([]byte("<html>"))}, passesSoft},
		{"an answer by another of the same name", byOCSP, nil, map[string]func(string) []byte{responder: root.responder(t, ocsp.Good, until, other)}, passesSoft},
		{"an old answer", byOCSP, nil, map[string]func(string) []byte{responder: root.responder(t, ocsp.Good, testTime.Add(-2*time.Hour), root)}, passesSoft},
	} {
		for mode, ok := range map[RevocationMode]bool{RevocationOff: true, RevocationSoft: test.want != revoked, RevocationHard: test.want == passes} {
			t.Run(title(ok, test.name+", "+string(mode)), func(t *testing.T) {
				r := NewRevocation(mode, (&web{documents: test.web}).fetch, now)
				if err := r.SetLists(test.local); err != nil {
					t.Fatal(err)
				}
				err := r.Check(t.Context(), []*x509.Certificate{test.leaf, root.certificate})
				if (err == nil) != ok || err != nil && !errors.Is(err, ErrUntrusted) || errors.Is(err, ErrRevoked) != (!ok && test.want == revoked) {
					t.Errorf("%v", err)
				}
			})
		}
	}
}

// TestRevocationMemory: an answer is used while it is of this time, and for the grace when there is no newer one; an
// address that failed is left alone for a while.
func TestRevocationMemory(t *testing.T) {
	root := newAuthority(t, "root", nil, signsLists)
	leaf := root.issue(t, newP256(t), func(c *x509.Certificate) { c.CRLDistributionPoints = []string{"http://crl.example"} })
	chain := []*x509.Certificate{leaf, root.certificate}
	clock := testTime
	there := root.list(t, nil)
	w := &web{documents: map[string]func(string) []byte{"http://crl.example": func(string) []byte { return there }}}
	r := NewRevocation(RevocationHard, w.fetch, func() time.Time { return clock })
	step := func(name string, at time.Duration, asked int, ok bool) {
		t.Helper()
		clock = testTime.Add(at)
		if err := r.Check(t.Context(), chain); (err == nil) != ok || w.asked != asked {
			t.Errorf("%s: asked %d times, want %d: %v", name, w.asked, asked, err)
		}
	}
	step("first", 0, 1, true)
	step("remembered", 59*time.Minute, 1, true)
	there = nil
	step("grace", 61*time.Minute, 2, true)
	step("left alone", 61*time.Minute+29*time.Second, 2, true)
	step("asked again", 61*time.Minute+31*time.Second, 3, true)
	step("after the grace", 121*time.Minute, 4, false)
}

// TestRevocationTells: an operator hears of what is used late and of what passes unasked, once an hour, and of nothing else.
func TestRevocationTells(t *testing.T) {
	root := newAuthority(t, "root", nil, signsLists)
	leaf := root.issue(t, newP256(t), nil)
	chain := []*x509.Certificate{leaf, root.certificate}
	lists := func(end time.Duration) []byte {
		return root.list(t, func(l *x509.RevocationList) {
			l.ThisUpdate, l.NextUpdate = testTime.Add(-9*time.Hour), testTime.Add(end)
		})
	}
	for name, test := range map[string]struct {
		mode RevocationMode
		list []byte
		want string // empty for nothing
	}{
		"a list of this time":                {RevocationHard, lists(time.Hour), ""},
		"a list that is late":                {RevocationSoft, lists(-time.Minute), "ended at 2026-"},
		"nobody to ask, soft":                {RevocationSoft, nil, "it passes, since revocation is soft"},
		"nobody to ask, hard: refused":       {RevocationHard, nil, ""},
		"nobody asked":                       {RevocationOff, nil, ""},
		"a list that is too late to be used": {RevocationSoft, lists(-2 * time.Hour), "it passes, since revocation is soft"},
	} {
		t.Run(name, func(t *testing.T) {
			clock := testTime
			r := NewRevocation(test.mode, nil, func() time.Time { return clock })
			if err := r.SetLists(test.list); err != nil {
				t.Fatal(err)
			}
			var told []string
			r.OnProblem = func(_ context.Context, problem string) { told = append(told, problem) }
			check := func() {
				if err := r.Check(t.Context(), chain); (err != nil) != (test.mode == RevocationHard && test.list == nil) {
					t.Fatal(err)
				}
			}
			check()
			clock = clock.Add(reportAgain / 2)
			check()
			switch {
			case test.want == "" && len(told) > 0:
				t.Errorf("told %q", told)
			case test.want != "" && (len(told) != 1 || !strings.Contains(told[0], test.want)):
				t.Errorf("told %q, want %q once", told, test.want)
			}
			clock = clock.Add(reportAgain / 2)
			if _ = r.Check(t.Context(), chain); test.want != "" && len(told) != 2 {
				t.Errorf("after an hour: told %q", told)
			}
		})
	}
}

// Covers: MT-01. Authorities and lists are read again while the server runs; a broken file changes nothing.
func TestStores(t *testing.T) {
	ours, others := newAuthority(t, "ours", nil, signsLists), newAuthority(t, "others", nil, signsLists)
	middle := newAuthority(t, "middle", ours, nil)
	folder := t.TempDir()
	put := func(name, kind string, ders ...[]byte) string {
		t.Helper()
		var encoded []byte
		for _, der := range ders {
			encoded = append(encoded, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
		}
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, encoded, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	direct, below, foreign := ours.issue(t, newP256(t), nil), middle.issue(t, newP256(t), nil), others.issue(t, newP256(t), nil)
	stores, err := NewStores([]Store{
		{"first", put("roots", "CERTIFICATE", ours.certificate.Raw), put("middle", "CERTIFICATE", middle.certificate.Raw), put("lists", "X509 CRL", ours.list(t, nil)), NewRevocation(RevocationSoft, nil, now)},
		{"second", put("second", "CERTIFICATE", newAuthority(t, "unused", nil, nil).certificate.Raw), "", "", nil},
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	trust := Trust{Now: now, Stores: stores}
	expect := func(name string, leaf *x509.Certificate, want error) {
		t.Helper()
		if err := trust.VerifyContext(t.Context(), present(leaf)); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	reload := func(want bool) {
		t.Helper()
		if changed, err := stores.Reload(); err != nil || changed != want {
			t.Errorf("reload: %v, %v", changed, err)
		}
	}
	expect("directly", direct, nil)
	expect("by the configured intermediate", below, nil)
	expect("another authority", foreign, ErrUntrusted)
	reload(false)
	put("second", "CERTIFICATE", others.certificate.Raw)
	reload(true)
	expect("an authority that came", foreign, nil)
	put("lists", "X509 CRL", ours.list(t, nil, direct))
	reload(true)
	expect("taken back", direct, ErrRevoked)
	put("roots", "CERTIFICATE")
	if _, err := stores.Reload(); err == nil || !strings.Contains(err.Error(), "first") {
		t.Errorf("an empty file: %v", err)
	}
	expect("after a broken file", below, nil)
	put("roots", "CERTIFICATE", others.certificate.Raw)
	put("lists", "X509 CRL")
	reload(true)
	expect("an authority that went", below, ErrUntrusted)
}
