package fapi_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); if that is right, run with -update:\n%s", name, diff)
	}
}

// TestDiscovery: both documents are the same, and are what the golden file shows.
func TestDiscovery(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	_, openID, _ := b.visit(w.issuer + "/.well-known/openid-configuration")
	_, oauth, _ := b.visit(w.issuer + "/.well-known/oauth-authorization-server")
	if diff := cmp.Diff(openID, oauth); diff != "" {
		t.Errorf("the two documents differ: %s", diff)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(openID), "", "  "); err != nil {
		t.Fatal(err)
	}
	got := strings.NewReplacer(w.issuer, "https://issuer.example", w.mtls, "https://mtls.issuer.example").Replace(indented.String())
	golden(t, "discovery.json", got+"\n")
}

// TestWithoutMTLS: nothing that needs client certificates is advertised when no listener asks for them.
func TestWithoutMTLS(t *testing.T) {
	w := newWorld(t, func(c *fapiConfig, _ *autoInteractor) { c.MTLSIssuer = "" })
	_, body, _ := w.browser().visit(w.issuer + "/.well-known/openid-configuration")
	var document map[string]any
	if err := json.Unmarshal([]byte(body), &document); err != nil {
		t.Fatal(err)
	}
	if document["mtls_endpoint_aliases"] != nil || document["tls_client_certificate_bound_access_tokens"] != false {
		t.Errorf("mutual TLS is advertised: %s", body)
	}
	if diff := cmp.Diff([]any{"private_key_jwt"}, document["token_endpoint_auth_methods_supported"]); diff != "" {
		t.Error(diff)
	}
}

func TestJWKS(t *testing.T) {
	w := newWorld(t)
	_, body, _ := w.browser().visit(w.issuer + "/jwks")
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		t.Fatal(err)
	}
	algorithms := map[any]bool{}
	kids := map[any]bool{}
	for _, key := range set.Keys {
		algorithms[key["alg"]], kids[key["kid"]] = true, true
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			if key[private] != nil {
				t.Errorf("the key set holds the private member %s", private)
			}
		}
		if key["use"] != "sig" {
			t.Errorf("use %v", key["use"])
		}
	}
	if len(algorithms) != 3 || len(kids) != 3 {
		t.Errorf("algorithms %v, kids %v: want three of each", algorithms, kids)
	}
}

// TestHeaders checks what every answer carries, and what only some may.
func TestHeaders(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for path, status := range map[string]int{"/jwks": 200, "/authorize": 401, "/nothing": 404, "/par": 405, "/userinfo": 401} {
		request, err := http.NewRequest(http.MethodGet, w.issuer+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("x-fapi-interaction-id", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6")
		request.Header.Set("Origin", "https://elsewhere.example")
		response, err := b.http.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		h := response.Header
		if response.StatusCode != status {
			t.Errorf("%s: status %d, want %d", path, response.StatusCode, status)
		}
		if h.Get("Strict-Transport-Security") == "" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: headers %v", path, h)
		}
		if h.Get("x-fapi-interaction-id") != "f81d4fae-7dec-11d0-a765-00a0c91e6bf6" || h.Get("X-Correlation-Id") != h.Get("x-fapi-interaction-id") {
			t.Errorf("%s: the interaction id was not echoed: %v", path, h)
		}
		if cors := h.Get("Access-Control-Allow-Origin"); (cors != "") != (path == "/jwks") {
			t.Errorf("%s: Access-Control-Allow-Origin %q", path, cors)
		}
	}
	response, err := b.http.Get(w.issuer + "/jwks")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.Header.Get("x-fapi-interaction-id") != "" || response.Header.Get("X-Correlation-Id") == "" {
		t.Errorf("without an interaction id: %v", response.Header)
	}
}
