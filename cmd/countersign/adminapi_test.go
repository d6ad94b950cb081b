package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
)

// operated is an installation with an admin API: ada and bob are security officers, cleo manages clients, rita reads.
type operated struct {
	*installation
	*testing.T
	certificates, address string
}

func newOperated(t *testing.T, more string) *operated {
	t.Helper()
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	o := &operated{installation: newInstallation(t), T: t, certificates: t.TempDir(), address: "localhost:" + ports[0]}
	authority := fapitest.NewAuthority(t, "Operators", time.Now())
	o.pem("ca.crt", "CERTIFICATE", authority.Certificate.Raw)
	settings := fmt.Sprintf("[admin]\nlisten = \"127.0.0.1:%s\"\ncertificate_file = \"tls/server.crt\"\nkey_file = \"tls/server.key\"\nclient_ca_file = %q\n%s",
		ports[0], filepath.Join(o.certificates, "ca.crt"), more)
	for name, roles := range map[string]string{"ada": "security_officer", "bob": "security_officer", "cleo": "client_manager", "rita": "reader", "all": "client_manager security_officer"} {
		issued := authority.IssueAs(t, time.Now(), func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: name, Organization: []string{"Bank"}} })
		key, err := x509.MarshalPKCS8PrivateKey(issued.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		o.pem(name+".crt", "CERTIFICATE", issued.Certificate[0])
		o.pem(name+".key", "PRIVATE KEY", key)
		settings += fmt.Sprintf("\n[[admin.operators]]\nname = %q\ncertificate_dn = \"CN=%s,O=Bank\"\nroles = %q\n", name, name, roles)
	}
	text, err := os.ReadFile(o.config())
	if err != nil {
		t.Fatal(err)
	}
	whole := regexp.MustCompile(`(?s)\n\[admin\]\n.*?\n\n`).ReplaceAllString(string(text), "\n")
	whole = regexp.MustCompile(`(?s)\n# \[\[admin\.operators\]\]\n(#.*?\n)+`).ReplaceAllString(whole, "\n") + "\n" + settings
	if err := os.WriteFile(o.config(), []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *operated) pem(name, kind string, der []byte) {
	o.Helper()
	file, err := os.OpenFile(filepath.Join(o.certificates, name), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		o.Fatal(err)
	}
	if err := writePEM(file, kind, der); err != nil {
		o.Fatal(err)
	}
}

// as runs a command by the admin API, as an operator.
func (o *operated) as(name string, arguments ...string) (stdout, stderr string, code int) {
	o.Helper()
	return o.command(append(arguments, "--admin", "https://"+o.address, "--admin-certificate", filepath.Join(o.certificates, name+".crt"),
		"--admin-key", filepath.Join(o.certificates, name+".key"), "--admin-ca", filepath.Join(o.folder, "tls", "ca.crt"))...)
}

// done is as, for what succeeds.
func (o *operated) done(t *testing.T, name string, arguments ...string) string {
	t.Helper()
	stdout, stderr, code := o.as(name, arguments...)
	if code != 0 {
		t.Fatalf("%s: %q: exit code %d: %s%s", name, arguments, code, stdout, stderr)
	}
	return stdout
}

