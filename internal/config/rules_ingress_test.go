package config

import (
	"strings"
	"testing"
)

// An ingress proves itself in one whole way, or the configuration is wrong.
func TestIngressRules(t *testing.T) {
	const (
		start  = `address = "127.0.0.1:8444"` + "\n" + `url = "https://mtls.login.example"` + "\n"
		socket = `address = "unix:/run/countersign/mtls.sock"` + "\n" + `url = "https://mtls.login.example"` + "\n"
	)
	for _, test := range []struct {
		name, keys, problem string
	}{
		{"accepts direct", start, ""},
		{"accepts a certificate of the ingress", start + "source = \"nginx\"\ningress_ca_file = \"x\"\ningress_name = \"a\"\n", ""},
		{"accepts networks and a secret", start + "source = \"haproxy\"\ningress_networks = \"10.1.2.0/28 fd00::/64\"\ningress_secret_file = \"x\"\n", ""},
		{"accepts a socket", socket + "source = \"envoy\"\n", ""},
		{"refuses an unknown source", start + "source = \"guess\"\n", "listen_mtls.source"},
		{"refuses no proof", start + "source = \"nginx\"\n", "has to prove itself"},
		{"refuses a proof without a source", start + "ingress_ca_file = \"x\"\ningress_name = \"a\"\n", "no kind of ingress"},
		{"refuses a socket without a source", socket, "no kind of ingress"},
		{"refuses two proofs", socket + "source = \"nginx\"\ningress_ca_file = \"x\"\ningress_name = \"a\"\n", "two ways"},
		{"refuses a certificate without a name", start + "source = \"nginx\"\ningress_ca_file = \"x\"\n", "ingress_name"},
		{"accepts X-Forwarded-For of an ingress", start + "source = \"haproxy\"\nforwarded_for = true\ningress_networks = \"10.1.2.0/28 fd00::/64\"\ningress_secret_file = \"x\"\n", ""},
		{"refuses X-Forwarded-For of anybody", start + "forwarded_for = true\n", "anybody can send the header"},
		{"refuses networks alone", start + "source = \"nginx\"\ningress_networks = \"10.1.2.0/28\"\n", "ingress_secret_file"},
		{"refuses a secret alone", start + "source = \"nginx\"\ningress_secret_file = \"x\"\n", "ingress_networks"},
		{"refuses the whole internet", start + "source = \"nginx\"\ningress_networks = \"0.0.0.0/0\"\ningress_secret_file = \"x\"\n", "larger than"},
		{"refuses an address that is no network", start + "source = \"nginx\"\ningress_networks = \"10.1.2.3/28\"\ningress_secret_file = \"x\"\n", "not a network"},
		{"refuses a relative socket", strings.Replace(socket, "/run", "run", 1) + "source = \"nginx\"\n", "whole name"},
		{"refuses lists that are never used", start + "crl_file = \"x\"\n", "revocation is off"},
	} {
		t.Run(test.name, func(t *testing.T) {
			document := withMTLS(t, test.keys)
			_, err := parse("c.toml", []byte(document), false)
			switch {
			case test.problem == "" && err != nil:
				t.Error(err)
			case test.problem != "" && (err == nil || !strings.Contains(err.Error(), test.problem)):
				t.Errorf("%v, want %q", err, test.problem)
			}
		})
	}
}

// withMTLS is the good configuration with another listener for client certificates.
func withMTLS(t *testing.T, keys string) string {
	t.Helper()
	before, after, found := strings.Cut(read(t, "testdata/good.toml"), "[listen_mtls]\n")
	if !found {
		t.Fatal("testdata/good.toml has no [listen_mtls]")
	}
	_, rest, _ := strings.Cut(after, "\n[")
	return before + "[listen_mtls]\n" + keys + "\n[" + rest
}
