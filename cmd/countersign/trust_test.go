package main

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTrustStores: a client that names a trust store is let in by it, and what is wrong with one is told before it hurts.
func TestTrustStores(t *testing.T) {
	i := newInstallation(t)
	authority, err := tls.LoadX509KeyPair(filepath.Join(i.folder, "tls", "client-ca.crt"), filepath.Join(i.folder, "tls", "client-ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	lists := filepath.Join(i.folder, "lists.pem")
	list := func(end time.Time) {
		t.Helper()
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: end.Add(-2 * time.Hour), NextUpdate: end},
			authority.Leaf, authority.PrivateKey.(crypto.Signer))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(lists, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list(time.Now().Add(-time.Minute))
	text, err := os.ReadFile(i.config())
	if err != nil {
		t.Fatal(err)
	}
	// Whoever names no store trusts nobody here, so that only the named store can let the client in.
	changed := strings.Replace(string(text), "client_ca_file = ", "# client_ca_file = ", 1) +
		"\n[[trust_stores]]\nname = \"bank\"\nclient_ca_file = \"tls/client-ca.crt\"\nrevocation = \"hard\"\ncrl_file = \"lists.pem\"\n"
	if err := os.WriteFile(i.config(), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	add := func(id, store string) (string, error) {
		t.Helper()
		metadata, err := json.Marshal(map[string]any{
			"grant_types": []string{"client_credentials"}, "response_types": []string{}, "scope": "accounts", "client_name": "Bank",
			"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "CN=demo-mtls", "tls_client_auth_trust_store": store,
			"tls_client_certificate_bound_access_tokens": true,
		})
		if err != nil {
			t.Fatal(err)
		}
		command := exec.Command("countersign", "clients", "add", id, "--config", i.config(), "--file", "-")
		command.Stdin = strings.NewReader(string(metadata))
		output, err := command.CombinedOutput()
		return string(output), err
	}
	doctor := func() string {
		output, _ := exec.Command("countersign", "doctor", "--config", i.config()).CombinedOutput() // it fails or not, the lines tell
		return string(output)
	}
	t.Run("refuses a client of a store that is not configured", func(t *testing.T) {
		if output, err := add("lost", "insurance"); err == nil || !strings.Contains(output, `there is no trust store "insurance"`) {
			t.Errorf("%v: %s", err, output)
		}
	})
	t.Run("refuses to call an ended list good", func(t *testing.T) {
		if output := doctor(); !strings.Contains(output, "trust store bank: the revocation list of CN=Countersign development client CA ended on") {
			t.Error(output)
		}
	})
	t.Run("accepts a client of the store", func(t *testing.T) {
		list(time.Now().Add(time.Hour))
		if output := doctor(); !strings.Contains(output, "trust store bank: the revocation list of CN=Countersign development client CA is good until") {
			t.Error(output)
		}
		if output, err := add("bank", "bank"); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		i.serve()
		own, err := tls.LoadX509KeyPair(filepath.Join(i.folder, "demo", "demo-mtls.crt"), filepath.Join(i.folder, "demo", "demo-mtls.key"))
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		ca, err := os.ReadFile(filepath.Join(i.folder, "tls", "ca.crt"))
		if err != nil {
			t.Fatal(err)
		}
		roots.AppendCertsFromPEM(ca)
		client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}}}}
		for id, want := range map[string]int{"bank": http.StatusOK, "demo-mtls": http.StatusUnauthorized} {
			response, err := client.PostForm("https://"+i.mtls+"/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "scope": {"accounts"}})
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != want {
				t.Errorf("%s: %s, want %d", id, response.Status, want)
			}
		}
	})
}