// Covers: NM-57. The command line does by the admin API what it does locally, with the same output; four eyes are two operators.
func TestNM57Remote(t *testing.T) {
	t.Parallel()
	o := newOperated(t, "")
	server := o.serve()
	file := filepath.Join(t.TempDir(), "app.json")
	metadata := `{"client_name":"App","redirect_uris":["https://app.example/cb"],"grant_types":["authorization_code"],"scope":"openid",
		"token_endpoint_auth_method":"private_key_jwt","dpop_bound_access_tokens":true,"x_contact":"it",
		"jwks":{"keys":[{"kty":"EC","crv":"P-256","kid":"1","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}}`
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(metadata)
	// each is done remotely and undone locally, or the other way round: what is printed is the same.
	same := func(t *testing.T, remote, local string) {
		t.Helper()
		if remote != local {
			t.Errorf("by the admin API:\n%s\nlocally:\n%s", remote, local)
		}
	}
	t.Run("accepts to manage clients", func(t *testing.T) {
		local := o.run("clients", "add", "local", "--file", file)
		remote := o.done(t, "cleo", "clients", "add", "remote", "--file", file)
		same(t, strings.ReplaceAll(remote, "remote", "local"), local)
		write(strings.Replace(metadata, `"App"`, `"Other"`, 1))
		for _, more := range [][]string{{"--dry-run"}, nil, nil} {
			local = o.run(append([]string{"clients", "update", "local", "--file", file}, more...)...)
			remote = o.done(t, "cleo", append([]string{"clients", "update", "remote", "--file", file}, more...)...)
			same(t, strings.ReplaceAll(remote, "remote", "local"), local)
		}
		for _, verb := range []string{"disable", "disable", "enable"} {
			same(t, strings.ReplaceAll(o.done(t, "cleo", "clients", verb, "remote"), "remote", "local"), o.run("clients", verb, "local"))
		}
		for _, read := range [][]string{{"clients", "list"}, {"clients", "list", "--json"}, {"clients", "show", "remote"}, {"clients", "show", "local", "--metadata"}, {"clients", "tokens", "list"}, {"keys", "list"}, {"keys", "list", "--json"},
			{"users", "list"}, {"grants", "list"}, {"grants", "list", "--since", "30d", "--json"}, {"consents", "list", "--client", "remote"}} {
			same(t, o.done(t, "rita", read...), o.run(read...))
		}
		same(t, strings.ReplaceAll(o.done(t, "cleo", "clients", "remove", "remote", "--yes"), "remote", "local"), o.run("clients", "remove", "local", "--yes"))
	})
	t.Run("accepts to issue and revoke an initial access token", func(t *testing.T) {
		token := o.done(t, "cleo", "clients", "tokens", "add", "Bank", "--clients", "2", "--for", "1h")
		if len(strings.TrimSpace(token)) < 40 {
			t.Errorf("%q", token)
		}
		o.done(t, "cleo", "clients", "tokens", "add", "Bank", "--clients", "3", "--for", "1h", "--replace")
		if out := o.done(t, "cleo", "clients", "tokens", "delete", "Bank"); !strings.Contains(out, "can register no more clients") {
			t.Errorf("%q", out)
		}
	})
	t.Run("accepts a rotation by two operators", func(t *testing.T) {
		asked := o.done(t, "ada", "keys", "rotate", "--alg", "PS256")
		id := regexp.MustCompile(`approvals approve (\S+)`).FindStringSubmatch(asked)
		if id == nil || !strings.Contains(asked, "nothing was changed yet") {
			t.Fatalf("%s", asked)
		}
		if _, stderr, code := o.as("ada", "approvals", "approve", id[1]); code != exitError || !strings.Contains(stderr, "another security officer") {
			t.Errorf("%d %s", code, stderr)
		}
		if out := o.done(t, "bob", "approvals", "approve", id[1]); !strings.Contains(out, "approved keys.rotate of PS256, which ada asked for") {
			t.Errorf("%s", out)
		}
		if out := o.done(t, "ada", "keys", "rotate", "--alg", "PS256", "--approval", id[1]); !strings.Contains(out, "now published") {
			t.Errorf("%s", out)
		}
		if out := o.done(t, "rita", "approvals", "list"); !strings.Contains(out, "consumed") {
			t.Errorf("%s", out)
		}
	})
	t.Run("accepts to export a user, and to ask for the erasure", func(t *testing.T) {
		var exported map[string]any
		if err := json.Unmarshal([]byte(o.done(t, "ada", "people", "export", "alice")), &exported); err != nil || len(exported) == 0 {
			t.Errorf("%v %v", exported, err)
		}
		if out := o.done(t, "ada", "people", "erase", "alice"); !strings.Contains(out, "would revoke all grants") {
			t.Errorf("%s", out)
		}
	})
	for name, test := range map[string]struct {
		who, arguments string
		code           int
		want           string
	}{
		"who lacks the role":                 {"rita", "grants revoke none", exitError, "needs the role"},
		"a client that there is not":         {"cleo", "clients disable none", exitError, `there is no client "none"`},
		"what the API does not do":           {"ada", "users set-password alice", exitUsage, "without --admin"},
		"flags that are not for it":          {"ada", "keys rotate --alg PS256 --dry-run", exitUsage, "--dry-run"},
		"a grant that there is not":          {"ada", "grants revoke none", exitError, "there is no grant"},
		"to list nothing":                    {"rita", "grants list --limit 0", exitUsage, "--limit"},
		"metadata with a problem":            {"cleo", "clients add other --file " + filepath.Join(o.certificates, "ca.crt"), exitError, "not correct JSON"},
		"an operator without a certificate":  {"nobody", "clients list", exitUsage, "--admin-certificate"},
		"consents of nobody":                 {"rita", "consents list", exitUsage, "--user or --client"},
		"to decide an approval that is none": {"bob", "approvals approve none", exitError, "there is no approval"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if stdout, stderr, code := o.as(test.who, strings.Fields(test.arguments)...); code != test.code || !strings.Contains(stderr, test.want) {
				t.Errorf("exit code %d, want %d and %q: %s%s", code, test.code, test.want, stdout, stderr)
			}
		})
	}
	t.Run("refuses an approval without an admin API, and approvals without one", func(t *testing.T) {
		for _, arguments := range []string{"keys rotate --alg PS256 --approval x", "people erase alice --approval x --yes", "approvals list"} {
			if _, stderr, code := o.command(strings.Fields(arguments)...); code != exitUsage || !strings.Contains(stderr, "--admin") {
				t.Errorf("%s: exit code %d: %s", arguments, code, stderr)
			}
		}
	})
	noErrors(t, server)
}

