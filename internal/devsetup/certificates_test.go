package devsetup

import (
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestDevelopmentAuthority(t *testing.T) {
	folder, now := t.TempDir(), time.Now()
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	servers, fresh, err := developmentAuthority(folder, "ca", "Test CA", hosts, now)
	if err != nil || !fresh {
		t.Fatalf("fresh is %v, %v", fresh, err)
	}
	roots := rootsOf(servers)
	server, err := issue(serverCredential(hosts), &servers, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.certificate.Verify(x509.VerifyOptions{Roots: roots, DNSName: "localhost"}); err != nil || len(server.certificate.IPAddresses) > 0 {
		t.Errorf("%v, %v; want a certificate for localhost alone", server.certificate.IPAddresses, err)
	}
	if with := serverCredential(append(hosts, "192.0.2.7")).template.IPAddresses; len(with) != 1 {
		t.Errorf("%v, want the address that was asked for", with)
	}
	if before := (credential{"server", serverCredential(hosts).template, generateRSA}); !keepsOnlyWanted(t, folder, before, servers, now) {
		t.Error("a certificate of an earlier release, with addresses, is kept")
	}
	// Whoever trusts the authority trusts it for this machine only.
	for _, host := range []string{"bank.example", "192.0.2.1"} {
		other, err := issue(serverCredential([]string{host}), &servers, now)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.certificate.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err == nil {
			t.Errorf("the development authority vouches for %s", host)
		}
	}
	if kept, fresh, err := developmentAuthority(folder, "ca", "Test CA", hosts, now); err != nil || fresh || !kept.certificate.Equal(servers.certificate) {
		t.Errorf("the authority was not kept: fresh is %v, %v", fresh, err)
	}
}

func rootsOf(by authority) *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(by.certificate)
	return roots
}

// keepsOnlyWanted reports whether a certificate with an address that is not wanted any more is replaced.
func keepsOnlyWanted(t *testing.T, folder string, wanted credential, by authority, now time.Time) bool {
	t.Helper()
	old := wanted
	old.template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	if _, _, err := ensure(folder, old, &by, now); err != nil {
		t.Fatal(err)
	}
	_, fresh, err := ensure(folder, wanted, &by, now)
	if err != nil {
		t.Fatal(err)
	}
	return fresh
}

func TestEnsure(t *testing.T) {
	folder, now := t.TempDir(), time.Now()
	clients, _, err := developmentAuthority(folder, "client-ca", "Test client CA", nil, now)
	if err != nil {
		t.Fatal(err)
	}
	others, _, err := developmentAuthority(folder, "other-ca", "Another CA", nil, now)
	if err != nil {
		t.Fatal(err)
	}
	get := func(by authority, at time.Time) (authority, bool) {
		t.Helper()
		made, fresh, err := ensure(folder, clientCredential("client"), &by, at)
		if err != nil {
			t.Fatal(err)
		}
		return made, fresh
	}
	first, fresh := get(clients, now)
	if !fresh {
		t.Error("the first certificate is not fresh")
	}
	if kept, fresh := get(clients, now.Add(certificateLifetime-renewBefore-time.Hour)); fresh || !kept.certificate.Equal(first.certificate) {
		t.Error("a certificate far from its end was replaced")
	}
	if _, fresh := get(clients, now.Add(certificateLifetime-renewBefore+time.Hour)); !fresh {
		t.Error("a certificate near its end was kept")
	}
	if _, fresh := get(others, now); !fresh {
		t.Error("a certificate of another authority was kept")
	}
	if err := os.WriteFile(filepath.Join(folder, "client.crt"), []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ensure(folder, clientCredential("client"), &others, now); err == nil {
		t.Error("a file that is no certificate was written over")
	}
}
