package main

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/internal/jose"
)

// asker is a client that asks people over the backchannel.
type asker struct {
	i    *installation
	id   string
	key  jose.PrivateKey
	name string
}

// asker registers a client by the command line.
func (i *installation) asker(name string) *asker {
	i.t.Helper()
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		i.t.Fatal(err)
	}
	a := &asker{i: i, id: "asker", key: key, name: name}
	metadata, err := json.Marshal(map[string]any{
		"client_name": name, "client_uri": "https://orchid.example", "scope": "openid accounts",
		"grant_types": []string{"urn:openid:params:grant-type:ciba"}, "response_types": []string{},
		"token_endpoint_auth_method": "private_key_jwt", "jwks": json.RawMessage(`{"keys":[` + string(key.PublicJWK()) + `]}`),
		"dpop_bound_access_tokens": true, "backchannel_token_delivery_mode": "poll",
		"authorization_details_types": []string{"payment_initiation"},
	})
	if err != nil {
		i.t.Fatal(err)
	}
	file := filepath.Join(i.t.TempDir(), "asker.json")
	if err := os.WriteFile(file, metadata, 0o600); err != nil {
		i.t.Fatal(err)
	}
	i.run("clients", "add", a.id, "--file", file)
	return a
}

// run runs a command of the installation and gives what it prints.
func (i *installation) run(arguments ...string) string {
	i.t.Helper()
	output, err := exec.Command("countersign", append(arguments, "--config", i.config())...).CombinedOutput()
	if err != nil {
		i.t.Fatalf("countersign %s: %v: %s", strings.Join(arguments, " "), err, output)
	}
	return string(output)
}

// post sends a form with the client's proofs.
func (a *asker) post(path string, form url.Values) (int, map[string]any) {
	t := a.i.t
	t.Helper()
	address, now := "https://"+a.i.address+path, time.Now().Unix()
	assertion, err := jose.Sign(t.Context(), a.key.SigningKey(), "JWT", map[string]any{
		"iss": a.id, "sub": a.id, "aud": "https://" + a.i.address, "jti": rand.Text(), "iat": now, "exp": now + 60,
	})
	if err != nil {
		t.Fatal(err)
	}
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", assertion)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("DPoP", dpopProof(t, a.key, http.MethodPost, address))
	response, err := a.i.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	if err := json.Unmarshal(raw, &body); err != nil {
		t.Fatalf("%s: %d %q", path, response.StatusCode, raw)
	}
	return response.StatusCode, body
}

func dpopProof(t *testing.T, key jose.PrivateKey, method, address string) string {
	t.Helper()
	proof, err := key.SignEmbedded(t.Context(), "dpop+jwt", map[string]any{"jti": rand.Text(), "htm": method, "htu": address, "iat": time.Now().Unix()})
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

// ask asks somebody and gives the auth_req_id.
func (a *asker) ask(username, message, details string) string {
	a.i.t.Helper()
	form := url.Values{"scope": {"openid accounts"}, "login_hint": {username}, "binding_message": {message}}
	if details != "" {
		form.Set("authorization_details", details)
	}
	status, body := a.post("/backchannel", form)
	id, _ := body["auth_req_id"].(string)
	if status != http.StatusOK || id == "" {
		a.i.t.Fatalf("asking %s: %d %v", username, status, body)
	}
	return id
}

// fetch polls once.
func (a *asker) fetch(authReqID string) (int, map[string]any) {
	a.i.t.Helper()
	return a.post("/token", url.Values{"grant_type": {"urn:openid:params:grant-type:ciba"}, "auth_req_id": {authReqID}})
}