// writePEM writes one block and closes the file.
func writePEM(file *os.File, kind string, der []byte) error {
	return errors.Join(pem.Encode(file, &pem.Block{Type: kind, Bytes: der}), file.Close())
}

// Covers: NM-56. Whatever an operator with every role sends to the admin API, it gets no error of the server, and no answer that
// docs/api/admin-v1.yaml does not describe. What is sent is made up by schemathesis, from that description.
func TestNM56AdminAPI(t *testing.T) {
	t.Parallel()
	program := schemathesis(t)
	o := newOperated(t, "per_minute = 60000\n")
	server := o.serve()
	metadata := json.RawMessage(`{"client_name":"App","redirect_uris":["https://app.example/cb"],"grant_types":["authorization_code"],"scope":"openid",
		"token_endpoint_auth_method":"private_key_jwt","dpop_bound_access_tokens":true,
		"jwks":{"keys":[{"kty":"EC","crv":"P-256","kid":"1","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}}`)
	file := filepath.Join(t.TempDir(), "app.json")
	if err := os.WriteFile(file, metadata, 0o600); err != nil {
		t.Fatal(err)
	}
	names := []string{"one", "two", "three"}
	for _, name := range names {
		o.run("clients", "add", name, "--file", file)
	}
	var people []string
	var keys, users struct {
		ID      string `json:"kid"`
		Subject string `json:"sub"`
	}
	for line := range strings.Lines(o.run("users", "list", "--json")) {
		if err := json.Unmarshal([]byte(line), &users); err != nil {
			t.Fatal(err)
		}
		people = append(people, users.Subject)
	}
	for line := range strings.Lines(o.run("keys", "list", "--json")) {
		if err := json.Unmarshal([]byte(line), &keys); err != nil {
			t.Fatal(err)
		}
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	had := o.sent(t, program, "admin-v1.yaml", "admin_hooks", "https://"+o.address, filepath.Join(o.certificates, "all"), map[string]any{
		"clients": names, "people": people, "kid": keys.ID, "node": host, "metadata": metadata,
	}, "--max-examples", "6")
	noErrors(t, server)
	hadAll(t, had,
		"accepts GET /admin/v1/clients 200", "accepts GET /admin/v1/clients/{id} 200", "accepts PUT /admin/v1/clients/{id} 200", "accepts PUT /admin/v1/clients/{id} 201",
		"accepts POST /admin/v1/clients/{id}/disable 200", "accepts GET /admin/v1/people/{subject} 200", "accepts POST /admin/v1/people/{subject}/erase 202",
		"accepts GET /admin/v1/keys/{kid} 200", "accepts GET /admin/v1/audit/entries 200", "accepts POST /admin/v1/audit/verify 200", "accepts GET /admin/v1/approvals/{id} 200",
		"accepts POST /admin/v1/approvals/{id}/refuse 200", "accepts POST /admin/v1/people 201",
		"refuses PUT /admin/v1/clients/{id} 400", "refuses PUT /admin/v1/clients/{id} 412", "refuses POST /admin/v1/clients/{id}/keys 428",
		"refuses POST /admin/v1/approvals/{id}/approve 403", "refuses POST /admin/v1/grants/{id}/revoke 404", "refuses GET /admin/v1/consents 400")
}
