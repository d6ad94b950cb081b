package main

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/internal/flowclient"
)

// schemathesis installs the pinned packages, unless they are there, and gives the program.
func schemathesis(t *testing.T) string {
	t.Helper()
	const pinned = "testdata/schemathesis/requirements.txt"
	wanted, err := os.ReadFile(pinned)
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(wanted)
	folder := filepath.Join(cache, "countersign-schemathesis", hex.EncodeToString(digest[:8]))
	program, installed := filepath.Join(folder, "bin", "schemathesis"), filepath.Join(folder, ".installed")
	if _, err := os.Stat(installed); err == nil {
		return program
	}
	for _, command := range [][]string{
		{"python3", "-m", "venv", "--clear", folder},
		{filepath.Join(folder, "bin", "pip"), "install", "-q", "--disable-pip-version-check", "-r", pinned},
	} {
		if output, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v; install Python with venv (apt-get install python3-venv); the first time it needs the network\n%s",
				strings.Join(command, " "), err, output)
		}
	}
	if err := os.WriteFile(installed, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return program
}

// handles are those that a login gets for new interactions.
func (a *application) handles(i *installation, login string, count int) (handles []string) {
	a.t.Helper()
	for range count {
		_, address := a.begin()
		v := i.visitor(a.t)
		v.CheckRedirect = func(next *http.Request, _ []*http.Request) error {
			if next.URL.Host == login {
				handles = append(handles, next.URL.Query().Get("handle"))
				return http.ErrUseLastResponse
			}
			return nil
		}
		v.open(address)
	}
	if len(handles) != count {
		a.t.Fatalf("%d handles for %d interactions", len(handles), count)
	}
	return handles
}

// Covers: KE-46. TestKE46LoginAPI: whatever the backend of a login sends, it gets no error of the server, and no answer that
// docs/api/login-v1.yaml does not describe. What is sent is made up by schemathesis, from that description.
func TestKE46LoginAPI(t *testing.T) {
	t.Parallel()
	program := schemathesis(t)
	i := newInstallation(t)
	folder, login := t.TempDir(), "localhost:1"
	newCertificate(t, filepath.Join(folder, "login"))
	i.edited(t, `^\[login\]\n`, fmt.Sprintf("[login]\naddress = \"https://%s/\"\ncertificate_file = %q\nacr_values = \"urn:northfold:password\"\nconfirmations = true\n",
		login, filepath.Join(folder, "login.crt")))
	var alice struct {
		Subject string `json:"sub"`
	}
	if err := json.Unmarshal([]byte(i.run("users", "show", "alice", "--json")), &alice); err != nil {
		t.Fatal(err)
	}
	asker := i.asker("Orchid Budget")
	a := i.application(t, "orchid", "Orchid Budget")
	server := i.serve()
	for range 3 {
		asker.ask("alice", "ROSE-42", "")
	}
	had := i.sent(t, program, "login-v1.yaml", "hooks", "https://"+i.mtls, filepath.Join(folder, "login"), map[string]any{
		"handles": a.handles(i, login, 40), "subject": alice.Subject, "acr": "urn:northfold:password",
	})
	noErrors(t, server)
	hadAll(t, had,
		"accepts GET /login/v1/interactions/{handle} 200", "accepts POST /login/v1/interactions/{handle} 200",
		"accepts GET /login/v1/confirmations 200", "accepts GET /login/v1/confirmations/{confirmation_id} 200",
		"accepts POST /login/v1/confirmations/{confirmation_id} 200",
		"refuses GET /login/v1/interactions/{handle} 404", "refuses POST /login/v1/interactions/{handle} 400",
		"refuses POST /login/v1/interactions/{handle} 404", "refuses POST /login/v1/interactions/{handle} 409",
		"refuses POST /login/v1/interactions/{handle} 415", "refuses GET /login/v1/confirmations 400",
		"refuses POST /login/v1/confirmations/{confirmation_id} 400")
}

// sent sends the server what schemathesis makes up from a description in docs/api, with what a module of testdata/schemathesis knows
// beside it, and returns the answers, such as "GET_/login/v1/confirmations_200".
func (i *installation) sent(t *testing.T, program, description, hooks, base, pair string, given map[string]any, more ...string) []string {
	t.Helper()
	folder, authority := t.TempDir(), filepath.Join(i.folder, "tls", "ca.crt")
	answers, known := filepath.Join(folder, "answers"), filepath.Join(folder, "given.json")
	given["base"], given["certificate"], given["key"], given["authority"] = base, pair+".crt", pair+".key", authority
	content, err := json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(known, content, 0o600); err != nil {
		t.Fatal(err)
	}
	modules, err := filepath.Abs("testdata/schemathesis")
	if err != nil {
		t.Fatal(err)
	}
	document, err := filepath.Abs(filepath.Join("../../docs/api", description))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, append([]string{
		"run", document, "--url", base, "--tls-verify", authority, "--request-cert", pair + ".crt", "--request-cert-key", pair + ".key",
		"--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance," +
			"response_schema_conformance,unsupported_method",
		"--phases", "examples,coverage,fuzzing", "--max-examples", "30", "--seed", "20816", "--workers", "1", "--continue-on-failure",
		"--suppress-health-check", "all", "--warnings", "off", "--request-timeout", "20",
	}, more...)...)
	command.Dir = folder
	command.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+authority, "CURL_CA_BUNDLE="+authority, "PYTHONPATH="+modules, "PYTHONDONTWRITEBYTECODE=1",
		"SCHEMATHESIS_HOOKS="+hooks, "GIVEN="+known, "ANSWERS="+answers, "NO_COLOR=1")
	began := time.Now()
	output, err := command.CombinedOutput()
	t.Logf("schemathesis took %s", time.Since(began).Round(time.Second))
	if err != nil {
		t.Fatalf("schemathesis: %v\n%s", err, output)
	}
	lines, err := os.ReadFile(answers)
	if err != nil {
		t.Fatal(err)
	}
	had := strings.Fields(strings.ReplaceAll(string(lines), " ", "_"))
	counts := map[string]int{}
	for _, answer := range had {
		counts[answer]++
	}
	t.Logf("the answers are %v", counts)
	return had
}

