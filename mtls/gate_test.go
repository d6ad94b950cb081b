package mtls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func gateFor(t *testing.T, source string, ingress Ingress) Gate {
	t.Helper()
	made, err := Header(source)
	if err != nil {
		t.Fatal(err)
	}
	return Gate{Source: made, Headers: SourceHeaders(source), Ingress: ingress}
}

// Covers: ATTACK-16, BC-09. Nobody but the ingress is believed, and nothing that it did not set.
func TestAttack16Gate(t *testing.T) {
	leaf := spelled{selfSigned(t, newP256(t), nil)}
	secret := strings.Repeat("s", MinSecretSize)
	ingress, err := NewIngressSecret([]netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}, []byte(secret), []byte(strings.Repeat("o", MinSecretSize)))
	if err != nil {
		t.Fatal(err)
	}
	with, direct, plain := gateFor(t, SourceRFC9440, ingress), Gate{Source: Direct()}, Gate{}
	for _, test := range []struct {
		name    string
		gate    Gate
		address string
		pairs   []string
		err     error
		found   bool
	}{
		{"the ingress", with, "10.1.2.3:4", []string{"Client-Cert", leaf.sequence(), SecretHeader, secret}, nil, true},
		{"the ingress with the secret of before", with, "10.1.2.3:4", []string{"Client-Cert", leaf.sequence(), SecretHeader, strings.Repeat("o", MinSecretSize)}, nil, true},
		{"the ingress, its address mapped into IPv6", with, "[::ffff:10.1.2.3]:4", []string{"Client-Cert", leaf.sequence(), SecretHeader, secret}, nil, true},
		{"the ingress without a certificate", with, "10.1.2.3:4", []string{SecretHeader, secret}, nil, false},
		{"a stranger who claims nothing", with, "192.0.2.1:4", nil, nil, false},
		{"a stranger with the secret", with, "192.0.2.1:4", []string{"Client-Cert", leaf.sequence(), SecretHeader, secret}, ErrForged, false},
		{"a neighbour without the secret", with, "10.1.2.3:4", []string{"Client-Cert", leaf.sequence()}, ErrForged, false},
		{"a neighbour with another secret", with, "10.1.2.3:4", []string{"Client-Cert", leaf.sequence(), SecretHeader, secret + "s"}, ErrForged, false},
		{"a secret twice", with, "10.1.2.3:4", []string{"Client-Cert", leaf.sequence(), SecretHeader, secret, SecretHeader, secret}, ErrForged, false},
		{"an empty header of a stranger", with, "192.0.2.1:4", []string{"Client-Cert", ""}, ErrForged, false},
		{"the header of another ingress", with, "10.1.2.3:4", []string{xfccHeader, "Hash=00", SecretHeader, secret}, ErrForged, false},
		{"an unreadable certificate", with, "10.1.2.3:4", []string{"Client-Cert", ":AAAA:", SecretHeader, secret}, ErrMalformed, false},
		{"nothing on a direct listener", direct, "192.0.2.1:4", nil, nil, false},
		{"a header on a direct listener", direct, "127.0.0.1:4", []string{"Client-Cert", leaf.sequence()}, ErrForged, false},
		{"nothing on the listener for browsers", plain, "127.0.0.1:4", nil, nil, false},
		{"a header on the listener for browsers", plain, "127.0.0.1:4", []string{"x-ssl-client-cert", leaf.escaped()}, ErrForged, false},
	} {
		t.Run(title(test.err == nil, test.name), func(t *testing.T) {
			r := request(test.pairs...)
			r.RemoteAddr = test.address
			admitted, err := test.gate.Admit(r)
			if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
				t.Fatalf("%v", err)
			}
			if err != nil {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the secret is told: %v", err)
				}
				return
			}
			presented, err := Admitted().Certificate(admitted)
			if err != nil || (presented != nil) != test.found {
				t.Errorf("%v, %v", presented, err)
			}
		})
	}
	t.Run("refuses every known header on a direct listener", func(t *testing.T) {
		for _, name := range CertificateHeaders() {
			if name != http.CanonicalHeaderKey(name) {
				t.Errorf("%s is not in Go's spelling", name)
			}
			if _, err := direct.Admit(request(name, "x")); !errors.Is(err, ErrForged) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("refuses a short secret", func(t *testing.T) {
		if _, err := NewIngressSecret([]netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}, []byte("short")); !errors.Is(err, ErrMalformed) {
			t.Errorf("%v", err)
		}
	})
}

func TestIngressCertificate(t *testing.T) {
	ours, others := newAuthority(t, "ours", nil, nil), newAuthority(t, "others", nil, nil)
	name := func(c *x509.Certificate) {
		c.DNSNames, c.URIs = []string{"ingress.example"}, []*url.URL{{Scheme: "spiffe", Host: "mesh", Path: "/ingress"}}
	}
	for _, test := range []struct {
		name  string
		leaf  *x509.Certificate
		names []string
		ok    bool
	}{
		{"its DNS name", ours.issue(t, newP256(t), name), []string{"ingress.example"}, true},
		{"its URI", ours.issue(t, newP256(t), name), []string{"x", "spiffe://mesh/ingress"}, true},
		{"another name", ours.issue(t, newP256(t), name), []string{"other.example"}, false},
		{"no name", ours.issue(t, newP256(t), nil), []string{""}, false},
		{"another authority", others.issue(t, newP256(t), name), []string{"ingress.example"}, false},
		{"a certificate for servers", ours.issue(t, newP256(t), func(c *x509.Certificate) {
			name(c)
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}), []string{"ingress.example"}, false},
	} {
		t.Run(title(test.ok, test.name), func(t *testing.T) {
			r := request()
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{test.leaf}}
			err := IngressCertificate{Roots: pool(ours.certificate), Names: test.names, Now: now}.Authenticate(r)
			if (err == nil) != test.ok {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("refuses no certificate", func(t *testing.T) {
		if err := (IngressCertificate{Roots: pool(ours.certificate), Names: []string{""}, Now: now}).Authenticate(request()); err == nil {
			t.Error("it passed")
		}
	})
}

func TestIngressSocket(t *testing.T) {
	over := func(address net.Addr) *http.Request {
		return request().WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, address))
	}
	t.Run("accepts the socket", func(t *testing.T) {
		if err := (IngressSocket{}).Authenticate(over(&net.UnixAddr{Name: "/run/x", Net: "unix"})); err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses TCP", func(t *testing.T) {
		for _, r := range []*http.Request{request(), over(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})} {
			if err := (IngressSocket{}).Authenticate(r); err == nil {
				t.Error("it passed")
			}
		}
	})
}
