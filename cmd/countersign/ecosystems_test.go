package main

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"countersign/fapi/profile"
)

// Covers: LP-10. The configuration of docs/ecosystems.md is whole: with what this machine has in place of the names of files and
// hosts it serves, and an application of the ecosystem is registered. Its table lists every preset on each of its bases.
func TestLP10Ecosystems(t *testing.T) {
	const page = "../../docs/ecosystems.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, preset := range profile.Presets() {
		t.Run("accepts the row of "+preset.Name, func(t *testing.T) {
			row := "| `" + preset.Name + "` |"
			_, rest, found := strings.Cut(string(text), row)
			line, _, _ := strings.Cut(rest, "\n")
			if bases := "| `" + strings.Join(preset.Bases, "`, `") + "` |"; !found || !strings.HasSuffix(line, bases) {
				t.Errorf("the row is %q, and does not end with %q", line, bases)
			}
		})
	}
	var written string
	for _, each := range listings(t, page) {
		if each.language == "toml" && strings.Contains(each.text, "issuer = ") {
			written = each.text
		}
	}
	i := newInstallation(t)
	authority, err := os.ReadFile(filepath.Join(i.folder, "tls", "client-ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(i.folder, "icp-brasil.pem"), authority, 0o600); err != nil {
		t.Fatal(err)
	}
	dev, err := os.ReadFile(i.config())
	if err != nil {
		t.Fatal(err)
	}
	signer, rest, _ := strings.Cut(string(dev)[strings.Index(string(dev), "\n[signer]\n"):], "\n[tokens]\n")
	_, host, _ := strings.Cut(i.address, ":")
	_, mtlsHost, _ := strings.Cut(i.mtls, ":")
	before, _, whole := strings.Cut(written, "\n[signer]\n")
	if !whole || rest == "" {
		t.Fatal("the page or the development's configuration has no [signer]")
	}
	here := strings.NewReplacer(
		"https://as.bank.example", "https://"+i.address, "https://mtls.as.bank.example", "https://"+i.mtls,
		"0.0.0.0:8443", "127.0.0.1:"+host, "0.0.0.0:8444", "127.0.0.1:"+mtlsHost,
		"driver = \"postgres\"\nurl_file = \"store-url\"", "file = \"countersign.db\"",
	).Replace(before) + signer
	if err := os.WriteFile(i.config(), []byte(here), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(arguments ...string) (string, error) {
		output, err := exec.Command("countersign", append(arguments, "--config", i.config())...).CombinedOutput()
		return string(output), err
	}
	application := filepath.Join(i.folder, "application.json")
	metadata := `{"client_name": "Example", "redirect_uris": ["https://app.example/back"], "scope": "openid accounts consents",
		"grant_types": ["authorization_code", "refresh_token", "client_credentials"], "response_types": ["code id_token"],
		"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "CN=app",
		"tls_client_certificate_bound_access_tokens": true, "id_token_signed_response_alg": "PS256", "jwks_uri": "https://app.example/jwks",
		"id_token_encrypted_response_alg": "RSA-OAEP", "id_token_encrypted_response_enc": "A256GCM"}`
	register := func(metadata string) (string, error) {
		if err := os.WriteFile(application, []byte(metadata), 0o600); err != nil {
			t.Fatal(err)
		}
		return run("clients", "add", "app", "--file", application, "--profile", "brazil-openfinance")
	}
	t.Run("refuses an application by another algorithm than the ecosystem's", func(t *testing.T) {
		output, err := register(strings.Replace(metadata, `"PS256"`, `"ES256"`, 1))
		if err == nil || !strings.Contains(output, "id_token_signed_response_alg") {
			t.Errorf("%v: %s", err, output)
		}
	})
	t.Run("accepts one of the ecosystem", func(t *testing.T) {
		if output, err := register(metadata); err != nil {
			t.Errorf("%v: %s", err, output)
		}
	})
	i.serveUntil(`"msg":"ready"`)
	if got := i.issuer(); got != "https://"+i.address {
		t.Errorf("the issuer is %q", got)
	}
	response, err := i.client.Get("https://" + i.address + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := json.Unmarshal(body, &document); err != nil {
		t.Fatal(err)
	}
	for member, value := range map[string]string{
		"scopes_supported": "consents", "acr_values_supported": "urn:brasil:openbanking:loa2", "claims_supported": "cpf",
		"response_types_supported": "code id_token", "token_endpoint_auth_methods_supported": "tls_client_auth",
	} {
		t.Run("accepts "+value+" in "+member, func(t *testing.T) {
			if list, _ := document[member].([]any); !slices.Contains(list, any(value)) {
				t.Errorf("%s is not in %v", value, list)
			}
		})
	}
}