// noErrors demands that the server has logged none.
func noErrors(t *testing.T, server *running) {
	t.Helper()
	if logged := server.logs.String(); strings.Contains(logged, "level=ERROR") || strings.Contains(logged, "panic") {
		t.Errorf("the server says\n%s", logged)
	}
}

// hadAll demands that each of these was among the answers.
func hadAll(t *testing.T, had []string, all ...string) {
	t.Helper()
	for _, want := range all {
		t.Run(want, func(t *testing.T) {
			_, answer, _ := strings.Cut(want, " ")
			if !slices.Contains(had, strings.ReplaceAll(answer, " ", "_")) {
				t.Errorf("among %d answers is none of these", len(had))
			}
		})
	}
}

// Covers: KF-23. Whatever an application of the operator's own sends to the API of accounts, it gets no error of the server, and no answer
// that docs/api/account-v1.yaml does not describe. What is sent is made up by schemathesis, from that description.
func TestKF23AccountAPI(t *testing.T) {
	t.Parallel()
	program := schemathesis(t)
	i := newInstallation(t)
	i.edited(t, `^\[account\]\n`, "[account]\nscope = \"account\"\nclients = \"bank-app\"\n")
	i.edited(t, `\z`, "\n[[scopes]]\nname = \"account\"\ndescription = \"See and end what you gave\"\n")
	orchid := i.application(t, "orchid", "Orchid Budget")
	pair := filepath.Join(i.folder, "demo", "demo-mtls")
	certificate, err := tls.LoadX509KeyPair(pair+".crt", pair+".key")
	if err != nil {
		t.Fatal(err)
	}
	app := i.application(t, "bank-app", "Bank App", func(metadata map[string]any) {
		metadata["scope"] = "openid account"
		delete(metadata, "dpop_bound_access_tokens")
		metadata["tls_client_certificate_bound_access_tokens"] = true
	})
	app.Client = flowclient.New(flowclient.Config{
		Issuer: app.Issuer, HTTP: flowclient.NewHTTP(&tls.Config{RootCAs: i.roots, Certificates: []tls.Certificate{certificate}}), ID: app.ID,
		RedirectURI: app.RedirectURI, Scope: "openid account", Key: app.Key, Certificate: true,
	})
	server := i.serve()
	b := i.browser()
	allowed := func(a *application) map[string]any {
		t.Helper()
		transaction, address := a.begin(flowclient.Set("prompt", "consent"))
		b.Visit(address)
		if strings.Contains(b.Text("main"), "Password") {
			b.SignIn("alice", i.password())
		}
		b.Click("#allow")
		code, err := a.returned(transaction)
		if err != nil {
			t.Fatal(err)
		}
		response, _ := a.redeem(transaction, code)
		return response
	}
	for range 3 {
		allowed(orchid)
	}
	token, _ := allowed(app)["access_token"].(string)
	b.Done()
	had := i.sent(t, program, "account-v1.yaml", "account_hooks", "https://"+i.mtls, pair, map[string]any{"client": "b3JjaGlk", "own": "YmFuay1hcHA", "token": token},
		"--header", "Authorization: Bearer "+token, "--max-examples", "10", "--rate-limit", "240/m")
	noErrors(t, server)
	hadAll(t, had,
		"accepts GET /account/v1/access 200", "accepts GET /account/v1/access/{id} 200", "accepts DELETE /account/v1/access/{id}/grants/{grant} 200",
		"accepts DELETE /account/v1/access/{id} 200", "accepts GET /account/v1/sessions 200",
		"accepts GET /account/v1/browsers 200", "accepts DELETE /account/v1/browsers 200",
		"accepts GET /account/v1/passkeys 200", "accepts GET /account/v1/applications 200",
		"refuses GET /account/v1/access 400", "refuses GET /account/v1/access/{id} 404", "refuses DELETE /account/v1/access/{id} 404",
		"refuses DELETE /account/v1/sessions/{id} 404")
}
